package engine

import (
	"fmt"
	"slices"
	"strings"
)

// salvageHead takes from a damaged head what it can: the epoch, so that the
// next one is higher, and the mode, so that an operator's decision survives.
func (r *Record) salvageHead(text string) {
	words := strings.SplitN(text, " ", 4)
	if len(words) == 4 {
		r.mode = Mode(max(0, slices.Index(modeNames[:], words[2])))
	}
	if _, rest, found := strings.Cut(text, " epoch="); found {
		var epoch int64
		if leadingInt(rest, &epoch) > 0 && within(epoch, 1, maxEpoch) {
			r.epoch = epoch
		}
	}
}

// parseMode reads what a mode other than auto carries.
func (r *Record) parseMode(text string) {
	if r.mode == ModeAuto {
		return
	}
	t := modeTerm{}
	if matchText(text, modeLayout, &t.modeUntil, &t.modeFor, &t.modeReason, &t.modeBy) &&
		(t.modeUntil > 0) == (t.modeFor > 0) && t.modeFor <= maxMS {
		t.modeReason, t.modeBy = unescapeToken(t.modeReason), unescapeToken(t.modeBy)
		r.modeTerm = t
		return
	}
	r.keepJunk(fieldMode, text)
}

// modeText writes what a mode other than auto carries.
func (r *Record) modeText() string {
	return fmt.Sprintf(modeLayout, r.modeUntil, r.modeFor, escapeToken(r.modeReason), escapeToken(r.modeBy))
}

// parseCells reads the window's other buckets, or the ring of a count window.
func (r *Record) parseCells(text map[string]string) {
	switch r.shape.Kind {
	case windowTime:
		r.cells = new([buckets]cell)
		for i := range r.cells {
			r.parseCell(int64(i), text[cellField(int64(i))])
		}
	case windowCount:
		r.ring = make([]byte, r.calls.all)
		for i := int64(0); i*chunk < r.calls.all; i++ {
			r.parseChunk(i, text[cellField(i)])
		}
	}
}

// parseCell reads one bucket. It must lie in its own place: bucket b is in
// field b mod 10.
func (r *Record) parseCell(i int64, text string) {
	if text == "" {
		return
	}
	var c cell
	if !matchText(text, cellLayout, &c.bucket, &c.calls, &c.fails, &c.slows) ||
		c.bucket%buckets != i || c.calls > maxTally || c.fails > c.calls || c.slows > c.calls {
		r.keepJunk(cellField(i), text)
		return
	}
	if r.windowReaches(c.bucket) {
		r.cells[i] = c
	}
}

// windowReaches reports whether the window still covers a bucket before the
// current one.
func (r *Record) windowReaches(bucket int64) bool { return within(bucket, r.cell-buckets+1, r.cell-1) }

// cellText writes a bucket of a time window.
func (c *cell) cellText() string {
	return fmt.Sprintf(cellLayout, c.bucket, c.calls, c.fails, c.slows)
}

// addCells adds the fields of the window.
func (r *Record) addCells(add func(name, value string)) {
	switch r.shape.Kind {
	case windowTime:
		for i, c := range r.pastCells() {
			text := ""
			if r.windowReaches(c.bucket) && c != (cell{}) {
				text = c.cellText()
			}
			add(cellField(int64(i)), text)
		}
	case windowCount:
		for i := 0; i*chunk < len(r.ring); i++ {
			add(cellField(int64(i)), string(r.ring[i*chunk:min(len(r.ring), (i+1)*chunk)]))
		}
	}
}

// parseChunk reads one field of the ring of a count window.
func (r *Record) parseChunk(i int64, text string) {
	part := r.ring[i*chunk : min(int64(len(r.ring)), (i+1)*chunk)]
	if len(text) != len(part) || strings.Trim(text, "sfSF") != "" {
		r.keepJunk(cellField(i), text)
		return
	}
	copy(part, text)
}

// parseReporters reads reporters, newest first, each once, with falling
// numbers.
func (r *Record) parseReporters(text string) {
	if !r.isCounting() || text == "" {
		return
	}
	newest := r.seq
	var list []reporter
	for part := range strings.SplitSeq(text, " ") {
		var p reporter
		known := func(o reporter) bool { return o.by == p.by }
		if !matchText(part, placeLayout, &p.by, &p.seq, &p.bucket) || !within(p.seq, 1, newest) ||
			slices.ContainsFunc(list, known) || len(list) == MaxReporters {
			r.keepJunk(fieldReporters, text)
			return
		}
		newest = p.seq - 1
		list = append(list, p)
	}
	r.reporters = list
}

// reportersText writes the reporters.
func (r *Record) reportersText() string {
	places := make([]string, len(r.reporters))
	for i, p := range r.reporters {
		places[i] = fmt.Sprintf(placeLayout, p.by, p.seq, p.bucket)
	}
	return strings.Join(places, " ")
}
