package engine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A record is text in every storage: a Redis hash, or the value of a
// compare-and-swap store. Two properties matter. An operator can read it, and no
// input is trusted: a field is taken only if an honest step could have written it.
// A damaged field is kept as junk and renewed by the step that needs it, so that
// damage never stops a breaker and is always reported.
//
// The head, the tally, the round and the other fields are in head.go, tally.go,
// round.go and fields.go.

// Field is one field of a record as text: a field of the Redis hash.
type Field struct{ Name, Value string }

// The fields of a record. docs/semantics.md has a grammar line for each.
const (
	fieldHead      = "head"
	fieldTally     = "tally"
	fieldRound     = "round"
	fieldLeases    = "leases"
	fieldReporters = "rep"
	fieldMode      = "mode"
	fieldPolicy    = "policy"
)

// The layouts are read by [matchText] and written by fmt.Sprintf. The patterns and
// formats in the Lua files of the same name must match them.
const (
	headLayout  = "%d %s %s epoch=%d policy=%s since=%d until=%d open_for=%d trips=%d n=%d"
	rampLayout  = " ramp=%d/%d/%d" // behind the head, during a ramp
	tallyLayout = "%d epoch=%d policy=%s streak=%d seq=%d win=%s/%d since=%d cell=%d clean=%d calls=%d/%d fail=%d/%d slow=%d/%d fast=%d/%d expires=%d"
	cellLayout  = "%d %d %d %d"
	modeLayout  = "until=%d for=%d reason=%s by=%s"
	roundLayout = "probes=%d successes=%d lease=%d grants=%d succeeded=%d failed=%d lapsed=%d held=%d first=%d last=%d"
	leaseLayout = "%d@%d"
	placeLayout = "%s:%d:%d"
)

func cellField(i int64) string { return "w" + strconv.FormatInt(i, 10) }

// logFields are the fields of the log, by slot. Each reading of a record needs them, so they
// are not formatted again.
var logFields = func() (names [logSlots]string) {
	for i := range names {
		names[i] = fmt.Sprintf("log:%02d", i)
	}
	return names
}()

func logField(i int64) string { return logFields[i] }

// isFieldReadable reports whether a field is sound.
func (r *Record) isFieldReadable(field string) bool {
	_, bad := r.junk[field]
	return !bad
}

// keepJunk keeps a damaged field as it is until a step writes it again.
func (r *Record) keepJunk(field, text string) {
	if r.junk == nil {
		r.junk = map[string]string{}
	}
	r.junk[field] = text
}

// isNewerLayout reports whether a head or a tally begins with a later layout
// version. Both name it, because a step may read the one without the other.
func isNewerLayout(text string) bool {
	var version int64
	n := leadingInt(text, &version)
	return n > 0 && n < len(text) && text[n] == ' ' && version > schema
}

// isForeign reports whether fields without a readable head belong to others: a
// record has at least its tally and an entry of its log. If one of these is there,
// the head was damaged or removed, and the record is renewed.
func isForeign(text map[string]string, hasLog bool) bool {
	_, hasTally := text[fieldTally]
	return !hasTally && !hasLog
}

// ParseRecord reads the fields of a record in any order; no fields are an absent
// record. A damaged field is kept as it is, and the step that needs it renews the
// record. ParseRecord fails for a newer layout, with [ErrNewerLayout], and for fields
// of others, with [ErrForeignKey].
func ParseRecord(fields []Field) (Record, error) {
	r := Record{tally: tally{shape: WindowShape{Kind: windowNone}}}
	text := make(map[string]string, len(fields))
	hasLog := false
	for _, f := range fields {
		if slot, ok := logSlot(f.Name); ok {
			hasLog = true
			r.setSlotEntry(slot, f.Value)
		} else if isKnownField(f.Name) {
			text[f.Name] = f.Value
		} else {
			if r.unknown == nil {
				r.unknown = map[string]string{}
			}
			r.unknown[f.Name] = f.Value
		}
	}
	r.policy = text[fieldPolicy]
	h, exists := text[fieldHead]
	if !exists {
		if len(fields) > 0 && isForeign(text, hasLog) {
			return Record{}, ErrForeignKey
		}
		return r, nil
	}
	if isNewerLayout(h) || isNewerLayout(text[fieldTally]) {
		return Record{}, ErrNewerLayout
	}
	r.exists = true
	r.parseHead(h)
	if !r.isFieldReadable(fieldHead) && isForeign(text, hasLog) {
		return Record{}, ErrForeignKey
	}
	r.parseMode(text[fieldMode])
	r.parseTally(text[fieldTally])
	r.parseCells(text)
	r.parseReporters(text[fieldReporters])
	r.parseRound(text[fieldRound], text[fieldLeases])
	return r, nil
}

// isKnownField reports whether this release knows the field.
func isKnownField(name string) bool {
	switch name {
	case fieldHead, fieldTally, fieldRound, fieldLeases, fieldReporters, fieldMode, fieldPolicy:
		return true
	}
	n, ok := strings.CutPrefix(name, "w")
	var i int64
	return ok && matchText(n, "%d", &i) && i < (MaxCalls+chunk-1)/chunk
}

func logSlot(name string) (int64, bool) {
	if !strings.HasPrefix(name, "log:") { // most fields, without 16 comparisons
		return 0, false
	}
	i := slices.Index(logFields[:], name)
	return int64(i), i >= 0
}

// Fields writes the record as text, which [ParseRecord] reads back to the same
// record. An absent record keeps what outlives a head: its log, its policy and
// unknown fields.
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
			add(fieldRound, r.round.roundText())
			add(fieldLeases, r.round.leasesText())
		}
		if r.mode != ModeAuto {
			add(fieldMode, r.modeText())
		}
	}
	add(fieldPolicy, r.policy)
	for slot := range int64(logSlots) {
		add(logField(slot), r.slotEntry(slot))
	}
	for _, name := range slices.Sorted(maps.Keys(r.unknown)) {
		fields = append(fields, Field{name, r.unknown[name]})
	}
	return fields
}
