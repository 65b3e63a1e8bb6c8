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

// errMoot is the error of a call that counts neither as success nor as failure.
var errMoot = errors.New("moot")

// counted is the policy of breakers that stay closed. Its window is longer than a
// run, so that the record holds every counted outcome at the end.
var counted = redbreaker.Policy{Window: redbreaker.Window{Period: 10 * time.Hour, FailureRate: 1}}

// path is a kind of call: what the breaker does with it, and how it ends.
type path struct {
	name   string
	policy redbreaker.Policy
	before redbreaker.Command    // prepares the breaker; none without an action
	call   func(i int) protected // what the i-th call of a goroutine runs if it is admitted
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
		// There is one slot, and an ignored probe frees it for the next call.
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

// onceIn makes one call in n fail. n shares no factor with the number of breakers,
// so that each of them gets its share of the failures.
func onceIn(n int) func(int) protected {
	return func(i int) protected {
		if i%n == n-1 {
			return fail
		}
		return succeed
	}
}

// BenchmarkContention measures goroutines that call breakers without a pause, by
// path: success admits all calls; failures admits all and one call in 101 fails;
// rejected is open; herd is half-open with one slot that all calls compete for;
// recover trips by each failure, one in 11, is open for a millisecond, and closes
// by one probe.
//
// An operation is a call of Do. An admitted call takes two decisions, its admission
// and its report, with a round trip each; a rejected call takes one. The floor is
// BenchmarkRoundTrip: do=evalsha2 for admitted calls, do=evalsha for rejected calls
// and for decisions a second.
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
		i += 7 * c.number // else all goroutines would call the same breaker, and fail, in step
		return c.count(list[i%breakers].Do(ctx, p.call(i)))
	})
	p.check(b, list, t)
}

func pass(context.Context) error { return errMoot }

// nothingLost fails unless each call was admitted and each outcome counted.
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

// leasesAddUp fails unless each admitted call had a lease and returned it.
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

// stillRecovers fails unless failures opened breakers, and calls close them again
// within half a minute.
func stillRecovers(b *testing.B, list []*redbreaker.Breaker, t tally) {
	b.Helper()
	var trips int64
	deadline := time.Now().Add(30 * time.Second)
	for _, breaker := range list {
		var err error
		for err = breaker.Do(ctx, succeed); err != nil; err = breaker.Do(ctx, succeed) {
			must(b, t.count(err))
			if time.Now().After(deadline) {
				b.Fatalf("%s does not recover: %v", breaker.Name(), err)
			}
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

// inspect returns the records, which must all be in the state want.
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
