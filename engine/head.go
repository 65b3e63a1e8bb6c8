package engine

import (
	"fmt"
	"slices"
)

// isSoundHead reports whether an honest step could have written the head. A
// head that contradicts itself is as damaged as one that does not parse: taken
// as it is, it could keep a circuit open without end.
func (h *head) isSoundHead() bool {
	return within(h.epoch, 1, maxEpoch) && h.openFor <= maxMS && h.trips <= MaxTrips && within(h.newest, 1, maxNumber) &&
		(h.trips == 0 || h.openFor > 0) &&
		(h.state == StateOpen) == (h.until > 0) && (h.state != StateOpen || h.trips > 0) &&
		(h.state == StateClosed || h.mode == ModeAuto || h.mode == ModeShadow)
}

// parseHead reads the head; one that is damaged is salvaged.
func (r *Record) parseHead(text string) {
	var version int64
	var state, mode string
	var h head
	read := matchText(text, headLayout, &version, &state, &mode, &h.epoch, &h.fingerprint, &h.since, &h.until,
		&h.openFor, &h.trips, &h.newest)
	s, m := slices.Index(stateNames[:], state), slices.Index(modeNames[:], mode)
	if read && version == schema && s >= 0 && m >= 0 {
		h.state, h.mode = State(s), Mode(m)
		if h.isSoundHead() {
			r.head = h
			return
		}
	}
	r.keepJunk(fieldHead, text)
	r.salvageHead(text)
}

// headText writes the head.
func (r *Record) headText() string {
	return fmt.Sprintf(headLayout, schema, r.state, r.mode, r.epoch, r.fingerprint, r.since, r.until,
		r.openFor, r.trips, r.newest)
}
