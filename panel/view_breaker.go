package panel

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// breakerView is the page of one breaker.
type breakerView struct {
	frame
	Row          rowView
	Done         string
	Now          string
	NextSentence string
	Opened       *transitionView
	Mode         *modeView
	Unreadable   string
	Actions      []actionView
	Gauges       []gauge
	NotCounting  string
	Probes       *probesView
	ProbePlan    string
	Reporters    []string
	Timeline     []transitionView
	Older        string
	Facts        []factView
}

type modeView struct {
	By, Reason string
	Left       tickView
}

type actionView struct {
	Title, URL string
	Primary    bool
}

type probesView struct {
	Slots   []string
	Summary string
}

type factView struct{ Label, Value string }

// transitionView is a transition in the timeline.
type transitionView struct {
	Kind, State   string // after it
	Ago           tickView
	Clock         string // empty if the storage's clock does not show the time of day
	ClockText     string
	Cause         string
	By, Text, For string
}

func (p *Panel) newBreakerView(s *engine.Snapshot) breakerView {
	v := breakerView{
		Row: p.newRow(s), Now: describeNow(s), Gauges: listGauges(s), Facts: listFacts(s),
		Unreadable: showText(strings.Join(s.Unreadable, ", ")),
	}
	v.frame = p.newFrame(v.Row.State+": "+v.Row.Shown, breakerRefresh)
	v.NextSentence = sentenceNext(s)
	if v.NextSentence == "" {
		v.Row.NextText, v.Row.Next = "", nil
	}
	if t := openedBy(s); t != nil && s.Mode == engine.ModeAuto && s.State != engine.StateClosed {
		opened := newTransitionView(t)
		v.Opened = &opened
	}
	if s.Mode != engine.ModeAuto {
		v.Mode = &modeView{cmp.Or(showText(s.ModeBy), "its policy"), showText(s.ModeReason), newTick(s.ModeFor)}
	}
	if !p.options.ReadOnly {
		v.Actions = p.listActions(s, v.Row.URL)
	}
	v.NotCounting = describeCounting(s)
	v.Probes, v.ProbePlan = newProbesView(s)
	for _, by := range s.Reporters {
		v.Reporters = append(v.Reporters, showText(by))
	}
	for i := len(s.Log) - 1; i >= 0; i-- {
		v.Timeline = append(v.Timeline, newTransitionView(&s.Log[i]))
	}
	if len(s.Log) > 0 && s.Log[0].N > 1 {
		v.Older = fmt.Sprintf("The record keeps 16 transitions. %s before them are no longer in it.", formatCount(s.Log[0].N-1))
	}
	return v
}

// sentenceNext begins the sentence that a time that is left ends.
func sentenceNext(s *engine.Snapshot) string {
	switch {
	case s.Mode != engine.ModeAuto:
		return ""
	case s.State == engine.StateOpen && s.RetryAfter > 0:
		return "Probes may start in"
	case s.State == engine.StateClosed && s.RampFor > 0:
		return "All are in"
	}
	return ""
}

// listActions returns the commands that make sense now, the likeliest first.
func (p *Panel) listActions(s *engine.Snapshot, base string) []actionView {
	isForced := s.Mode == engine.ModeForcedOpen || s.Mode == engine.ModeForcedClosed
	var all []actionView
	add := func(slug string, primary, sensible bool) {
		if a, err := findAction(slug); err == nil && sensible {
			all = append(all, actionView{a.title, base + "/" + slug, primary})
		}
	}
	add("release", true, s.Mode != engine.ModeAuto)
	add("half-open", false, !isForced && s.State != engine.StateHalfOpen)
	add("reset", false, !isForced)
	add("trip", false, !isForced)
	add("force-open", false, s.Mode != engine.ModeForcedOpen)
	add("force-closed", false, s.Mode != engine.ModeForcedClosed)
	add("shadow", false, s.Mode != engine.ModeShadow)
	return all
}

// describeCounting says why the tallies do not move.
func describeCounting(s *engine.Snapshot) string {
	switch {
	case s.Mode == engine.ModeForcedOpen, s.Mode == engine.ModeForcedClosed:
		return "Nothing is counted in this mode."
	case s.State != engine.StateClosed:
		return "Counting begins when the circuit closes."
	}
	return ""
}

// maxSlots is the most probes that are drawn.
const maxSlots = 40

// newProbesView returns the round of probes, or the plan for the next one.
func newProbesView(s *engine.Snapshot) (*probesView, string) {
	if s.Probes == nil {
		if s.Policy == nil {
			return nil, ""
		}
		h := s.Policy.HalfOpen
		return nil, fmt.Sprintf("After an open period, %d of %s must succeed to close the circuit.", h.Successes, countOf(int64(h.Probes), "probe"))
	}
	r := s.Probes
	v := &probesView{Summary: fmt.Sprintf("%d of %s must succeed: %d succeeded, %d failed, %d in flight",
		r.Successes, countOf(int64(r.Probes), "probe"), r.Succeeded, r.Failed, r.Outstanding)}
	if r.Lapsed > 0 {
		v.Summary += fmt.Sprintf(", %d outlived their lease of %s", r.Lapsed, formatDuration(r.Lease))
	}
	for i := range int64(min(r.Probes, maxSlots)) {
		kind := "free"
		switch {
		case i < r.Succeeded:
			kind = "succeeded"
		case i < r.Succeeded+r.Failed:
			kind = "failed"
		case i < r.Succeeded+r.Failed+int64(r.Outstanding):
			kind = "waiting"
		}
		v.Slots = append(v.Slots, kind)
	}
	return v, ""
}

// firstClock is a time, in ms, before which a clock does not show the time of day: the
// year 2001. A clock in memory begins at 0.
const firstClock = 1_000_000_000_000

func newTransitionView(t *engine.Transition) transitionView {
	v := transitionView{
		Kind: stateKind(t.To, t.ToMode), State: stateName(t.To, t.ToMode), Ago: newAge(t.Ago),
		Cause: describeCause(t), By: showText(t.By), Text: showText(t.Text),
	}
	if t.For > 0 {
		v.For = formatDuration(t.For)
	}
	if t.At >= firstClock {
		at := time.UnixMilli(t.At).UTC()
		v.Clock, v.ClockText = at.Format(time.RFC3339), at.Format("Jan 2, 15:04:05 UTC")
	}
	return v
}

// listFacts returns the policy and the rest of the record.
func listFacts(s *engine.Snapshot) []factView {
	var all []factView
	add := func(label, value string, isSet bool) {
		if isSet {
			all = append(all, factView{label, value})
		}
	}
	if p := s.Policy; p != nil {
		w := &p.Window
		add("Opens after", countOf(int64(p.ConsecutiveFailures), "failure")+" in a row", p.ConsecutiveFailures > 0)
		add("Window", windowFact(w), w.Calls > 0 || w.Period > 0)
		add("Failure count", formatCount(int64(w.FailureCount)), w.FailureCount > 0)
		add("Failure rate", formatPercent(w.FailureRate), w.FailureRate > 0)
		add("Slow calls", fmt.Sprintf("%s over %s", formatPercent(w.SlowCallRate), formatDuration(w.SlowCallDuration)), w.SlowCallRate > 0)
		add("Least calls for a rate", formatCount(int64(w.MinCalls)), w.FailureRate > 0 || w.SlowCallRate > 0)
		add("Open period", formatDuration(p.OpenFor), true)
		add("Backoff", fmt.Sprintf("times %s, at most %s", strconv.FormatFloat(p.Backoff.Multiplier, 'g', -1, 64), formatDuration(p.Backoff.Max)), p.Backoff.Multiplier > 1)
		add("Jitter", formatPercent(p.Backoff.Jitter), p.Backoff.Jitter > 0)
		add("Probes", fmt.Sprintf("%d of %d must succeed", p.HalfOpen.Successes, p.HalfOpen.Probes), true)
		add("Lease of a probe", formatDuration(p.HalfOpen.Lease), true)
		add("Ramp after recovery", fmt.Sprintf("%s from %s on", formatDuration(p.Ramp.Over), formatPercent(p.Ramp.From)), p.Ramp.Over > 0)
		add("Least reporters", formatCount(int64(p.MinReporters)), p.MinReporters > 1)
		add("Idle lifetime", formatDuration(p.IdleTTL), p.IdleTTL > 0)
	}
	add("Last open period", formatDuration(s.OpenFor), s.OpenFor > 0)
	add("Opened in a row", formatCount(int64(s.Trips)), s.Trips > 0)
	add("Policy fingerprint", showText(s.Fingerprint), s.Fingerprint != "")
	add("Epoch", strconv.FormatInt(s.Epoch, 10), true)
	return all
}

func windowFact(w *engine.Window) string {
	if w.Calls > 0 {
		return "the last " + countOf(int64(w.Calls), "call")
	}
	return "the last " + formatDuration(w.Period)
}
