package watch

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/storage/internal/follow"
)

const (
	// Two signs within signsWithin renew the subscription, if the events of none of them
	// arrive within signsApart after the first one: an event that is late, because a server
	// or this process is busy, is no sign.
	signsWithin = 10 * time.Second
	signsApart  = 500 * time.Millisecond
	// Renewals are at least minRenewal apart. If they do not help, the time between
	// them doubles, up to maxRenewal.
	minRenewal = time.Second
	maxRenewal = 30 * time.Second
)

// errStarved is the reason of an EventPushLost.
var errStarved = errors.New("redbreaker: transitions are not received although the subscription works; is a node of the cluster cut off, or does a proxy stand between?")

// A subscription may starve: its connection works, it answers pings, and yet events do
// not arrive. On a cluster this happens when the bus between the subscribed node and a
// master is cut, or when the node stalls; behind sentinels, when a failover leaves the
// subscription at the old primary. No number in the events shows it, because the last
// event that is lost has no successor. But a process learns of transitions in other
// ways too, by its own replies and by reading, and whatever it learned so must arrive
// as an event within the grace period. If it does not, that is a sign.
//
// One sign may be a lost event; two within 10 s are taken for starvation, unless an
// event turns out to have been late: the bus of a cluster may hold one back for 40 ms
// that closely follows another one.

// starvation finds a subscription that works but receives no events, by transitions
// that were learned in another way.
type starvation struct {
	firstAt   time.Duration // first sign of those that are close together; 0: none
	signedAt  time.Duration // last sign; 0: none
	renewedAt time.Duration
	interval  time.Duration // to the next renewal
	reported  bool
}

// addSign counts a sign, and returns whether the subscription has to be renewed and
// whether that was reported.
func (s *starvation) addSign(now time.Duration) (renew, report bool) {
	before := s.signedAt
	s.signedAt = now
	if before == 0 || now-before > maxRenewal {
		s.interval, s.reported = minRenewal, false // renewing has helped, or was not needed
	}
	if s.firstAt == 0 || now-before > signsWithin {
		s.firstAt = now
		return false, false
	}
	if now-s.firstAt < signsApart || s.renewedAt != 0 && now-s.renewedAt < s.interval {
		return false, false
	}
	again := s.renewedAt != 0 && now-s.renewedAt <= maxRenewal+signsWithin
	s.renewedAt = now
	if !again {
		return true, false
	}
	s.interval = min(2*s.interval, maxRenewal)
	report = !s.reported
	s.reported = true
	return true, report
}

// takeBackSigns forgets the signs so far: the event of one of them has arrived.
func (w *Watcher) takeBackSigns() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starved.firstAt = 0
}

// addSigns counts transitions that a subscription should have received: it was up
// when they happened.
func (w *Watcher) addSigns(now time.Duration, happened []time.Duration) {
	w.mu.Lock()
	var renew []*subscription
	report := false
	// A transition from before the subscription was confirmed is no sign. Nor is one
	// from the moment of it: the clocks of reading and of the record differ by a round
	// trip.
	for _, at := range happened {
		if !w.areUpSinceLocked(at - follow.Grace) {
			continue
		}
		if again, why := w.starved.addSign(now); again {
			report = report || why
			for _, s := range w.subs {
				renew = append(renew, s)
			}
		}
	}
	w.mu.Unlock()
	for _, s := range renew {
		s.dropConnection()
	}
	if report {
		w.transport.Spawn(func() { w.reportPushLost(errStarved) })
	}
}

// areUpSinceLocked reports whether all subscriptions were up, without a break, from
// the time on.
func (w *Watcher) areUpSinceLocked(at time.Duration) bool {
	for _, s := range w.subs {
		if up := s.upSince.Load(); up == 0 || time.Duration(up) > at {
			return false
		}
	}
	return len(w.subs) > 0
}

// isRing reports whether the client is a ring, whose shards publish by themselves.
func (w *Watcher) isRing() bool {
	_, ok := w.client.(*redis.Ring)
	return ok
}
