package engine_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/scripts"
)

// TestRejection_cost: a rejection in half-open costs the server about the same for 1
// probe and for 1000, whose leases take 20 KB.
func TestRejection_cost(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it measures")
	}
	rdb, key := redistest.Client(t), redistest.Namespace(t)+":{a}"
	most := 0.0
	for range 5 { // a busy machine may disturb one measurement
		few, many := rejectionCost(t, rdb, key, 1), rejectionCost(t, rdb, key, engine.MaxProbes)
		t.Logf("1 probe %.1f us, %d probes %.1f us", few, engine.MaxProbes, many)
		if most = many / few; most <= 2 {
			return
		}
	}
	t.Errorf("a rejection among %d probes costs %.1f times one among 1, want at most 2", engine.MaxProbes, most)
}

var evalshaCost = regexp.MustCompile(`cmdstat_evalsha:calls=\d+,usec=\d+,usec_per_call=([0-9.]+)`)

// rejectionCost returns the server's time for one rejection, in us.
func rejectionCost(t *testing.T, rdb *redis.Client, key string, probes int) float64 {
	t.Helper()
	ctx := t.Context()
	run := func(s *scripts.Script, args []any) any {
		reply, err := rdb.EvalSha(ctx, s.SHA, []string{key}, args...).Result()
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	rules, err := engine.Policy{HalfOpen: engine.HalfOpen{Probes: probes, Lease: time.Hour}}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*scripts.Script{scripts.Step, scripts.Control} {
		if err := rdb.ScriptLoad(ctx, s.Source).Err(); err != nil {
			t.Fatal(err)
		}
	}
	run(scripts.Control, scripts.ControlArgs(&rules, false, 0, engine.Command{Action: engine.ActionHalfOpen}))
	run(scripts.Step, scripts.StepArgs(&rules, 0, engine.Batch{Admissions: int64(probes)}))
	if err := rdb.ConfigResetStat(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	b := engine.Batch{Admissions: 1}
	for range 2000 {
		r, err := scripts.DecodeStep(run(scripts.Step, scripts.StepArgs(&rules, 0, b)), &rules, b)
		if err != nil || r.Granted != 0 || r.State != engine.StateHalfOpen {
			t.Fatalf("not a rejection in half-open: %+v, %v", r, err)
		}
	}
	cost := evalshaCost.FindStringSubmatch(rdb.Info(ctx, "commandstats").Val())
	us, err := strconv.ParseFloat(cost[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return us
}
