package scripts

import (
	"strconv"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// StepArgs writes the ARGV of step.lua. rnd is an integer below 2^20. Arguments
// that a step does not need are left out: each costs the server time.
func StepArgs(rules *engine.Rules, rnd int64, b engine.Batch) []any {
	args := []any{strconv.FormatInt(b.Admissions, 10) + " " + strconv.FormatInt(rnd, 10), rules.Text()}
	if len(b.Results) == 0 && !b.AskStanding {
		return args
	}
	args = append(args, resultsText(&b))
	if b.NeedsReporter() || b.AskStanding && rules.Reporters > 1 {
		args = append(args, engine.EncodeToken(b.Reporter), engine.CeilMillis(b.Detail.OpenFor), engine.EncodeToken(b.Detail.Text))
	}
	return args
}

// resultsText writes epoch[.lease] and runs for each ticket, and a question mark if the
// batch asks for the standing. The mark is where the fast path looks after the last
// run, so that steps without it do not have to look for it.
func resultsText(batch *engine.Batch) string {
	var b strings.Builder
	for i, res := range batch.Results {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatInt(res.Epoch, 10))
		if res.Lease != 0 {
			b.WriteByte('.')
			b.WriteString(strconv.FormatInt(res.Lease, 10))
		}
		b.WriteByte(' ')
		for _, run := range res.Runs {
			b.WriteByte(run.Outcome.Code())
			b.WriteString(strconv.FormatInt(run.N, 10))
		}
	}
	if batch.AskStanding {
		b.WriteByte('?')
	}
	return b.String()
}

// ControlArgs writes the ARGV of control.lua. stored lets the record's own
// policy decide where it has one that reads well.
func ControlArgs(rules *engine.Rules, stored bool, rnd int64, c engine.Command) []any {
	by := "own"
	if stored {
		by = "stored"
	}
	what := c.Action.String() + " " + strconv.FormatInt(engine.CeilMillis(c.For), 10) + " " + strconv.FormatInt(rnd, 10)
	return []any{what, rules.Text(), by, c.IfEpoch, engine.EncodeToken(c.Actor), engine.EncodeToken(c.Reason)}
}

// SinceArgs writes the ARGV of since.lua. known is an epoch, 0 for none.
func SinceArgs(known int64) []any { return []any{known} }

// MaxEnrolled is the most names that enrol.lua enters at a time.
const MaxEnrolled = 500

// EnrolArgs writes the ARGV of enrol.lua: breakers that are listed for ttl, in ms,
// or until they are entered again if ttl is 0. The members are at most MaxEnrolled.
func EnrolArgs(ttl int64, members []string) []any {
	ends := "inf"
	if ttl > 0 {
		ends = strconv.FormatInt(ttl, 10)
	}
	return []any{ends, strings.Join(members, " ")}
}
