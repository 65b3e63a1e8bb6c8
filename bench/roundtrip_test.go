package bench

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/scripts"
)

// nothing is the SHA-1 digest of "return 1".
const nothing = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"

// trip is a request that a program without breakers could send to a server.
type trip struct {
	name      string
	decisions int64 // one for each script call
	ask       func(client redis.UniversalClient, key string) error
}

var trips = []trip{
	{"ping", 1, func(c redis.UniversalClient, _ string) error { return c.Ping(ctx).Err() }},
	{"evalsha", 1, askNothing},
	{"evalsha2", 2, func(c redis.UniversalClient, key string) error {
		if err := askNothing(c, key); err != nil {
			return err
		}
		return askNothing(c, key)
	}},
	{"step", 1, func(c redis.UniversalClient, key string) error {
		return c.EvalSha(ctx, scripts.Step.SHA, []string{key}, admission...).Err()
	}},
}

func askNothing(c redis.UniversalClient, key string) error {
	return c.EvalSha(ctx, nothing, []string{key}).Err()
}

// admission is the ARGV of step.lua for an admission by the policy counted.
var admission = func() []any {
	rules, err := counted.Rules()
	if err != nil {
		panic(err)
	}
	return scripts.StepArgs(&rules, 0, engine.Batch{Admissions: 1})
}()

// BenchmarkRoundTrip is the floor of BenchmarkContention: goroutines that send single
// commands over the same client. They send a PING, EVALSHA of "return 1", two of these
// in sequence as a protected call does, or EVALSHA of the script and arguments of an
// admission. Each script call and each PING counts as one decision.
func BenchmarkRoundTrip(b *testing.B) {
	for _, storage := range storages {
		if storage.name != "redis" && storage.name != "cluster" {
			continue
		}
		b.Run("storage="+storage.name, func(b *testing.B) {
			s := storage.start(b)
			load(b, s.client)
			for _, t := range trips {
				for _, breakers := range []int{1, 100} {
					keys := keys(b, breakers)
					for _, n := range goroutines() {
						b.Run(fmt.Sprintf("do=%s/breakers=%d/goroutines=%d", t.name, breakers, n), func(b *testing.B) {
							t.measure(b, s, keys, n)
						})
					}
				}
			}
		})
	}
}

func (t trip) measure(b *testing.B, s *site, keys []string, n int) {
	for _, key := range keys {
		must(b, t.ask(s.client, key))
	}
	s.crowd(b, n, func(c *caller, i int) error {
		c.decisions += t.decisions
		return t.ask(s.client, keys[(i+7*c.number)%len(keys)])
	})
}

// load loads the scripts on the servers.
func load(b *testing.B, client redis.UniversalClient) {
	b.Helper()
	for _, source := range []string{"return 1", scripts.Step.Source} {
		must(b, client.ScriptLoad(ctx, source).Err())
	}
}

// keys are those of n records.
func keys(b *testing.B, n int) []string {
	ns := redistest.Namespace(b)
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s:{breaker-%d}", ns, i)
	}
	return list
}
