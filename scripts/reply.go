package scripts

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// DecodeStep reads the reply of step.lua to a batch of these rules. The errors
// are engine.ErrForeignKey, engine.ErrNewerLayout, and one about a reply that no
// script of this release gives.
func DecodeStep(reply any, rules *engine.Rules, b engine.Batch) (engine.Reply, error) {
	text, ok := reply.(string)
	if !ok {
		return engine.Reply{}, surprise(reply)
	}
	if text == "" || text[0] == '!' {
		return engine.Reply{}, refusal(text)
	}
	rest, line, isKnown := strings.Cut(text, "\n=")
	decode := decodeWhole
	if rest == "" {
		return engine.Reply{}, surprise(text)
	}
	if '0' <= rest[0] && rest[0] <= '9' {
		decode = decodeShort
	}
	r, err := decode(rest, rules, b)
	if err == nil && isKnown && !(b.AskStanding && decodeStanding(line, &r)) {
		return engine.Reply{}, surprise(text)
	}
	return r, err
}

const standingLayout = "%d %d %d %d %d %d %d %d %d %d %d %d"

// decodeStanding reads the line of the standing. It returns false if no closed record
// has such a one.
func decodeStanding(line string, r *engine.Reply) bool {
	s := &r.Standing
	s.Known = engine.MatchLayout(line, standingLayout, &s.Streak, &s.Seq, &s.Window.Calls, &s.Window.Failures, &s.Window.Slow,
		&s.Leaving.Calls, &s.Leaving.Failures, &s.Leaving.Slow, &s.TurnMS, &s.WindowAgeMS, &s.Other.Seq, &s.Other.Turns)
	return s.Known && r.State == engine.StateClosed && s.Leaving.Calls <= s.Window.Calls &&
		s.Leaving.Failures <= s.Window.Failures && s.Leaving.Slow <= s.Window.Slow
}

// decodeShort reads a reply that omits everything usual: an epoch if all
// was admitted and applied, and the time that is left where an open circuit
// rejected all.
func decodeShort(text string, rules *engine.Rules, b engine.Batch) (engine.Reply, error) {
	first, rest, open := strings.Cut(text, " ")
	epoch, err := strconv.ParseInt(first, 10, 64)
	if err != nil || epoch <= 0 {
		return engine.Reply{}, surprise(text)
	}
	r := engine.Reply{Epoch: epoch, Policy: rules.Fingerprint()}
	if !open {
		r.Granted, r.Applied = b.Admissions, b.Outcomes()
		return r, nil
	}
	if strings.Contains(rest, " ") { // a ramp
		if !engine.MatchLayout(rest, "%d %d %d %d", &r.Granted, &r.RampLeftMS, &r.RampShare, &r.LeftMS) || r.RampLeftMS == 0 ||
			r.RampShare == 0 || r.Granted > b.Admissions || b.Outcomes() > 0 {
			return engine.Reply{}, surprise(text)
		}
		return r, nil
	}
	r.State = engine.StateOpen
	if !engine.MatchLayout(rest, "%d", &r.LeftMS) || r.LeftMS == 0 || b.Outcomes() > 0 {
		return engine.Reply{}, surprise(text)
	}
	return r, nil
}

// parseAppliedEach reads numbers between commas, which add up to applied; nil if they
// do not read well.
func parseAppliedEach(text string, applied int64) []int64 {
	var each []int64
	for word := range strings.SplitSeq(text, ",") {
		var n int64
		if !engine.MatchLayout(word, "%d", &n) || n > applied {
			return nil
		}
		applied -= n
		each = append(each, n)
	}
	if applied > 0 {
		return nil
	}
	return each
}

const wholeLayout = "epoch=%d left=%d mode_left=%d granted=%d lease=%d applied=%d stale=%d policy=%s"

func decodeWhole(text string, _ *engine.Rules, b engine.Batch) (engine.Reply, error) {
	published, unpublished := strings.CutSuffix(text, "\n!unpublished")
	line, event, moved := strings.Cut(published, "\n")
	line, overdue, late := strings.Cut(line, " overdue=")
	line, ramp, ramping := strings.Cut(line, " ramp=")
	line, each, some := strings.Cut(line, " applied_each=")
	r := engine.Reply{Unpublished: unpublished}
	words := strings.SplitN(line, " ", 3)
	if len(words) < 3 || r.State.UnmarshalText([]byte(words[0])) != nil || r.Mode.UnmarshalText([]byte(words[1])) != nil ||
		!engine.MatchLayout(words[2], wholeLayout, &r.Epoch, &r.LeftMS, &r.ModeLeftMS, &r.Granted, &r.FirstLease, &r.Applied, &r.Stale, &r.Policy) {
		return engine.Reply{}, surprise(text)
	}
	if r.Granted > b.Admissions || r.Applied+r.Stale != b.Outcomes() || some != (r.Stale > 0) || unpublished && !moved {
		return engine.Reply{}, surprise(text)
	}
	if ramping && (!engine.MatchLayout(ramp, "%d/%d", &r.RampLeftMS, &r.RampShare) || r.RampLeftMS == 0) {
		return engine.Reply{}, surprise(text)
	}
	if late && (!engine.MatchLayout(overdue, "%d/%d", &r.OverdueMS, &r.OverdueLeaseMS) || r.OverdueLeaseMS == 0 || r.OverdueMS < r.OverdueLeaseMS) {
		return engine.Reply{}, surprise(text)
	}
	if some {
		if r.AppliedPerResult = parseAppliedEach(each, r.Applied); len(r.AppliedPerResult) != len(b.Results) {
			return engine.Reply{}, surprise(text)
		}
	}
	if moved {
		if r.Transition, moved = engine.ParseEvent(event); !moved {
			return engine.Reply{}, surprise(text)
		}
	}
	return r, nil
}

// ControlReply is the reply of control.lua.
type ControlReply struct {
	Record      engine.Record // as it is now
	NowMS       int64         // the server's time
	Transitions []engine.Transition
	// Unpublished reports whether the server refused to publish a transition.
	Unpublished bool
}

// DecodeControl reads the reply of control.lua. It returns engine.ErrConflict and
// engine.ErrForced, with the reply, besides the errors of DecodeStep.
func DecodeControl(reply any) (ControlReply, error) {
	list, err := strs(reply)
	if err != nil {
		return ControlReply{}, err
	}
	verdicts := map[string]error{"done": nil, "conflict": engine.ErrConflict, "forced": engine.ErrForced}
	if len(list) < 3 {
		return ControlReply{}, surprise(reply)
	}
	verdict, known := verdicts[list[0]]
	events, unpublished := strings.CutSuffix(list[2], "\n!unpublished")
	c := ControlReply{Unpublished: unpublished}
	for line := range strings.Lines(events) {
		t, ok := engine.ParseEvent(strings.TrimSuffix(line, "\n"))
		known = known && ok
		c.Transitions = append(c.Transitions, t)
	}
	if !known {
		return ControlReply{}, surprise(reply)
	}
	if c.Record, c.NowMS, err = record(append(list[1:2:2], list[3:]...)); err != nil {
		return ControlReply{}, err
	}
	return c, verdict
}

// DecodeInspect reads the reply of inspect.lua: the record and the server's time.
func DecodeInspect(reply any) (engine.Record, int64, error) {
	list, err := strs(reply)
	if err != nil {
		return engine.Record{}, 0, err
	}
	return record(list)
}

// DecodeEnrol reads the reply of enrol.lua: the stamp of the part of the index.
func DecodeEnrol(reply any) (stamp string, err error) {
	text, ok := reply.(string)
	if !ok || text == "" {
		return "", surprise(reply)
	}
	if text[0] == '!' {
		return "", refusal(text)
	}
	return text, nil
}

// DecodePing reads the reply of ping.lua: the commands that were refused, each
// with the server's words.
func DecodePing(reply any) (map[string]string, error) {
	text, ok := reply.(string)
	if !ok {
		return nil, surprise(reply)
	}
	refused := map[string]string{}
	for line := range strings.Lines(text) {
		command, why, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		refused[command] = why
	}
	return refused, nil
}

// record reads {now, field, value, ...}.
func record(list []string) (engine.Record, int64, error) {
	if len(list)%2 == 0 {
		return engine.Record{}, 0, surprise(list)
	}
	var now int64
	if !engine.MatchLayout(list[0], "%d", &now) {
		return engine.Record{}, 0, surprise(list)
	}
	fields := make([]engine.Field, 0, len(list)/2)
	for i := 1; i < len(list); i += 2 {
		fields = append(fields, engine.Field{Name: list[i], Value: list[i+1]})
	}
	r, err := engine.ParseRecord(fields)
	return r, now, err
}

// strs reads an array of strings; a single string is a refusal.
func strs(reply any) ([]string, error) {
	switch reply := reply.(type) {
	case string:
		return nil, refusal(reply)
	case []any:
		list := make([]string, len(reply))
		for i, v := range reply {
			s, ok := v.(string)
			if !ok {
				return nil, surprise(reply)
			}
			list[i] = s
		}
		return list, nil
	}
	return nil, surprise(reply)
}

// refusal is the error of a reply that begins with an exclamation mark.
func refusal(text string) error {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(text, "!"), " ")
	switch {
	case !strings.HasPrefix(text, "!"):
	case kind == "type":
		return fmt.Errorf("a %s: %w", rest, engine.ErrForeignKey)
	case kind == "schema":
		return fmt.Errorf("layout %s: %w", rest, engine.ErrNewerLayout)
	case kind == "clock":
		return fmt.Errorf("at %s ms: %w", rest, engine.ErrClock)
	case kind == "args":
		return fmt.Errorf("redbreaker: the script refused ARGV[%s], which is a bug of this release", rest)
	}
	return surprise(text)
}

// surprise is the error of a reply that no script of this release gives.
func surprise(reply any) error {
	text := fmt.Sprintf("%T %.80q", reply, fmt.Sprint(reply))
	return fmt.Errorf("redbreaker: the server answered with a reply that no script gives, is a proxy in between? %s", text)
}
