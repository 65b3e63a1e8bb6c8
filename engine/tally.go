package engine

import "fmt"

// isCounting reports whether outcomes without a lease are counted.
func (r *Record) isCounting() bool {
	return r.state == StateClosed && (r.mode == ModeAuto || r.mode == ModeShadow)
}

// fenceEpoch returns the epoch that the tally carries: 0 unless closed and
// auto. So a script can decide about an outcome from the tally alone, without
// reading the head.
func (r *Record) fenceEpoch() int64 {
	if r.state == StateClosed && r.mode == ModeAuto {
		return r.epoch
	}
	return 0
}

// isSoundTally reports whether an honest step could have written the tally.
func (t *tally) isSoundTally() bool {
	if t.streak > t.seq || !t.shape.isSoundShape() || t.calls.all > maxTally || t.fastFrom > t.fastUntil ||
		t.fails.current > t.calls.current || t.slows.current > t.calls.current || t.fails.all > t.calls.all || t.slows.all > t.calls.all ||
		t.calls.current > t.calls.all || t.fails.current > t.fails.all || t.slows.current > t.slows.all {
		return false
	}
	switch t.shape.Kind {
	case windowCount:
		bad := t.fails.all + t.slows.all
		full := t.calls.all == t.shape.Size
		return t.calls.current == 0 && t.calls.all <= t.shape.Size && t.clean <= t.calls.all &&
			(full && t.cell < t.shape.Size || !full && t.cell == t.calls.all) &&
			(bad == 0) == (t.clean == t.calls.all) && max(t.fails.all, t.slows.all) <= t.calls.all-t.clean
	case windowTime:
		// An interval that exceeds the bucket would keep the window from moving on.
		return t.clean == 0 && t.fastUntil <= (t.cell+1)*t.shape.bucketMS()
	}
	return t.shapeSince == 0 && t.cell == 0 && t.clean == 0 && t.calls.all == 0
}

// parseTally reads the tally. Outside closed only its expiry matters. In closed
// it must carry the head's epoch and policy, or it belongs to another time.
func (r *Record) parseTally(text string) {
	var t tally
	var version, epoch int64
	var fingerprint string
	read := matchText(text, tallyLayout, &version, &epoch, &fingerprint, &t.streak, &t.seq, &t.shape.Kind, &t.shape.Size, &t.shapeSince, &t.cell, &t.clean,
		&t.calls.current, &t.calls.all, &t.fails.current, &t.fails.all, &t.slows.current, &t.slows.all, &t.fastFrom, &t.fastUntil, &t.expires)
	if !read || version != schema || r.isCounting() && (epoch != r.fenceEpoch() || fingerprint != r.fingerprint || !t.isSoundTally()) {
		r.keepJunk(fieldTally, text)
		return
	}
	if !r.isCounting() {
		t = tally{shape: WindowShape{Kind: windowNone}, expires: t.expires}
	}
	r.tally = t
}

// tallyText writes the tally.
func (r *Record) tallyText() string {
	return fmt.Sprintf(tallyLayout, schema, r.fenceEpoch(), r.fingerprint, r.streak, r.seq, r.shape.Kind, r.shape.Size, r.shapeSince, r.cell, r.clean,
		r.calls.current, r.calls.all, r.fails.current, r.fails.all, r.slows.current, r.slows.all, r.fastFrom, r.fastUntil, r.expires)
}
