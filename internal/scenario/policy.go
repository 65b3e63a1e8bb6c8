package scenario

import (
	"encoding"
	"fmt"
	"strconv"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// parsePolicy reads a policy from words such as consecutive=2 calls=10 rate=0.5
// open_for=5s: each is a field of engine.Policy under a short name.
func parsePolicy(words map[string]string) (engine.Policy, error) {
	var p engine.Policy
	fields := map[string]any{
		"consecutive": &p.ConsecutiveFailures,
		"calls":       &p.Window.Calls, "period": &p.Window.Period,
		"rate": &p.Window.FailureRate, "count": &p.Window.FailureCount,
		"slow_rate": &p.Window.SlowCallRate, "slow": &p.Window.SlowCallDuration,
		"min_calls": &p.Window.MinCalls,
		"open_for":  &p.OpenFor, "multiplier": &p.Backoff.Multiplier, "max": &p.Backoff.Max, "jitter": &p.Backoff.Jitter,
		"probes": &p.HalfOpen.Probes, "successes": &p.HalfOpen.Successes, "lease": &p.HalfOpen.Lease,
		"allow_slow": &p.HalfOpen.AllowSlow, "ramp": &p.Ramp.Over, "ramp_from": &p.Ramp.From, "initial": &p.Initial.State, "initial_mode": &p.Initial.Mode, "reporters": &p.MinReporters, "idle": &p.IdleTTL,
	}
	for word, text := range words {
		var err error
		switch field := fields[word].(type) {
		case *int:
			*field, err = strconv.Atoi(text)
		case *float64:
			*field, err = strconv.ParseFloat(text, 64)
		case *time.Duration:
			*field, err = time.ParseDuration(text)
		case encoding.TextUnmarshaler:
			err = field.UnmarshalText([]byte(text))
		case *bool:
			*field = true
		default:
			err = fmt.Errorf("no such field")
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", word, err)
		}
	}
	return p, p.Validate()
}
