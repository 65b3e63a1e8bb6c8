package doctor

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// A record has one policy, that of its last transition. Outcomes that processes with another
// policy report are counted beside it, and some leave traces that this policy does not make.

// checkSkew finds breakers with outcomes that the policy of the last transition cannot have
// counted: processes with another policy report to them.
func (e *exam) checkSkew(ctx context.Context, names []string) {
	var skewed []string
	differences := map[string]string{}
	for start := 0; start < len(names); start += maxRead {
		chunk := names[start:min(len(names), start+maxRead)]
		replies := make([]*redis.SliceCmd, len(chunk))
		_, _ = e.Client.Pipelined(ctx, func(p redis.Pipeliner) error { // each command has its own error
			for i, name := range chunk {
				key, _ := e.Keys.Key(name)
				replies[i] = p.HMGet(ctx, key, "tally", "policy", "rep")
			}
			return nil
		})
		for i, name := range chunk {
			if difference := findSkew(replies[i].Val()); difference != "" {
				skewed = append(skewed, name)
				differences[name] = difference
			}
		}
	}
	if len(skewed) > 0 {
		quote := func(name string) string { return plaintext.Quote(name) + " (" + differences[name] + ")" }
		e.add(Finding{"records", Warning, "", fmt.Sprintf("%s used with policies that differ: %s", countWas(len(skewed)), listFirst(skewed, quote)),
			"deploy one policy to all processes that use the name, or give each its own name; a deployment in progress, or a breaker that a command created, causes this for a while"})
	}
}

// maxRead is how many records are read in one round trip.
const maxRead = 500

// The numbers of a tally that counts, and of a policy, that are compared.
var (
	tallyNumbers  = regexp.MustCompile(`^\d+ epoch=[1-9]\d* .*? streak=(\d+) seq=(\d+) win=(\w+/\d+) .* fail=\d+/(\d+) slow=\d+/(\d+) `)
	policyNumbers = regexp.MustCompile(` consecutive=(\d+) window=(\w+/\d+) count=(\d+) rate=\d+ slow=\d+/(\d+) .* reporters=(\d+) `)
)

// noWindow is the window of a policy without one, and of a tally without outcomes.
const noWindow = "none/0"

// findSkew returns what differs between the fields tally, policy and rep of a record; "" if
// nothing does, as far as they show.
func findSkew(fields []any) string {
	if len(fields) != 3 {
		return ""
	}
	text := func(i int) string { s, _ := fields[i].(string); return s }
	t, p := tallyNumbers.FindStringSubmatch(text(0)), policyNumbers.FindStringSubmatch(text(1))
	if t == nil || p == nil {
		return ""
	}
	number := func(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return n }
	streak, seq, window, failures, slow := number(t[1]), number(t[2]), t[3], number(t[4]), number(t[5])
	consecutive, count, slowMS, reporters := number(p[1]), number(p[3]), number(p[4]), number(p[5])
	switch {
	case window != p[2] && (window != noWindow || seq > 0): // an outcome of a policy with a window sets it
		return "windows"
	case reporters == 1 && text(2) != "": // only a policy with MinReporters names them
		return "MinReporters"
	case slowMS == 0 && slow > 0:
		return "slow calls"
	case reporters == 1 && (consecutive > 0 && streak >= consecutive || count > 0 && failures >= count):
		return "thresholds" // by its own, the circuit would have opened
	}
	return ""
}
