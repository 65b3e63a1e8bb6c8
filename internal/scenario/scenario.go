// Package scenario runs the datadriven scenarios of the state machine: text
// files that a reviewer can read, each about one idea. A scenario drives the
// pure machine and, beside it, any number of [Lua] twins; a twin that answers
// otherwise, or leaves another record, fails the test.
//
// The commands, one on a line, each followed by ---- and what it answers:
//
//	policy [NAME] consecutive=2 calls=10 rate=0.5 open_for=5s ...   a policy; without a name, the one that commands use
//	at 1000s                          the clock, since its zero
//	wait 5s                           the clock moves; wait -5s moves it back
//	rnd 1048575                       the randomness of what follows; at first 0
//	acquire CALLER...                 one step; each CALLER keeps its ticket
//	report CALLER OUTCOME [x3]        one step: the caller's ticket and outcome, as often as it is given
//	step CALLER:OUTCOME*3,... ... acquire=(CALLER,...)    one step of any results, then admissions
//	control ACTION [for=10s] [reason=why] [by=ops] [if_epoch=seen|absent|N] [stored]
//	inspect                           what an operator sees
//	log                               the record's log, oldest first
//	record [FIELD...]                 fields as text; all but the log if none is named
//	edit FIELD                        the input's lines, each "old -> new", change the field's text
//	put FIELD                         the input becomes the field's text
//	drop FIELD...                     fields vanish
//	flush                             the whole record vanishes
//	see, save, restore                remember the epoch; remember the record; bring it back
//
// acquire, report, step and control take policy=NAME; report and step take
// by=REPORTER (a CALLER's own name, if there is one result), retry_after=20s,
// text=words, and standing=yes to ask for it. Spaces in words are written as
// underscores.
package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// Run runs one file on the pure machine and on the twins, whose records it
// replaces.
func Run(t *testing.T, path string, twins ...*Lua) {
	t.Helper()
	w := &scenarioRun{twins: twins, rules: map[string]*engine.Rules{}, tickets: map[string]engine.Ticket{}}
	w.loadFields(t, nil)
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		w.t, w.words = t, wordsOf(d)
		command, ok := commands[d.Cmd]
		if !ok {
			d.Fatalf(t, "no such command")
		}
		out := command(w, d)
		if len(w.words) > 0 {
			d.Fatalf(t, "no such words: %v", w.words)
		}
		return out + "\n"
	})
}

var commands = map[string]func(*scenarioRun, *datadriven.TestData) string{
	"policy": (*scenarioRun).runPolicy, "at": (*scenarioRun).runSetTime, "wait": (*scenarioRun).runAdvance, "rnd": (*scenarioRun).runRandom,
	"acquire": (*scenarioRun).runAcquire, "report": (*scenarioRun).runReport, "step": (*scenarioRun).runBatch, "control": (*scenarioRun).runControl,
	"inspect": (*scenarioRun).runInspect, "log": (*scenarioRun).runShowLog, "record": (*scenarioRun).runRecord,
	"edit": (*scenarioRun).runEditField, "put": (*scenarioRun).runPutField, "drop": (*scenarioRun).runDropField, "flush": (*scenarioRun).runFlush,
	"see": (*scenarioRun).runSeeEpoch, "save": (*scenarioRun).runSaveRecord, "restore": (*scenarioRun).runRestore,
}

// scenarioRun is one scenario in progress.
type scenarioRun struct {
	t     *testing.T
	words map[string]string // the command's key=value words that are not used yet

	twins    []*Lua
	pure     engine.Record
	now, rnd int64
	rules    map[string]*engine.Rules // by name; "" is the one that commands use
	tickets  map[string]engine.Ticket // by caller
	seen     int64
	saved    []engine.Field
}

// wordsOf returns a command's words with a value.
func wordsOf(d *datadriven.TestData) map[string]string {
	all := map[string]string{}
	for _, a := range d.CmdArgs {
		if len(a.Vals) > 0 {
			all[a.Key] = strings.Join(a.Vals, ",")
		}
	}
	return all
}

// namesOf returns a command's words without one.
func namesOf(d *datadriven.TestData) []string {
	var list []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			list = append(list, a.Key)
		}
	}
	return list
}

// takeWord returns a word's value, "" if it was not given.
func (w *scenarioRun) takeWord(word string) string {
	value := w.words[word]
	delete(w.words, word)
	return strings.ReplaceAll(value, "_", " ")
}

func (w *scenarioRun) parseDuration(text string) time.Duration {
	w.t.Helper()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *scenarioRun) parseInteger(text string) int64 {
	w.t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// rulesOf returns the rules that policy=NAME asks for.
func (w *scenarioRun) rulesOf() *engine.Rules {
	w.t.Helper()
	name := w.takeWord("policy")
	if w.rules[name] == nil {
		w.t.Fatalf("no policy %q yet", name)
	}
	return w.rules[name]
}

func (w *scenarioRun) runPolicy(d *datadriven.TestData) string {
	name := ""
	for _, n := range namesOf(d) {
		if n == "allow_slow" {
			w.words[n] = "true"
		} else {
			name = n
		}
	}
	p, err := parsePolicy(w.words)
	w.words = nil
	if err != nil {
		return err.Error()
	}
	rules, err := p.Rules()
	if err != nil {
		return err.Error()
	}
	w.rules[name] = &rules
	return "ok"
}

func (w *scenarioRun) runSetTime(d *datadriven.TestData) string {
	w.now = w.parseDuration(namesOf(d)[0]).Milliseconds()
	return "ok"
}

func (w *scenarioRun) runAdvance(d *datadriven.TestData) string {
	w.now += w.parseDuration(namesOf(d)[0]).Milliseconds()
	return "at " + formatInstant(w.now)
}

func (w *scenarioRun) runRandom(d *datadriven.TestData) string {
	w.rnd = w.parseInteger(namesOf(d)[0])
	return "ok"
}

// formatInstant shows a time on the clock, such as 1004.999s.
func formatInstant(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64) + "s" }

// formatTransition returns a transition with its whole tally: String leaves out an empty
// window, which all engines must write.
func formatTransition(t engine.Transition) string {
	tally := t.Tally
	if tally == "" {
		return t.String()
	}
	t.Tally = ""
	cause := "(" + string(t.Cause) + ")"
	return strings.Replace(t.String(), cause, cause+" "+tally, 1)
}

// formatLength shows a duration in ms.
func formatLength(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func (w *scenarioRun) runAcquire(d *datadriven.TestData) string {
	callers := namesOf(d)
	return w.runStep(engine.Batch{Admissions: int64(len(callers))}, callers)
}

func (w *scenarioRun) runReport(d *datadriven.TestData) string {
	list := namesOf(d)
	run := list[1]
	if len(list) > 2 {
		run += "*" + strings.TrimPrefix(list[2], "x")
	}
	return w.runStep(engine.Batch{Reporter: list[0], Results: []engine.Result{w.parseResult(list[0] + ":" + run)}}, nil)
}

func (w *scenarioRun) runBatch(d *datadriven.TestData) string {
	var b engine.Batch
	for _, name := range namesOf(d) {
		b.Results = append(b.Results, w.parseResult(name))
	}
	var callers []string
	if list := w.takeWord("acquire"); list != "" {
		callers = strings.Split(list, ",")
	}
	b.Admissions = int64(len(callers))
	return w.runStep(b, callers)
}

// parseResult reads CALLER:OUTCOME*3,OUTCOME,... The ticket's lease can be left out
// or replaced: CALLER.0:..., CALLER.7:...
func (w *scenarioRun) parseResult(text string) engine.Result {
	w.t.Helper()
	caller, list, _ := strings.Cut(text, ":")
	caller, lease, forged := strings.Cut(caller, ".")
	ticket, known := w.tickets[caller]
	if !known {
		w.t.Fatalf("%q has no ticket", caller)
	}
	if forged {
		ticket.Lease = w.parseInteger(lease)
	}
	res := engine.Result{Ticket: ticket}
	for _, part := range strings.Split(list, ",") {
		name, count, repeated := strings.Cut(part, "*")
		run := engine.Run{N: 1}
		for o := engine.Success; o <= engine.TripNow; o++ {
			if o.String() == name {
				run.Outcome = o
			}
		}
		if run.Outcome == 0 {
			w.t.Fatalf("no outcome %q", name)
		}
		if repeated {
			run.N = w.parseInteger(count)
		}
		res.Runs = append(res.Runs, run)
	}
	return res
}

// runStep runs a batch on every twin and describes the result.
func (w *scenarioRun) runStep(b engine.Batch, callers []string) string {
	w.t.Helper()
	if by := w.takeWord("by"); by != "" {
		b.Reporter = by
	}
	b.Detail = engine.Detail{OpenFor: w.parseDuration(w.takeWord("retry_after")), Text: w.takeWord("text")}
	b.AskStanding = w.takeWord("standing") == "yes"
	rules := w.rulesOf()
	before := w.pure.Fields()
	reply := w.pure.Step(rules, w.now, w.rnd, b)
	after := w.pure.Fields()
	untouched := cmp.Equal(before, after)

	for _, l := range w.twins {
		raw := w.rawFields(l)
		answer, err := l.Eval("step", w.now, scripts.StepArgs(rules, w.rnd, b))
		if err != nil {
			w.t.Fatalf("%s: %v", l.Name, err)
		}
		got, err := scripts.DecodeStep(answer, rules, b)
		if err != nil {
			w.t.Fatalf("%s: %v", l.Name, err)
		}
		if diff := cmp.Diff(reply, got); diff != "" {
			w.t.Errorf("reply of %s (-pure +lua):\n%s", l.Name, diff)
		}
		if diff := cmp.Diff(raw, w.rawFields(l)); untouched && diff != "" {
			w.t.Errorf("%s writes what the pure machine does not:\n%s", l.Name, diff)
		}
	}
	w.compareTwins(before)
	out := w.describeReply(reply, callers, len(b.Results) > 0, untouched)
	if b.AskStanding {
		out += "\n" + describeStanding(&reply.Standing)
	}
	return out
}

// describeStanding puts a standing into words.
func describeStanding(s *engine.Standing) string {
	if !s.Known {
		return "standing: unknown"
	}
	line := fmt.Sprintf("standing: streak %d, number %d, calls %d, failures %d, slow %d", s.Streak, s.Seq, s.Window.Calls, s.Window.Failures, s.Window.Slow)
	if s.WindowAgeMS > 0 {
		line += ", window of " + formatLength(s.WindowAgeMS)
	}
	if s.TurnMS > 0 {
		line += fmt.Sprintf("; in %s leave %d, %d, %d", formatLength(s.TurnMS), s.Leaving.Calls, s.Leaving.Failures, s.Leaving.Slow)
	}
	if s.Other.Seq > 0 {
		line += fmt.Sprintf("; another at number %d, for %d turns", s.Other.Seq, s.Other.Turns)
	}
	return line
}

// describeReply puts a reply into words.
func (w *scenarioRun) describeReply(r engine.Reply, callers []string, reports, untouched bool) string {
	var lines []string
	if r.Transition.Cause != "" {
		lines = append(lines, formatTransition(r.Transition))
	}
	if reports {
		line := fmt.Sprintf("applied %d", r.Applied)
		if r.Stale > 0 {
			line += fmt.Sprintf(", stale %d", r.Stale)
		}
		if r.OverdueMS > 0 {
			line += fmt.Sprintf(", a probe took %s with a lease of %s", formatLength(r.OverdueMS), formatLength(r.OverdueLeaseMS))
		}
		lines = append(lines, line)
	}
	for i, caller := range callers {
		n := int64(i)
		switch {
		case n >= r.Granted && r.AdmitsUncounted():
			w.tickets[caller] = engine.Ticket{}
			lines = append(lines, caller+": admitted, not counted")
		case n >= r.Granted:
			lines = append(lines, caller+": rejected")
		case r.FirstLease > 0:
			w.tickets[caller] = engine.Ticket{Epoch: r.Epoch, Lease: r.FirstLease + n}
			lines = append(lines, fmt.Sprintf("%s: admitted, lease %d", caller, r.FirstLease+n))
		default:
			w.tickets[caller] = engine.Ticket{Epoch: r.Epoch}
			lines = append(lines, caller+": admitted")
		}
	}
	line := r.State.String()
	if r.Mode != engine.ModeAuto {
		line += ", " + r.Mode.String()
	}
	if r.LeftMS > 0 {
		line += ", " + formatLength(r.LeftMS) + " left"
	}
	if untouched {
		line += "; nothing written"
	}
	return strings.Join(append(lines, line), "\n")
}

func (w *scenarioRun) runControl(d *datadriven.TestData) string {
	list := namesOf(d)
	c := engine.Command{For: w.parseDuration(w.takeWord("for")), Reason: w.takeWord("reason"), Actor: w.takeWord("by")}
	for a := engine.ActionTrip; a <= engine.ActionRelease; a++ {
		if a.String() == list[0] {
			c.Action = a
		}
	}
	switch text := w.takeWord("if_epoch"); text {
	case "":
	case "seen":
		c.IfEpoch = w.seen
	case "absent":
		c.IfEpoch = -1
	default:
		c.IfEpoch = w.parseInteger(text)
	}
	if err := c.Validate(); err != nil {
		return err.Error()
	}
	stored := slices.Contains(list, "stored")
	own, before := w.rulesOf(), w.pure.Fields()
	rules := own
	if r, ok := w.pure.Rules(); ok && stored {
		rules = &r
	}
	moves, verdict := w.pure.Control(rules, w.now, w.rnd, c)
	untouched := cmp.Equal(before, w.pure.Fields())
	for _, l := range w.twins {
		answer, err := l.Eval("control", w.now, scripts.ControlArgs(own, stored, w.rnd, c))
		if err != nil {
			w.t.Fatalf("%s: %v", l.Name, err)
		}
		got, err := scripts.DecodeControl(answer)
		if !errors.Is(err, verdict) || verdict == nil && err != nil {
			w.t.Fatalf("%s: %v, want %v", l.Name, err, verdict)
		}
		if diff := cmp.Diff(moves, got.Transitions); diff != "" || got.NowMS != w.now {
			w.t.Errorf("%s at %d (-pure +lua):\n%s", l.Name, got.NowMS, diff)
		}
	}
	w.compareTwins(before)
	var lines []string
	for _, m := range moves {
		lines = append(lines, formatTransition(m))
	}
	if verdict != nil {
		lines = append(lines, "refused: "+verdict.Error())
	}
	s := w.pure.Snapshot("", w.now)
	line := s.State.String()
	if !s.Exists {
		line = "absent"
	} else if s.Mode != engine.ModeAuto {
		line += ", " + s.Mode.String()
	}
	if s.RetryAfter > 0 {
		line += ", " + s.RetryAfter.String() + " left"
	}
	if untouched {
		line += "; nothing written"
	}
	return strings.Join(append(lines, line), "\n")
}

func (w *scenarioRun) runInspect(*datadriven.TestData) string {
	s := w.pure.Snapshot("name", w.now)
	for _, l := range w.twins {
		answer, err := l.Eval("inspect", w.now, nil)
		if err != nil {
			w.t.Fatalf("%s: %v", l.Name, err)
		}
		r, now, err := scripts.DecodeInspect(answer)
		if err != nil {
			w.t.Fatalf("%s: %v", l.Name, err)
		}
		if diff := cmp.Diff(s, r.Snapshot("name", now)); diff != "" {
			w.t.Errorf("%s (-pure +lua):\n%s", l.Name, diff)
		}
	}
	if !s.Exists {
		return "absent"
	}
	lines := []string{fmt.Sprintf("%v for %v, epoch %d", s.State, s.Age, s.Epoch)}
	add := func(show bool, format string, args ...any) {
		if show {
			lines = append(lines, fmt.Sprintf(format, args...))
		}
	}
	add(s.RetryAfter > 0, "retry after %v", s.RetryAfter)
	add(s.Trips > 0, "trips %d, the last for %v", s.Trips, s.OpenFor)
	ends := "until released"
	if s.ModeFor > 0 {
		ends = "for " + s.ModeFor.String()
	}
	add(s.Mode != engine.ModeAuto, "mode %v %s, reason %q, by %q", s.Mode, ends, s.ModeReason, s.ModeBy)
	add(s.Streak > 0, "streak %d", s.Streak)
	add(s.Calls > 0, "calls %d, failures %d, slow %d", s.Calls, s.Failures, s.Slow)
	add(len(s.Reporters) > 0, "reporters %q", s.Reporters)
	if p := s.Probes; p != nil {
		add(true, "probes %d of %d outstanding, granted %d, succeeded %d of %d, failed %d, lapsed %d, late %d, lease %v",
			p.Outstanding, p.Probes, p.Granted, p.Succeeded, p.Successes, p.Failed, p.Lapsed, p.Late, p.Lease)
	}
	add(s.Policy == nil, "no policy")
	add(len(s.Unreadable) > 0, "unreadable %q", s.Unreadable)
	return strings.Join(lines, "\n")
}

func (w *scenarioRun) runShowLog(*datadriven.TestData) string {
	var lines []string
	for _, t := range w.pure.Snapshot("", w.now).Log {
		line := fmt.Sprintf("%d: %s %s", t.N, formatInstant(t.At), formatTransition(t))
		if t.For > 0 {
			line += " for " + t.For.String()
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (w *scenarioRun) runRecord(d *datadriven.TestData) string {
	var lines []string
	wanted := namesOf(d)
	for _, f := range w.pure.Fields() {
		if slices.Contains(wanted, f.Name) || len(wanted) == 0 && !strings.HasPrefix(f.Name, "log:") {
			lines = append(lines, f.Name+": "+f.Value)
		}
	}
	return strings.Join(lines, "\n")
}

func (w *scenarioRun) runEditField(d *datadriven.TestData) string {
	name := namesOf(d)[0]
	hash := Hash(w.pure.Fields())
	for _, line := range strings.Split(d.Input, "\n") {
		from, to, found := strings.Cut(line, " -> ")
		if !found || !strings.Contains(hash[name], from) {
			w.t.Fatalf("%q: nothing to replace in %q", line, hash[name])
		}
		hash[name] = strings.Replace(hash[name], from, to, 1)
	}
	w.loadFields(w.t, List(hash))
	return "ok"
}

func (w *scenarioRun) runPutField(d *datadriven.TestData) string {
	hash := Hash(w.pure.Fields())
	hash[namesOf(d)[0]] = d.Input
	w.loadFields(w.t, List(hash))
	return "ok"
}

func (w *scenarioRun) runDropField(d *datadriven.TestData) string {
	hash := Hash(w.pure.Fields())
	for _, name := range namesOf(d) {
		delete(hash, name)
	}
	w.loadFields(w.t, List(hash))
	return "ok"
}

func (w *scenarioRun) runFlush(*datadriven.TestData) string {
	w.loadFields(w.t, nil)
	return "ok"
}

func (w *scenarioRun) runSeeEpoch(*datadriven.TestData) string {
	w.seen = w.pure.Snapshot("", w.now).Epoch
	return "ok"
}

func (w *scenarioRun) runSaveRecord(*datadriven.TestData) string {
	w.saved = w.pure.Fields()
	return "ok"
}

func (w *scenarioRun) runRestore(*datadriven.TestData) string {
	w.loadFields(w.t, w.saved)
	return "ok"
}

// loadFields replaces the record everywhere.
func (w *scenarioRun) loadFields(t *testing.T, fields []engine.Field) {
	t.Helper()
	r, err := engine.ParseRecord(fields)
	if err != nil {
		t.Fatal(err)
	}
	w.pure = r
	for _, l := range w.twins {
		if err := l.Load(Hash(fields)); err != nil {
			t.Fatalf("%s: %v", l.Name, err)
		}
	}
}

// compareTwins holds the twins' records, and the TTLs that were just set, against
// the pure one.
func (w *scenarioRun) compareTwins(before []engine.Field) {
	w.t.Helper()
	want, err := Canonical(w.pure.Fields())
	if err != nil {
		w.t.Fatal(err)
	}
	ends := expiresOf(w.pure.Fields())
	for _, l := range w.twins {
		got, err := l.Fields()
		if err != nil {
			w.t.Fatalf("%s: %v", l.Name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("record of %s (-pure +lua):\n%s", l.Name, diff)
		}
		if !l.Exact || ends == expiresOf(before) {
			continue
		}
		wantTTL := time.Duration(-1) // none
		if ends > 0 {
			wantTTL = time.Duration(ends-w.now) * time.Millisecond
		}
		if ttl, err := l.Redis.PTTL(w.t.Context(), l.Key).Result(); err != nil || ttl != wantTTL {
			w.t.Errorf("TTL of %s: %v, %v, want %v", l.Name, ttl, err, wantTTL)
		}
	}
}

// expiresOf returns when a record's TTL ends.
func expiresOf(fields []engine.Field) int64 {
	_, text, _ := strings.Cut(Hash(fields)["tally"], " expires=")
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func (w *scenarioRun) rawFields(l *Lua) map[string]string {
	w.t.Helper()
	raw, err := l.Raw()
	if err != nil {
		w.t.Fatalf("%s: %v", l.Name, err)
	}
	return raw
}
