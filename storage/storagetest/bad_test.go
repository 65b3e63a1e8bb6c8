package storagetest

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// bad are storages that do one thing wrong each, and a test that must notice.
var bad = []struct {
	does   string
	caught string
	wrap   func(engine.Storage) engine.Storage
}{
	{"forgets", "counting/both_clients_count_together", handles[forgetful]},
	{"swallows outcomes", "concurrency/no_outcome_is_lost", handles[swallower]},
	{"reports twice", "counting/success_ends_the_streak", handles[repeater]},
	{"admits everything in half-open", "probes/at_most_n_across_both_clients", handles[probing]},
	{"admits in forced open", "modes/forced_open_rejects", handles[forcing]},
	{"checks, then acts", "concurrency/n_probes_of_a_herd", handles[checker]},
	{"fences no epoch", "fencing/late_result_after_a_recovery", handles[fenceless]},
	{"keeps the slot of an ignored probe", "probes/ignored_gives_the_slot_back", handles[miser]},
	{"rejects with an error of its own", "admission/rejection_has_reason_and_retry_after", handles[stranger]},
	{"makes an error for each rejection", "admission/rejections_share_an_error", handles[copier]},
	{"knows no end of a rejection", "admission/rejection_has_reason_and_retry_after", handles[endless]},
	{"ignores the expected epoch", "control/another_epoch_is_a_conflict", handles[bully]},
	{"compares the epoch, then acts", "concurrency/one_of_many_commands_wins", handles[comparer]},
	{"splits batches", "batches/outcomes_after_a_trip_are_stale", handles[splitter]},
	{"drops admissions of a batch", "batches/admissions_while_closed", handles[single]},
	{"ignores a context that is done", "contexts/done_before_the_call", handles[eager]},
	{"loses reports whose context is done", "contexts/report_ignores_cancellation", handles[quitter]},
	{"makes up a status", "status/before_the_first_call", handles[liar]},
	{"works on after Close", "closing/closed_handle", handles[immortal]},
	{"keeps leases without end", "probes/lease_that_ran_out_frees_the_slot", policies(func(p *engine.Policy) { p.HalfOpen.Lease = engine.MaxDuration })},
	{"wakes too late", "open/ends_at_its_instant", policies(func(p *engine.Policy) { p.OpenFor += time.Millisecond })},
	{"validates no policy", "arguments/policies", policies(func(p *engine.Policy) { *p = threeFailures })},
	{"raises no events", "events/each_transition_in_order", storages[silent]},
	{"raises events twice", "concurrency/one_transition_opens", storages[echoing]},
	{"takes different names for the same", "names/are_independent", storages[trimming]},
	{"makes a record by looking", "inspect/absent", storages[meddling]},
	{"commands by a policy of its own", "control/by_name_uses_the_records_policy", storages[stubborn]},
	{"gives a standing that nothing asked for", "standing/only_if_asked", handles[talkativeStanding]},
	{"gives the standing of the last outcome", "standing/window_is_as_of_now", handles[forgetfulStanding]},
	{"gives a standing without the last failure", "standing/is_that_of_the_fleet", handles[generousStanding]},
	{"changes texts", "log/texts_come_back_as_they_were", handles[cleaner]},
	{"shares nothing", "admission/other_client_sees_a_trip_at_once", func(engine.Storage) engine.Storage { return engine.NewMemory() }},
}

func TestRun_catchesBadStorages(t *testing.T) {
	for _, bad := range bad {
		t.Run(bad.does, func(t *testing.T) {
			s := runOnStandIn(t, onMemory(bad.wrap), find(t, bad.caught))
			if !s.failed {
				t.Fatalf("%s does not notice a storage that %s", bad.caught, bad.does)
			}
			t.Logf("%s: %s", bad.caught, strings.Join(s.said, "\n"))
		})
	}
}

// A storage could be caught for the stand-in's or the wrapper's own faults.
func TestRun_passesGoodStorage(t *testing.T) {
	open := onMemory(handles[good])
	for _, area := range areas {
		for _, test := range area.tests {
			if s := runOnStandIn(t, open, test); s.failed {
				t.Errorf("%s/%s: %s", area.name, test.name, strings.Join(s.said, "\n"))
			}
		}
	}
}

func TestRun_namesWhatItSkips(t *testing.T) {
	open := func(testing.TB) Harness { return Harness{A: engine.NewMemory(), B: engine.NewMemory()} }
	for path, capability := range map[string]string{
		"open/ends_at_its_instant":              "Advance",
		"fencing/late_result_after_a_loss":      "Lose",
		"healing/unreadable_head":               "Corrupt",
		"reporters/one_sick_host_does_not_open": "Reporters",
		"expiry/idle_record_is_forgotten":       "Expires",
	} {
		s := runOnStandIn(t, open, find(t, path))
		if !s.skipped || len(s.said) != 1 || !strings.Contains(s.said[0], "skipped: the harness has no "+capability) {
			t.Errorf("%s: skipped is %v, said %q", path, s.skipped, s.said)
		}
	}
}

// onMemory opens two clients of one engine, each wrapped.
func onMemory(wrap func(engine.Storage) engine.Storage) func(testing.TB) Harness {
	return func(testing.TB) Harness {
		var now atomic.Int64
		m := engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(now.Load()) }))
		return Harness{A: wrap(m), B: wrap(m), Advance: func(d time.Duration) { now.Add(int64(d)) }}
	}
}

// find returns the test of that area and name.
func find(t *testing.T, path string) test {
	t.Helper()
	area, name, _ := strings.Cut(path, "/")
	for _, a := range areas {
		i := slices.IndexFunc(a.tests, func(test test) bool { return test.name == name })
		if a.name == area && i >= 0 {
			return a.tests[i]
		}
	}
	t.Fatalf("the suite has no test %s", path)
	return test{}
}
