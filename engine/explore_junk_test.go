package engine

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Junk: records that no step wrote. Each number of each field is replaced, alone
// and (where every step looks) in pairs, and fields are lost, cut and mangled.

// stratum is a kind of record that junk is made of.
type stratum struct {
	exists bool
	state  State
	mode   Mode
	endsAt bool
	shape  string
	leases int
	trips  bool
}

func stratumOf(r *Record) stratum {
	return stratum{r.exists, r.state, r.mode, r.modeUntil > 0, r.shape.Kind, len(r.round.leases), r.trips > 0}
}

const wanted = 1 // records of each stratum

var (
	number   = regexp.MustCompile(`[0-9]+`)
	numbers  = []string{"", "0", "1", "2", "1000", "2147483648", "31622400000", "4503599627370496", "9007199254740991", "9007199254740992"}
	few      = []string{"0", "1", "1000", "9007199254740991"}
	anything = []string{"", "?", "-1", "nan", "1 closed auto"}
)

// eachJunk makes junk of a record's fields.
func eachJunk(fields []Field, f func([]Field)) {
	junk := append([]Field(nil), fields...)
	for i, field := range fields {
		text := field.Value
		set := func(value string) {
			junk[i].Value = value
			f(junk)
		}
		places := number.FindAllStringIndex(text, -1)
		for _, at := range places {
			for _, n := range numbers {
				set(text[:at[0]] + n + text[at[1]:])
			}
		}
		if field.Name == fieldHead || field.Name == fieldRound || field.Name == fieldMode {
			eachPair(text, places, set)
		}
		for _, word := range []string{"closed", "open", "half_open", "auto", "forced_open", "forced_closed", "shadow", "time", "count", "none"} {
			for _, other := range []string{"closed", "open", "half_open", "auto", "forced_open", "shadow", "time", "count", "none", "?"} {
				if strings.Contains(text, " "+word) {
					set(strings.Replace(text, " "+word, " "+other, 1))
				}
			}
		}
		for _, value := range append(anything, text[:len(text)/2], text+" ", text+" 1", text+text) {
			set(value)
		}
		junk[i] = field
		f(append(append([]Field(nil), fields[:i]...), fields[i+1:]...))
	}
}

// eachPair replaces two numbers.
func eachPair(text string, places [][]int, set func(string)) {
	for i, first := range places {
		for _, second := range places[i+1:] {
			for _, a := range few {
				for _, b := range few {
					set(text[:first[0]] + a + text[first[1]:second[0]] + b + text[second[1]:])
				}
			}
		}
	}
}

// junked checks what the machine makes of one junk record.
func (x *explorer) junked(w *exploredState, fields []Field) string {
	r, err := ParseRecord(fields)
	if err != nil {
		return "" // a newer layout, not ours to write
	}
	x.whole.become(&r)
	again, _ := ParseRecord(x.whole.Fields())
	if part := difference(&r, &again, everything); part != "" && r.isFieldReadable(fieldHead) { // without a head the rest is lost
		return "reads back with another " + part
	}
	b := Batch{Results: []Result{result(Ticket{Epoch: r.epoch}, Failure)}, Admissions: 2}
	for i := range x.ruled {
		if text := x.heals(&r, w.now, &x.ruled[i], b); text != "" {
			return text
		}
		if r.mode != ModeAuto && r.modeUntil == 0 && r.isFieldReadable(fieldMode) {
			continue
		}
		if text := x.recovers(&r, w.now, &x.ruled[i], false, Success); text != "" {
			return text
		}
	}
	return ""
}

// heals: one step, and what every step looks at is whole again.
func (x *explorer) heals(junk *Record, now int64, p *Rules, b Batch) string {
	r := &x.whole
	r.become(junk)
	reply := x.machine.step(r, p, now, x.random, b)
	read, err := ParseRecord(r.Fields())
	if err != nil || !read.exists || !(&machine{Record: &read}).isStateReadable() {
		return fmt.Sprintf("step %+v left it unreadable: %v", b, r.Fields())
	}
	if mode := junk.mode; reply.Transition.Cause == CauseHealed && reply.Transition.ToMode != ModeAuto &&
		(reply.Transition.ToMode != mode || !junk.isFieldReadable(fieldMode)) {
		return fmt.Sprintf("healed into %v, from %v", reply.Transition.ToMode, mode)
	}
	if reply.Transition.Cause == CauseHealed && reply.Epoch == junk.epoch {
		return "healed in the old epoch"
	}
	if healed := !junk.exists || !(&machine{Record: junk}).isStateReadable(); healed && reply.Transition.Cause == "" {
		return "healed without a word"
	}
	return ""
}

// exploreJunk damages each record that the exploration reaches.
func (x *explorer) exploreJunk() (records int) {
	x.plan.depth, x.only = 5, invRecovery
	if shallow() {
		x.plan.depth = 3
	}
	taken := map[stratum]int{}
	x.visit = func(n *node) {
		s := stratumOf(&n.rec)
		if taken[s]++; taken[s] > wanted || x.broken != nil {
			return
		}
		eachJunk(n.rec.Fields(), func(fields []Field) {
			records++
			if text := x.junked(&n.exploredState, fields); text != "" {
				x.fail(invRecovery, text+", from junk", n.path, fmt.Sprintf("now %d, junk %q\n%v", n.now, fields, &n.exploredState))
			}
		})
	}
	x.explore()
	return records
}

var junkPlans = []string{"streaks", "three probes", "count window", "time window", "two reporters", "start open", "start in shadow", "shadow"}

func TestExplore_junk(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector finds nothing in one goroutine, and makes it take minutes")
	}
	for _, name := range junkPlans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newExplorer(planNamed(name), shipped)
			records := x.exploreJunk()
			t.Logf("%d junk records from %v", records, x)
			if x.broken != nil {
				t.Fatal(x.broken)
			}
		})
	}
}

// Machines that take junk for what it says.
func TestExplore_junkMutants(t *testing.T) {
	for _, m := range []mutant{
		{"a damaged head is taken as it is", "streaks", invRecovery, credulous(fieldHead)},
		{"a damaged round is taken as it is", "three probes", invRecovery, credulous(fieldRound)},
		{"times ahead stay ahead", "streaks", invRecovery, noReanchor},
		{"the initial mode over a healed record", "start in shadow", invRecovery, initialOverHealed},
	} {
		t.Run(m.name, func(t *testing.T) {
			x := newExplorer(planNamed(m.plan), subject{m.step, (*Record).Control})
			records := x.exploreJunk()
			if x.broken == nil {
				t.Fatalf("not found in %d junk records", records)
			}
			t.Logf("found after %d junk records: %v", records, x.broken)
		})
	}
}

// initialOverHealed takes a damaged record for one that is gone.
func initialOverHealed(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	damaged := len(r.junk) > 0
	reply := r.Step(p, now, rnd, b)
	if damaged && reply.Transition.Cause == CauseHealed && p.Initial.Mode != ModeAuto {
		r.mode, r.modeTerm = p.Initial.Mode, modeTerm{modeReason: initialReason}
		reply.Mode, reply.Transition.ToMode = r.mode, r.mode
	}
	return reply
}

func credulous(field string) func(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
	return func(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
		delete(r.junk, field)
		return r.Step(p, now, rnd, b)
	}
}
