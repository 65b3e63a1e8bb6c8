package storage_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

func BenchmarkRedis(b *testing.B) {
	o := redis.Options{Addr: redistest.Addr(b), ContextTimeoutEnabled: true}
	storagetest.Bench(b, func(t testing.TB) storagetest.Harness { return openRedis(t, o) })
}

// scriptCost is one path through step.lua.
type scriptCost struct {
	name   string
	policy engine.Policy
	// before and forced prepare the record: the batches, then an operator's command.
	before []engine.Batch
	forced engine.Command
	batch  engine.Batch
	// operations is how many calls' steps the batch holds.
	operations int
}

// scriptCosts are the paths that a fleet takes. The results' epochs are filled in.
var scriptCosts = []scriptCost{
	{name: "closed_admission", before: []engine.Batch{{}}, batch: admits(1)},
	{name: "open_rejection", before: []engine.Batch{ends("f5")}, batch: admits(1)},
	{name: "success", before: []engine.Batch{ends("s1")}, batch: ends("s1")},
	{name: "success_after_failure", before: []engine.Batch{ends("f1")}, batch: ends("s1")},
	{name: "success_in_time_window", policy: costWindow(engine.Window{Period: time.Hour}), before: []engine.Batch{ends("s7f3")}, batch: ends("s1")},
	{name: "success_in_full_count_window", policy: costWindow(engine.Window{Calls: 100}), before: []engine.Batch{ends("s60f30s50f5")}, batch: ends("s1")},
	{name: "failure", before: []engine.Batch{ends("f1")}, batch: ends("f1")},
	{name: "failure_in_time_window", policy: costWindow(engine.Window{Period: time.Hour}), before: []engine.Batch{ends("s70f3")}, batch: ends("f1")},
	{name: "failure_in_full_count_window", policy: costWindow(engine.Window{Calls: 100}), before: []engine.Batch{ends("s60f30s50f5")}, batch: ends("f1")},
	{name: "success_in_full_count_window_10000", policy: costWindow(engine.Window{Calls: 10_000}), before: []engine.Batch{ends("s6000f3000s5000f5")}, batch: ends("s1")},
	{name: "failure_in_full_count_window_10000", policy: costWindow(engine.Window{Calls: 10_000}), before: []engine.Batch{ends("s6000f3000s5000f5")}, batch: ends("f1")},
	{name: "success_in_good_count_window", policy: costWindow(engine.Window{Calls: 100}), before: []engine.Batch{ends("s101")}, batch: ends("s1")},
	{name: "transition", before: []engine.Batch{ends("f4")}, batch: ends("f1")},
	{name: "probe_granted", policy: costProbes, before: []engine.Batch{ends("f5")}, batch: admits(1)},
	{name: "probe_that_closes", policy: costProbes, before: []engine.Batch{ends("f5"), admits(1)}, batch: probe("s1")},
	{name: "half_open_rejection", policy: costProbes, before: []engine.Batch{ends("f5"), admits(1)}, batch: admits(1)},
	{name: "ramp_admission", policy: costRamp, before: []engine.Batch{ends("f5"), admits(1), probe("s1")}, batch: admits(1)},
	{name: "forced_open_rejection", before: []engine.Batch{{}}, forced: engine.Command{Action: engine.ActionForceOpen}, batch: admits(1)},
	{name: "batch_of_64", policy: costWindow(engine.Window{Period: time.Hour}), before: []engine.Batch{ends("s70f3")}, batch: shared, operations: 64},
	{name: "batch_of_64_without_window", before: []engine.Batch{ends("s70f3")}, batch: shared, operations: 64},
	{name: "batch_of_64_in_count_window", policy: costWindow(engine.Window{Calls: 100}), before: []engine.Batch{ends("s60f30s50f5")}, batch: shared, operations: 64},
	{name: "batch_of_1000_in_turn", before: []engine.Batch{ends("s1")}, batch: ends(strings.Repeat("s1f1", 500)), operations: 1000},
	{name: "batch_of_1000_in_turn_in_time_window", policy: costWindow(engine.Window{Period: time.Hour}), before: []engine.Batch{ends("s70f3")}, batch: ends(strings.Repeat("s1f1", 500)), operations: 1000},
	{name: "batch_of_1000_in_turn_in_count_window_1000", policy: costWindow(engine.Window{Calls: 1000}), before: []engine.Batch{ends("s600f300s500f5")}, batch: ends(strings.Repeat("s1f1", 500)), operations: 1000},
	{name: "run_of_999999999", policy: costWindow(engine.Window{Period: time.Hour}), before: []engine.Batch{ends("s70f3")}, batch: ends("s999999999"), operations: 1},
	{name: "run_of_999999999_in_full_count_window_10000", policy: costWindow(engine.Window{Calls: 10_000}), before: []engine.Batch{ends("s6000f3000s5000f5")}, batch: ends("s999999999"), operations: 1},
	{name: "batch_of_64_in_count_window_10000", policy: costWindow(engine.Window{Calls: 10_000}), before: []engine.Batch{ends("s6000f3000s5000f5")}, batch: shared, operations: 64},
}

// shared is the batch of 64 callers: 32 begin and 32 have ended.
var shared = engine.Batch{Results: ends("s8f1s11f1s10f1").Results, Admissions: 32, Reporter: "web-1"}

// costWindow is a policy whose window never trips.
func costWindow(w engine.Window) engine.Policy {
	w.FailureRate = 1
	return engine.Policy{Window: w}
}

// costProbes is a policy whose open time is over when the next batch comes.
var costProbes = engine.Policy{OpenFor: time.Millisecond}

// costRamp is the same with a ramp that lasts as long as the benchmark.
var costRamp = engine.Policy{OpenFor: time.Millisecond, Ramp: engine.Ramp{Over: time.Hour, From: 0.5}}

func admits(n int64) engine.Batch { return engine.Batch{Admissions: n} }

// ends is a batch of outcomes, written as runs: s20f1.
func ends(runs string) engine.Batch {
	codes := map[byte]engine.Outcome{'s': engine.Success, 'f': engine.Failure}
	var list []engine.Run
	for len(runs) > 0 {
		digits := len(runs[1:]) - len(strings.TrimLeft(runs[1:], "0123456789"))
		n, _ := strconv.ParseInt(runs[1:1+digits], 10, 64)
		list = append(list, engine.Run{Outcome: codes[runs[0]], N: n})
		runs = runs[1+digits:]
	}
	return engine.Batch{Results: []engine.Result{{Runs: list}}, Reporter: "web-1"}
}

// probe is the report of the first lease's holder.
func probe(runs string) engine.Batch {
	b := ends(runs)
	b.Results[0].Lease = 1
	return b
}

// BenchmarkScriptCost measures what each path through step.lua costs the server,
// by its own account, beside a script that does nothing. The two take turns, so
// that noise hits both; the figures are medians of the turns.
func BenchmarkScriptCost(b *testing.B) {
	rdb := redistest.Start(b).Client()
	for _, c := range scriptCosts {
		b.Run(c.name, func(b *testing.B) { c.measure(b, rdb) })
	}
}

const (
	costTurns = 41
	costCalls = 100 // of a turn, each on a record of its own

	costTemplate = "redbreaker:{template}"
)

func (c scriptCost) measure(b *testing.B, rdb *redis.Client) {
	rules, err := c.policy.Rules()
	must(b, err)
	record, epoch := c.template(b, rdb, &rules)
	var own, floor, ratio, asking []float64
	for range costTurns {
		c.restore(b, rdb, record)
		floor = append(floor, serverCost(b, rdb, nothing, func(int) []any { return nil }))
		own = append(own, c.stepCost(b, rdb, &rules, epoch, false))
		ratio = append(ratio, own[len(own)-1]/floor[len(floor)-1])
		c.restore(b, rdb, record)
		asking = append(asking, c.stepCost(b, rdb, &rules, epoch, true)/own[len(own)-1])
	}
	for range b.N { // the server's own statistics are the measurement
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(own), "server-us/op")
	b.ReportMetric(median(ratio), "x-return1")
	b.ReportMetric(median(asking), "x-asking") // the same step that asks for the standing, against this one
	if c.operations > 0 {
		b.ReportMetric(median(ratio)/float64(c.operations), "x-return1/operation")
	}
}

// stepCost returns the server's time for one step, in microseconds.
func (c scriptCost) stepCost(b *testing.B, rdb *redis.Client, rules *engine.Rules, epoch int64, asks bool) float64 {
	return serverCost(b, rdb, scripts.Step.SHA, func(i int) []any {
		batch := inEpoch(c.batch, epoch)
		batch.AskStanding = asks
		return scripts.StepArgs(rules, int64(i), batch)
	})
}

// BenchmarkReadCost measures what it costs the server to read a record with a full log
// back, of which one entry or all are missing, and to inspect it, beside a script that
// does nothing, as BenchmarkScriptCost does.
func BenchmarkReadCost(b *testing.B) {
	rdb := redistest.Start(b).Client()
	c := scriptCost{}
	rules, err := c.policy.Rules()
	must(b, err)
	c.template(b, rdb, &rules)
	for range 20 {
		must(b, rdb.Eval(ctx, scripts.Control.Source, []string{costTemplate}, scripts.ControlArgs(&rules, false, 0, engine.Command{Action: engine.ActionTrip})...).Err())
	}
	record, err := rdb.Dump(ctx, costTemplate).Result()
	must(b, err)
	reply, err := rdb.Eval(ctx, scripts.Inspect.Source, []string{costTemplate}).Result()
	must(b, err)
	r, now, err := scripts.DecodeInspect(reply)
	must(b, err)
	log := r.Snapshot("", now).Log
	must(b, rdb.ScriptLoad(ctx, scripts.Since.Source).Err())
	must(b, rdb.ScriptLoad(ctx, scripts.Inspect.Source).Err())
	for _, read := range []struct {
		name, sha string
		args      []any
	}{
		{"one_missing", scripts.Since.SHA, scripts.SinceArgs(log[len(log)-2].Epoch)},
		{"all_missing", scripts.Since.SHA, scripts.SinceArgs(0)},
		{"inspect", scripts.Inspect.SHA, nil},
	} {
		b.Run(read.name, func(b *testing.B) {
			var own, ratio []float64
			for range costTurns {
				c.restore(b, rdb, record)
				floor := serverCost(b, rdb, nothing, func(int) []any { return nil })
				own = append(own, serverCost(b, rdb, read.sha, func(int) []any { return read.args }))
				ratio = append(ratio, own[len(own)-1]/floor)
			}
			for range b.N { // the server's own statistics are the measurement
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(own), "server-us/op")
			b.ReportMetric(median(ratio), "x-return1")
		})
	}
}

// template makes the record that each call finds, and returns it with its epoch.
func (c scriptCost) template(b *testing.B, rdb *redis.Client, rules *engine.Rules) (record string, epoch int64) {
	must(b, rdb.Del(ctx, costTemplate).Err())
	for _, batch := range append([]engine.Batch{{}}, c.before...) {
		reply, err := rdb.Eval(ctx, scripts.Step.Source, []string{costTemplate}, scripts.StepArgs(rules, 0, inEpoch(batch, epoch))...).Result()
		must(b, err)
		r, err := scripts.DecodeStep(reply, rules, batch)
		must(b, err)
		epoch = r.Epoch
		time.Sleep(2 * c.policy.OpenFor)
	}
	if c.forced != (engine.Command{}) {
		must(b, rdb.Eval(ctx, scripts.Control.Source, []string{costTemplate}, scripts.ControlArgs(rules, false, 0, c.forced)...).Err())
	}
	record, err := rdb.Dump(ctx, costTemplate).Result()
	must(b, err)
	return record, epoch
}

// restore gives each call of a turn a record of its own.
func (c scriptCost) restore(b *testing.B, rdb *redis.Client, record string) {
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range costCalls {
			p.RestoreReplace(ctx, costKey(i), 0, record)
		}
		return p.ScriptLoad(ctx, "return 1").Err()
	})
	must(b, err)
}

// nothing is the digest of "return 1".
const nothing = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"

// serverCost runs a script costCalls times and returns the server's own time for
// one, in microseconds.
func serverCost(b *testing.B, rdb *redis.Client, sha string, args func(i int) []any) float64 {
	must(b, rdb.ConfigResetStat(ctx).Err())
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range costCalls {
			p.EvalSha(ctx, sha, []string{costKey(i)}, args(i)...)
		}
		return nil
	})
	must(b, err)
	info, err := rdb.Info(ctx, "commandstats").Result()
	must(b, err)
	_, stat, _ := strings.Cut(info, "cmdstat_evalsha:")
	var calls int
	var usec int64
	var each float64
	_, err = fmt.Sscanf(strings.ReplaceAll(stat, ",", " "), "calls=%d usec=%d usec_per_call=%g", &calls, &usec, &each)
	must(b, err)
	if calls != costCalls {
		b.Fatalf("the server counted %d calls, want %d", calls, costCalls)
	}
	return each
}

func costKey(i int) string { return fmt.Sprintf("redbreaker:{cost-%d}", i) }

func inEpoch(batch engine.Batch, epoch int64) engine.Batch {
	results := slices.Clone(batch.Results)
	for i := range results {
		results[i].Epoch = epoch
	}
	batch.Results = results
	return batch
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
