package redbreaker

// A streak or a rate is judged by the outcomes that the storage has. If processes held
// back successes as they like, the storage would judge by failures, which come first,
// and open circuits that are well. So a process may hold at most a tenth of the outcomes
// that it has sent in this epoch within the last 10 d to 20 d: what others judge by
// lacks at most a tenth, also where a window is new or traffic begins. The first ten
// outcomes of a process go one by one.

// quotaShare is the part of the outcomes sent that may be pending.
const quotaShare = 10

// viewQuota counts the outcomes that the storage has counted, in two intervals.
type viewQuota struct {
	sent, sentBefore int64 // in this interval, in the one before
	turnedNS         int64 // when this interval began
}

// addSent counts outcomes that the storage has counted.
func (q *viewQuota) addSent(n, now, lengthNS int64) {
	q.turnIntervals(now, lengthNS)
	q.sent += n
}

// allowance returns how many outcomes may be pending.
func (q *viewQuota) allowance(now, lengthNS int64) int64 {
	q.turnIntervals(now, lengthNS)
	return (q.sent + q.sentBefore) / quotaShare
}

func (q *viewQuota) turnIntervals(now, lengthNS int64) {
	switch passed := now - q.turnedNS; {
	case passed < lengthNS:
		return
	case passed < 2*lengthNS:
		q.sent, q.sentBefore = 0, q.sent
	default:
		q.sent, q.sentBefore = 0, 0
	}
	q.turnedNS = now
}

// exceedsQuotaLocked reports whether more is pending than may be.
func (v *view) exceedsQuotaLocked(w *viewWork, now int64) bool {
	return v.params.limited && w.pending.count() > v.quota.allowance(now, v.params.quotaNS)
}

// roomLocked returns how many successes the stripes may take before one of them takes
// the lock, to make a flush due. While one is due anyway, there is no limit.
func (v *view) roomLocked(w *viewWork, now int64) int64 {
	if !v.params.limited || w.flushing || w.queued {
		return maxRoom << stripeBits
	}
	return max(0, v.quota.allowance(now, v.params.quotaNS)-w.pending.count())
}
