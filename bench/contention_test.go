package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// errMoot is the error of a call that counts neither way.
var errMoot = errors.New("moot")

// counted is the policy of breakers that stay closed: their window is longer
// than a run, so that in the end it holds each outcome that was counted.
var counted = redbreaker.Policy{Window: redbreaker.Window{Period: 10 * time.Hour, FailureRate: 1}}

// path is a way that calls take through a breaker.
type path struct {
	name   string
	policy redbreaker.Policy
	before redbreaker.Command    // takes the breaker there; none if it has no action
	call   func(i int) protected // what the i-th call of a goroutine runs, if it is let through
	check  func(b *testing.B, list []*redbreaker.Breaker, t tally)
}

type protected = func(context.Context) error

var contended = []path{
	{name: "success", policy: counted, call: always(succeed), check: nothingLost},
	{name: "failures", policy: counted, call: onceIn(101), check: nothingLost},
	{
		name: "rejected", policy: counted, call: always(succeed), check: allRejected,
		before: redbreaker.Command{Action: redbreaker.ActionTrip, For: time.Hour},
	},
	{
		// One slot, and a probe that counts neither way leaves it to the next.
		name:   "herd",
		policy: redbreaker.Policy{HalfOpen: redbreaker.HalfOpen{Lease: time.Hour}},
		before: redbreaker.Command{Action: redbreaker.ActionHalfOpen},
		call:   always(pass),
		check:  leasesAddUp,
	},
	{
		name:   "recover",
		policy: redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Millisecond},
		call:   onceIn(11),
		check:  stillRecovers,
	},
}

func always(f protected) func(int) protected { return func(int) protected { return f } }

// onceIn is a failure in so many calls: a number that has no factor in common
// with that of the breakers, so that each of them gets its share.
func onceIn(n int) func(int) protected {
	return func(i int) protected {
		if i%n == n-1 {
			return fail
		}
		return succeed
	}
}

// BenchmarkContention is goroutines that call breakers with no pause, by what
// the breakers do: success lets all pass, failures too while one call in 101
// fails, rejected is open, herd is half-open with all after its one slot, and
// recover trips by each failure, one in 11, is open for a millisecond, and
// closes by one probe.
//
// An operation is a call of Do, so one round trip of admission and one of report
// if it is let through: two decisions; and one decision if it is rejected. Its
// floor is BenchmarkRoundTrip: do=evalsha2 for calls that are let through,
// do=evalsha for those that are not, and for decisions a second.
func BenchmarkContention(b *testing.B) {
	for _, storage := range storages {
		b.Run("storage="+storage.name, func(b *testing.B) {
			s := storage.start(b)
			for _, breakers := range []int{1, 100} {
				for _, p := range contended {
					for _, n := range goroutines() {
						b.Run(fmt.Sprintf("breakers=%d/path=%s/goroutines=%d", breakers, p.name, n), func(b *testing.B) {
							p.measure(b, s, breakers, n)
						})
					}
				}
			}
		})
	}
}

func (p path) measure(b *testing.B, s *site, breakers, n int) {
	list := s.breakers(b, breakers, p.policy)
	for _, breaker := range list {
		if p.before.Action != 0 {
			_, err := breaker.Control(ctx, p.before)
			must(b, err)
		}
	}
	t := s.crowd(b, n, func(c *caller, i int) error {
		i += 7 * c.number // or all would meet at the same breaker, and fail as one
		return c.ended(list[i%breakers].Do(ctx, p.call(i)))
	})
	p.check(b, list, t)
}

func pass(context.Context) error { return errMoot }

// nothingLost fails unless each call was let through, and each outcome counted.
func nothingLost(b *testing.B, list []*redbreaker.Breaker, t tally) {
	b.Helper()
	var calls, failures int64
	for _, s := range inspect(b, list, redbreaker.StateClosed) {
		calls += s.Calls
		failures += s.Failures
	}
	if t.rejected > 0 || calls != t.calls() || failures != t.failed {
		b.Fatalf("%d outcomes were counted, %d of them failures, of %+v", calls, failures, t)
	}
}

func allRejected(b *testing.B, list []*redbreaker.Breaker, t tally) {
	b.Helper()
	inspect(b, list, redbreaker.StateOpen)
	if t.rejected != t.calls() {
		b.Fatalf("an open breaker let calls through: %+v", t)
	}
}

// leasesAddUp fails unless each call that was let through had a lease, and gave
// it back.
func leasesAddUp(b *testing.B, list []*redbreaker.Breaker, t tally) {
	b.Helper()
	var granted int64
	for _, s := range inspect(b, list, redbreaker.StateHalfOpen) {
		granted += s.Probes.Granted
		if s.Probes.Outstanding != 0 || s.Probes.Lapsed != 0 {
			b.Fatalf("after the herd: %+v", *s.Probes)
		}
	}
	if granted != t.moot {
		b.Fatalf("%d leases were granted to %+v", granted, t)
	}
}

// stillRecovers fails unless failures opened breakers, and whoever waits as long
// as it is told closes them.
func stillRecovers(b *testing.B, list []*redbreaker.Breaker, t tally) {
	b.Helper()
	var trips int64
	for _, breaker := range list {
		var err error
		for err = breaker.Do(ctx, succeed); err != nil; err = breaker.Do(ctx, succeed) {
			must(b, t.ended(err))
			time.Sleep(time.Millisecond)
		}
	}
	for _, s := range inspect(b, list, redbreaker.StateClosed) {
		if slices.ContainsFunc(s.Log, func(t redbreaker.Transition) bool { return t.Cause == redbreaker.CauseRecovered }) {
			trips++
		}
	}
	if t.failed > 0 && trips == 0 {
		b.Fatalf("no breaker has tripped and recovered: %+v", t)
	}
}

// inspect returns the records, which must be in this state.
func inspect(b *testing.B, list []*redbreaker.Breaker, want engine.State) []redbreaker.Snapshot {
	b.Helper()
	snapshots := make([]redbreaker.Snapshot, len(list))
	for i, breaker := range list {
		var err error
		snapshots[i], err = breaker.Inspect(ctx)
		must(b, err)
		if snapshots[i].State != want {
			b.Fatalf("%s is %v, and %v was to be measured", breaker.Name(), snapshots[i].State, want)
		}
	}
	return snapshots
}
