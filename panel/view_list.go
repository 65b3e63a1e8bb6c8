package panel

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// tickView is a duration that goes on while the page is shown.
type tickView struct {
	MS   int64
	Text string
}

func newTick(d time.Duration) tickView { return tickView{d.Milliseconds(), formatDuration(d)} }

// newAge returns an age. Ages below a second are not worth their digits.
func newAge(d time.Duration) tickView {
	return tickView{d.Milliseconds(), formatDuration(d.Truncate(time.Second))}
}

// rowView is a breaker on a page.
type rowView struct {
	ID, URL, Shown string
	Key            string // instead of all else, if the name is not stored
	Fault          string // besides ID, URL and Shown, if the breaker could not be read
	Epoch          int64
	Kind           string // its icon and color
	State          string
	Why            string
	Gauge          *gauge
	Since          tickView
	NextText       string
	Next           *tickView
}

// newRow returns the row of a breaker that could be read.
func (p *Panel) newRow(s *engine.Snapshot) rowView {
	id := encodeName(s.Name)
	row := rowView{
		ID: id, URL: p.options.Prefix + "/breakers/" + id, Shown: showText(s.Name), Epoch: s.Epoch,
		Kind: stateKind(s.State, s.Mode), State: stateName(s.State, s.Mode), Since: newAge(s.Age),
	}
	if s.Mode == engine.ModeAuto && s.State == engine.StateClosed && s.RampFor > 0 {
		row.Kind, row.State = "half", "Recovering"
	}
	row.Why = describeWhy(s)
	row.NextText, row.Next = describeNext(s)
	if s.Mode != engine.ModeForcedClosed && s.Mode != engine.ModeForcedOpen && s.State == engine.StateClosed {
		for _, g := range listGauges(s) {
			if g.Danger > 0 && (row.Gauge == nil || g.Danger > row.Gauge.Danger) {
				row.Gauge = &g
			}
		}
	}
	return row
}

// newFaultRow returns the row of a breaker that could not be read.
func (p *Panel) newFaultRow(b *breaker) rowView {
	id := encodeName(b.Name)
	return rowView{ID: id, URL: p.options.Prefix + "/breakers/" + id, Shown: showText(b.Name), Fault: showText(faultText(b.fault))}
}

// stateKind returns the class of a state and mode.
func stateKind(s engine.State, m engine.Mode) string {
	switch m {
	case engine.ModeForcedOpen:
		return "forced-open"
	case engine.ModeForcedClosed:
		return "forced-closed"
	case engine.ModeShadow:
		return "shadow"
	}
	switch s {
	case engine.StateOpen:
		return "open"
	case engine.StateHalfOpen:
		return "half"
	}
	return "closed"
}

// describeWhy says in one line why a breaker is not simply closed.
func describeWhy(s *engine.Snapshot) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, showText(text))
		}
	}
	if s.Mode != engine.ModeAuto {
		add(s.ModeReason)
		if s.ModeBy != "" {
			add("by " + s.ModeBy)
		}
		return strings.Join(parts, " · ")
	}
	t := openedBy(s)
	if t == nil || s.State == engine.StateClosed && s.RampFor == 0 {
		return ""
	}
	if t.Cause != engine.CauseOperator || t.Text == "" {
		add(describeCause(t))
	}
	add(t.Text)
	if t.By != "" {
		add("by " + t.By)
	}
	if s.Trips > 1 {
		add(fmt.Sprintf("opened %d times in a row", s.Trips))
	}
	return strings.Join(parts, " · ")
}

// describeNext says what happens next, and when.
func describeNext(s *engine.Snapshot) (string, *tickView) {
	in := func(text string, d time.Duration) (string, *tickView) {
		tick := newTick(d)
		return text, &tick
	}
	switch {
	case s.Mode != engine.ModeAuto && s.ModeFor > 0:
		return in("ends in", s.ModeFor)
	case s.Mode != engine.ModeAuto:
		return "until released", nil
	case s.State == engine.StateOpen && s.RetryAfter > 0:
		return in("probes in", s.RetryAfter)
	case s.State == engine.StateOpen:
		return "next call probes", nil
	case s.State == engine.StateHalfOpen && s.Probes != nil:
		return fmt.Sprintf("%d of %d probes succeeded", s.Probes.Succeeded, s.Probes.Successes), nil
	case s.RampFor > 0:
		return in("all calls in", s.RampFor)
	}
	return "", nil
}

// listView is the page of a list.
type listView struct {
	frame
	Headline, Sub  string
	Problems       []string
	Tabs           []tabView
	Query          string
	States         []engine.State
	Modes          []engine.Mode
	Sorts          []choiceView
	Rows           []rowView
	Range, Empty   string
	Previous, Next string
}

type tabView struct {
	Label, Kind, URL string
	Count            string
	Current          bool
}

type choiceView struct {
	Value, Label string
	Current      bool
}

func (p *Panel) newListView(all *reading, list result) listView {
	v := listView{Problems: listProblems(all.problems()), Query: list.search, States: list.states, Modes: list.modes}
	v.Headline, v.Sub = summarizeFleet(list.counts, list.total)
	v.frame = p.newFrame(v.Headline, listRefresh)
	v.Tabs = p.newTabs(list)
	for _, c := range []choiceView{{"attention", "Needs attention first", false}, {"name", "Name", false}, {"failures", "Nearest threshold", false}, {"age", "Changed last", false}, {"trips", "Opened most often", false}} {
		c.Current = c.Value == list.sort
		v.Sorts = append(v.Sorts, c)
	}
	now := time.Now()
	for _, b := range list.breakers {
		if b.key != "" {
			v.Rows = append(v.Rows, rowView{Key: showText(b.key)})
			continue
		}
		if b.fault != nil {
			v.Rows = append(v.Rows, p.newFaultRow(b))
			continue
		}
		s := b.ageSnapshot(now)
		v.Rows = append(v.Rows, p.newRow(&s))
	}
	first := (list.page-1)*list.perPage + 1
	v.Range = fmt.Sprintf("%s–%s of %s", formatCount(int64(first)), formatCount(int64(first+len(v.Rows)-1)), formatCount(int64(list.matched)))
	v.Empty = "No breaker matches."
	if list.total == 0 {
		v.Empty = "A breaker appears here within a minute of its first call."
	}
	if list.page > 1 {
		v.Previous = p.listURL(list.query, list.page-1)
	}
	if list.page < list.pages {
		v.Next = p.listURL(list.query, list.page+1)
	}
	return v
}

// newTabs returns the filters by state, which together contain each breaker once.
func (p *Panel) newTabs(list result) []tabView {
	auto := []engine.Mode{engine.ModeAuto}
	c := list.counts
	var tabs []tabView
	for _, t := range []struct {
		label, kind string
		n           int
		states      []engine.State
		modes       []engine.Mode
	}{
		{"All", "all", list.total, nil, nil},
		{"Open", "open", c.Open, []engine.State{engine.StateOpen}, auto},
		{"Half-open", "half", c.HalfOpen, []engine.State{engine.StateHalfOpen}, auto},
		{"Overruled", "overruled", c.Overridden, nil, []engine.Mode{engine.ModeForcedOpen, engine.ModeForcedClosed, engine.ModeShadow}},
		{"Closed", "closed", c.Closed, []engine.State{engine.StateClosed}, auto},
	} {
		q := list.query
		isCurrent := slices.Equal(q.states, t.states) && slices.Equal(q.modes, t.modes)
		q.states, q.modes = t.states, t.modes
		if t.n > 0 {
			t.kind += " some"
		}
		tabs = append(tabs, tabView{t.label, t.kind, p.listURL(q, 1), formatCount(int64(t.n)), isCurrent})
	}
	return tabs
}

// listURL returns the URL of a page of a query.
func (p *Panel) listURL(q query, page int) string {
	v := url.Values{}
	if q.search != "" {
		v.Set("q", q.search)
	}
	for _, s := range q.states {
		v.Add("state", s.String())
	}
	for _, m := range q.modes {
		v.Add("mode", m.String())
	}
	if q.reverse {
		v.Set("sort", "-"+q.sort)
	} else if q.sort != sortAttention {
		v.Set("sort", q.sort)
	}
	if q.perPage != defaultPerPage {
		v.Set("per_page", strconv.Itoa(q.perPage))
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	if len(v) == 0 {
		return p.options.Prefix + "/"
	}
	return p.options.Prefix + "/?" + v.Encode()
}

// summarizeFleet says in a headline what matters most, and the rest in a line.
func summarizeFleet(c counts, total int) (headline, sub string) {
	verb := func(n int, rest string) string {
		if n == 1 {
			return "1 circuit is " + rest
		}
		return formatCount(int64(n)) + " circuits are " + rest
	}
	var rest []string
	for _, part := range []struct {
		n    int
		text string
	}{{c.Open, "open"}, {c.HalfOpen, "half-open"}, {c.Overridden, "overruled"}, {c.Unreadable, "unreadable"}} {
		switch {
		case part.n == 0:
		case headline == "":
			headline = verb(part.n, part.text)
		default:
			rest = append(rest, formatCount(int64(part.n))+" "+part.text)
		}
	}
	switch {
	case total == 0:
		return "No circuits yet", ""
	case headline == "" && c.Closed == 1:
		return "The circuit is closed", ""
	case headline == "":
		return "All " + formatCount(int64(c.Closed)) + " circuits are closed", ""
	}
	if c.Closed > 0 {
		rest = append(rest, formatCount(int64(c.Closed))+" closed")
	}
	return headline, strings.Join(rest, ", ")
}
