package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Field is one field of a record as text: a field of the Redis hash.
type Field struct{ Name, Value string }

// The fields of a record. docs/semantics.md has a grammar line for each.
const (
	fieldHead      = "head"
	fieldTally     = "tally"
	fieldRound     = "round"
	fieldReporters = "rep"
	fieldMode      = "mode"
	fieldPolicy    = "policy"
)

// The layouts are read by match and written by fmt.Sprintf; the patterns and
// formats of lib/record.lua say the same.
const (
	headLayout  = "%d %s %s epoch=%d policy=%s since=%d until=%d open_for=%d trips=%d log=%d"
	tallyLayout = "epoch=%d policy=%s streak=%d seq=%d win=%s/%d stood=%d cell=%d clean=%d calls=%d/%d fail=%d/%d slow=%d/%d at=%d next=%d expires=%d"
	cellLayout  = "%d %d %d %d"
	modeLayout  = "until=%d for=%d reason=%s by=%s"
	roundLayout = "probes=%d successes=%d lease=%d grants=%d succeeded=%d failed=%d lapsed=%d leases="
	leaseLayout = "%d@%d"
	placeLayout = "%s:%d:%d"
)

func cellField(i int64) string { return "w" + strconv.FormatInt(i, 10) }

func logField(i int64) string { return fmt.Sprintf("log:%02d", i) }

// reads reports whether a field reads well.
func (r *Record) reads(field string) bool {
	_, bad := r.junk[field]
	return !bad
}

func (r *Record) spoil(field, text string) {
	if r.junk == nil {
		r.junk = map[string]string{}
	}
	r.junk[field] = text
}

// ParseRecord reads the fields of a record in any order; none is an absent
// record. A field that does not read well is kept as it is: the step that needs
// it begins the record anew. It fails only for a newer layout, with
// [ErrNewerLayout].
func ParseRecord(fields []Field) (Record, error) {
	r := Record{tally: tally{shape: WindowShape{Kind: windowNone}}}
	text := make(map[string]string, len(fields))
	for _, f := range fields {
		if slot, ok := logSlot(f.Name); ok {
			r.setEntry(slot, f.Value)
		} else if ours(f.Name) {
			text[f.Name] = f.Value
		} else {
			r.unknown = append(r.unknown, f)
		}
	}
	r.policy = text[fieldPolicy]
	h, exists := text[fieldHead]
	if !exists {
		return r, nil
	}
	if newer(h) {
		return Record{}, ErrNewerLayout
	}
	r.exists = true
	r.parseHead(h)
	r.parseMode(text[fieldMode])
	r.parseTally(text[fieldTally])
	r.parseCells(text)
	r.parseReporters(text[fieldReporters])
	r.parseRound(text[fieldRound])
	return r, nil
}

// ours reports whether this release knows the field.
func ours(name string) bool {
	switch name {
	case fieldHead, fieldTally, fieldRound, fieldReporters, fieldMode, fieldPolicy:
		return true
	}
	n, ok := strings.CutPrefix(name, "w")
	var i int64
	return ok && match(n, "%d", &i) && i < (MaxCalls+chunk-1)/chunk
}

func logSlot(name string) (int64, bool) {
	for i := range int64(logSlots) {
		if name == logField(i) {
			return i, true
		}
	}
	return 0, false
}

// newer reports whether the head begins with a later layout version.
func newer(head string) bool {
	var version int64
	n := leadingInt(head, &version)
	return n > 0 && n < len(head) && head[n] == ' ' && version > schema
}

func (r *Record) parseHead(text string) {
	var version int64
	var state, mode string
	var h head
	read := match(text, headLayout, &version, &state, &mode, &h.epoch, &h.fingerprint, &h.since, &h.until,
		&h.openFor, &h.trips, &h.newest)
	s, m := slices.Index(stateNames[:], state), slices.Index(modeNames[:], mode)
	if read && version == schema && s >= 0 && m >= 0 {
		h.state, h.mode = State(s), Mode(m)
		if h.sound() {
			r.head = h
			return
		}
	}
	r.spoil(fieldHead, text)
	r.salvage(text)
}

// sound reports whether an honest step could have written the head.
func (h *head) sound() bool {
	return within(h.epoch, 1, maxEpoch) && h.openFor <= maxMS && h.trips <= MaxTrips && h.newest < logSlots &&
		(h.trips == 0 || h.openFor > 0) &&
		(h.state == StateOpen) == (h.until > 0) && (h.state != StateOpen || h.trips > 0) &&
		(h.state == StateClosed || h.mode == ModeAuto || h.mode == ModeShadow)
}

// salvage takes from a head that does not read well what it can: the epoch, and
// the mode's name.
func (r *Record) salvage(text string) {
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

func (r *Record) parseMode(text string) {
	if r.mode == ModeAuto {
		return
	}
	t := term{}
	if match(text, modeLayout, &t.modeUntil, &t.modeFor, &t.modeReason, &t.modeBy) &&
		(t.modeUntil > 0) == (t.modeFor > 0) && t.modeFor <= maxMS {
		t.modeReason, t.modeBy = untoken(t.modeReason), untoken(t.modeBy)
		r.term = t
		return
	}
	r.spoil(fieldMode, text)
}

func (r *Record) parseTally(text string) {
	var t tally
	var epoch int64
	var fingerprint string
	read := match(text, tallyLayout, &epoch, &fingerprint, &t.streak, &t.seq, &t.shape.Kind, &t.shape.Size, &t.stood, &t.cell, &t.clean,
		&t.calls.now, &t.calls.all, &t.fails.now, &t.fails.all, &t.slows.now, &t.slows.all, &t.at, &t.next, &t.expires)
	if !read || r.counting() && (epoch != r.fence() || fingerprint != r.fingerprint || !t.sound()) {
		r.spoil(fieldTally, text)
		return
	}
	if !r.counting() {
		t = tally{shape: WindowShape{Kind: windowNone}, expires: t.expires}
	}
	r.tally = t
}

// fence is the epoch that the tally carries, so that reading the tally alone
// decides about an outcome: 0 unless closed and auto.
func (r *Record) fence() int64 {
	if r.state == StateClosed && r.mode == ModeAuto {
		return r.epoch
	}
	return 0
}

// sound reports whether an honest step could have written the tally.
func (t *tally) sound() bool {
	if t.streak > t.seq || !t.shape.sound() ||
		t.fails.now > t.calls.now || t.slows.now > t.calls.now || t.fails.all > t.calls.all || t.slows.all > t.calls.all ||
		t.calls.now > t.calls.all || t.fails.now > t.fails.all || t.slows.now > t.slows.all {
		return false
	}
	switch t.shape.Kind {
	case windowCount:
		bad := t.fails.all + t.slows.all
		full := t.calls.all == t.shape.Size
		return t.calls.now == 0 && t.calls.all <= t.shape.Size && t.clean <= t.calls.all &&
			(full && t.cell < t.shape.Size || !full && t.cell == t.calls.all) &&
			(bad == 0) == (t.clean == t.calls.all) && max(t.fails.all, t.slows.all) <= t.calls.all-t.clean
	case windowTime:
		return t.clean == 0
	}
	return t.stood == 0 && t.cell == 0 && t.clean == 0 && t.calls.all == 0
}

// parseCells reads the window's other buckets, or the count ring.
func (r *Record) parseCells(text map[string]string) {
	switch r.shape.Kind {
	case windowTime:
		r.cells = make([]cell, buckets)
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

func (r *Record) parseCell(i int64, text string) {
	if text == "" {
		return
	}
	var c cell
	if !match(text, cellLayout, &c.bucket, &c.calls, &c.fails, &c.slows) ||
		c.bucket%buckets != i || c.fails > c.calls || c.slows > c.calls {
		r.spoil(cellField(i), text)
		return
	}
	if r.reaches(c.bucket) {
		r.cells[i] = c
	}
}

// reaches reports whether the window still reaches a bucket before the current one.
func (r *Record) reaches(bucket int64) bool { return within(bucket, r.cell-buckets+1, r.cell-1) }

func (r *Record) parseChunk(i int64, text string) {
	part := r.ring[i*chunk : min(int64(len(r.ring)), (i+1)*chunk)]
	if len(text) != len(part) || strings.Trim(text, "sfSF") != "" {
		r.spoil(cellField(i), text)
		return
	}
	copy(part, text)
}

// parseReporters reads reporters, newest first, each once.
func (r *Record) parseReporters(text string) {
	if !r.counting() || text == "" {
		return
	}
	newest := r.seq
	var list []reporter
	for _, part := range strings.Split(text, " ") {
		var p reporter
		known := func(o reporter) bool { return o.by == p.by }
		if !match(part, placeLayout, &p.by, &p.seq, &p.bucket) || !within(p.seq, 1, newest) ||
			slices.ContainsFunc(list, known) || len(list) == MaxReporters {
			r.spoil(fieldReporters, text)
			return
		}
		newest = p.seq - 1
		list = append(list, p)
	}
	r.reporters = list
}

func (r *Record) parseRound(text string) {
	if r.state != StateHalfOpen {
		return
	}
	var d round
	i := strings.Index(text, "leases=") + len("leases=")
	if i < len("leases=") || !match(text[:i], roundLayout, &d.probes, &d.successes, &d.leaseMS, &d.grants,
		&d.succeeded, &d.failed, &d.lapsed) || !d.parseLeases(text[i:]) || !d.sound() {
		r.spoil(fieldRound, text)
		return
	}
	r.round = d
}

func (d *round) parseLeases(text string) bool {
	if text == "-" {
		return true
	}
	last := int64(0)
	for _, part := range strings.Split(text, ",") {
		var l lease
		if !match(part, leaseLayout, &l.grant, &l.deadline) || !within(l.grant, last+1, d.grants) {
			return false
		}
		last = l.grant
		d.leases = append(d.leases, l)
	}
	return true
}

// sound reports whether an honest step could have written the round.
func (d *round) sound() bool {
	return within(d.probes, 1, MaxProbes) && within(d.successes, 1, d.probes) && within(d.leaseMS, 1, maxMS) &&
		d.grants <= maxGrant && d.lapsed <= d.grants && d.succeeded < d.successes && d.failed <= d.probes-d.successes && d.free() >= 0
}

// Fields writes the record as text: what ParseRecord reads back to the same
// record. An absent record has no fields of its own.
func (r *Record) Fields() []Field {
	var fields []Field
	add := func(name, value string) {
		junk, bad := r.junk[name]
		if bad {
			value = junk
		}
		if value != "" || bad {
			fields = append(fields, Field{name, value})
		}
	}
	if r.exists {
		add(fieldHead, r.headText())
		add(fieldTally, r.tallyText())
		r.addCells(add)
		add(fieldReporters, r.reportersText())
		if r.state == StateHalfOpen {
			add(fieldRound, r.round.String())
		}
		if r.mode != ModeAuto {
			add(fieldMode, fmt.Sprintf(modeLayout, r.modeUntil, r.modeFor, token(r.modeReason), token(r.modeBy)))
		}
	}
	add(fieldPolicy, r.policy)
	for i, entry := range r.log {
		add(logField(int64(i)), entry)
	}
	return append(fields, r.unknown...)
}

func (r *Record) headText() string {
	return fmt.Sprintf(headLayout, schema, r.state, r.mode, r.epoch, r.fingerprint, r.since, r.until,
		r.openFor, r.trips, r.newest)
}

func (r *Record) tallyText() string {
	return fmt.Sprintf(tallyLayout, r.fence(), r.fingerprint, r.streak, r.seq, r.shape.Kind, r.shape.Size, r.stood, r.cell, r.clean,
		r.calls.now, r.calls.all, r.fails.now, r.fails.all, r.slows.now, r.slows.all, r.at, r.next, r.expires)
}

func (r *Record) addCells(add func(name, value string)) {
	switch r.shape.Kind {
	case windowTime:
		for i, c := range r.cells {
			text := ""
			if r.reaches(c.bucket) && c != (cell{}) {
				text = fmt.Sprintf(cellLayout, c.bucket, c.calls, c.fails, c.slows)
			}
			add(cellField(int64(i)), text)
		}
	case windowCount:
		for i := 0; i*chunk < len(r.ring); i++ {
			add(cellField(int64(i)), string(r.ring[i*chunk:min(len(r.ring), (i+1)*chunk)]))
		}
	}
}

func (r *Record) reportersText() string {
	places := make([]string, len(r.reporters))
	for i, p := range r.reporters {
		places[i] = fmt.Sprintf(placeLayout, p.by, p.seq, p.bucket)
	}
	return strings.Join(places, " ")
}

// String is the round as the record's text has it.
func (d *round) String() string {
	leases := make([]string, len(d.leases))
	for i, l := range d.leases {
		leases[i] = fmt.Sprintf(leaseLayout, l.grant, l.deadline)
	}
	list := strings.Join(leases, ",")
	if list == "" {
		list = "-"
	}
	return fmt.Sprintf(roundLayout, d.probes, d.successes, d.leaseMS, d.grants, d.succeeded, d.failed, d.lapsed) + list
}
