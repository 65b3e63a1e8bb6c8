package engine

import (
	"fmt"
	"slices"
	"strings"
)

// isSoundHead reports whether an honest step could have written the head. A
// head that contradicts itself is as damaged as one that does not parse: taken
// as it is, it could keep a circuit open without end.
func (h *head) isSoundHead() bool {
	return within(h.epoch, 1, maxEpoch) && h.openFor <= maxMS && h.trips <= MaxTrips && within(h.newest, 1, maxNumber) &&
		(h.trips == 0 || h.openFor > 0) &&
		(h.state == StateOpen) == (h.until > 0) && (h.state != StateOpen || h.trips > 0) &&
		(h.state == StateClosed || h.mode == ModeAuto || h.mode == ModeShadow) &&
		(h.rampMS == 0 || h.state == StateClosed && h.rampMS <= maxMS && within(int64(h.rampFrom), 1, scale))
}

// parseHead reads the head; one that is damaged is salvaged.
func (r *Record) parseHead(text string) {
	var version int64
	var state, mode string
	var h head
	common, ramp, ramping := strings.Cut(text, " ramp=")
	read := matchText(common, headLayout, &version, &state, &mode, &h.epoch, &h.fingerprint, &h.since, &h.until,
		&h.openFor, &h.trips, &h.newest)
	if ramping {
		var end, from int64
		read = read && matchText(" ramp="+ramp, rampLayout, &end, &h.rampMS, &from) && h.rampMS > 0 && end == h.since+h.rampMS && from <= scale
		h.rampFrom = uint16(from)
	}
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
	text := fmt.Sprintf(headLayout, schema, r.state, r.mode, r.epoch, r.fingerprint, r.since, r.until,
		r.openFor, r.trips, r.newest)
	if r.rampMS > 0 {
		text += fmt.Sprintf(rampLayout, r.since+r.rampMS, r.rampMS, r.rampFrom)
	}
	return text
}
