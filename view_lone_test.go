//go:build go1.25

package redbreaker_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker"
)

// A lone caller cannot tell a view from strict mode: it gets the same answer to each
// call. In a time window an outcome lies in the bucket in which it arrives, which may be
// the next one; so there only most runs are equal, see TestView_loneCallerInTime.

func TestView_loneCaller(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := drawUntimedPolicy(r)
		calls := rapid.SliceOfN(drawCall(), 1, 300).Draw(r, "calls")
		d := time.Duration(rapid.IntRange(1, 900).Draw(r, "d")) * time.Millisecond
		if i, strict, seen := firstDifference(t, p, d, calls); i >= 0 {
			r.Fatalf("call %d: strict mode answers %q, the view %q", i, strict, seen)
		}
	})
}

// loneCall is a call of a lone caller.
type loneCall struct {
	pause time.Duration // before it
	takes time.Duration
	ends  redbreaker.Outcome
}

func drawCall() *rapid.Generator[loneCall] {
	return rapid.Custom(func(r *rapid.T) loneCall {
		c := loneCall{
			pause: time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 7, 60, 400, 2000, 9000}).Draw(r, "pause")) * time.Millisecond,
			ends:  rapid.SampledFrom([]redbreaker.Outcome{redbreaker.Success, redbreaker.Success, redbreaker.Failure, redbreaker.Failure, redbreaker.Failure, redbreaker.Ignored, redbreaker.TripNow}).Draw(r, "outcome"),
		}
		if c.ends == redbreaker.TripNow && rapid.IntRange(0, 9).Draw(r, "trips") > 0 {
			c.ends = redbreaker.Failure
		}
		if rapid.IntRange(0, 9).Draw(r, "slow") == 0 {
			c.takes = time.Duration(rapid.IntRange(0, 3000).Draw(r, "takes")) * time.Millisecond
		}
		return c
	})
}

func drawUntimedPolicy(r *rapid.T) redbreaker.Policy {
	p := redbreaker.Policy{OpenFor: time.Duration(rapid.IntRange(1000, 5000).Draw(r, "open")) * time.Millisecond}
	if rapid.Bool().Draw(r, "streak") {
		p.ConsecutiveFailures = rapid.IntRange(1, 12).Draw(r, "streak of")
	}
	if rapid.Bool().Draw(r, "window") {
		p.Window = drawWindowRules(r, 100)
		p.Window.Calls = rapid.IntRange(1, 100).Draw(r, "calls of window")
		p.Window.MinCalls = min(p.Window.MinCalls, p.Window.Calls)
		p.Window.FailureCount = min(p.Window.FailureCount, p.Window.Calls)
	}
	p.HalfOpen.Probes = rapid.IntRange(1, 4).Draw(r, "probes")
	p.HalfOpen.Successes = rapid.IntRange(1, p.HalfOpen.Probes).Draw(r, "successes")
	return p
}

// drawWindowRules draws the thresholds of a window, one at least.
func drawWindowRules(r *rapid.T, most int) redbreaker.Window {
	w := redbreaker.Window{MinCalls: rapid.IntRange(0, 30).Draw(r, "min")}
	kinds := rapid.IntRange(1, 7).Draw(r, "kinds")
	if kinds&1 != 0 {
		w.FailureRate = float64(rapid.IntRange(5, 100).Draw(r, "rate")) / 100
	}
	if kinds&2 != 0 {
		w.FailureCount = rapid.IntRange(1, most).Draw(r, "count")
	}
	if kinds&4 != 0 {
		w.SlowCallRate, w.SlowCallDuration = float64(rapid.IntRange(5, 100).Draw(r, "slow rate"))/100, time.Second
	}
	return w
}

// firstDifference runs the calls of a lone caller in strict mode and through a view, at
// the same times, each over a store of its own. It returns the first call that was
// answered differently, -1 if none was.
func firstDifference(t *testing.T, p redbreaker.Policy, d time.Duration, calls []loneCall) (i int, strict, seen string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { i, strict, seen = findDifference(t, p, d, calls) })
	return i, strict, seen
}

func findDifference(t *testing.T, p redbreaker.Policy, d time.Duration, calls []loneCall) (i int, strict, seen string) {
	t.Helper()
	a, aStorage := newSharedStore(0).join(t, "a", p)
	b, bStorage := newSharedStore(0).join(t, "a", p, redbreaker.WithMaxStaleness(d))
	defer closeAll(t, aStorage, bStorage)
	defer a.Stop()
	defer b.Stop()
	for i, c := range calls {
		time.Sleep(c.pause)
		pa, errA := a.Acquire(ctx)
		pb, errB := b.Acquire(ctx)
		if strict, seen := describeAnswer(&pa, errA), describeAnswer(&pb, errB); strict != seen {
			return i, strict, seen
		}
		if errA != nil {
			continue
		}
		time.Sleep(c.takes)
		settle(&pa, c.ends)
		settle(&pb, c.ends)
	}
	return -1, "", ""
}

func settle(p *redbreaker.Permit, o redbreaker.Outcome) {
	switch o {
	case redbreaker.Failure:
		p.Failure(errDown)
	case redbreaker.TripNow:
		p.Failure(redbreaker.TripError(errDown, 0))
	case redbreaker.Ignored:
		p.Ignore()
	default:
		p.Success()
	}
}

// describeAnswer returns what a caller can see of an answer.
func describeAnswer(p *redbreaker.Permit, err error) string {
	var rejected *redbreaker.RejectedError
	switch {
	case errors.As(err, &rejected):
		return string(rejected.Reason)
	case err != nil:
		return err.Error()
	case p.Probe():
		return "probe"
	}
	return "admitted"
}

// TestView_loneCallerInTime allows what staleness costs in a time window: an outcome that
// is sent after its bucket has turned stays a bucket longer.
func TestView_loneCallerInTime(t *testing.T) {
	differ, runs := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		p := redbreaker.Policy{OpenFor: time.Duration(rapid.IntRange(1001, 5000).Draw(r, "open")) * time.Millisecond, Window: drawWindowRules(r, 30)}
		p.Window.Period = time.Duration(rapid.IntRange(100, 10_000).Draw(r, "period")) * time.Millisecond
		calls := rapid.SliceOfN(drawCall(), 1, 300).Draw(r, "calls")
		d := time.Duration(rapid.IntRange(1, int(p.Window.Period/time.Millisecond/10)).Draw(r, "d")) * time.Millisecond
		runs++
		if i, strict, seen := firstDifference(t, p, d, calls); i >= 0 {
			differ++
			t.Logf("call %d: strict mode answers %q, the view %q, d %v, %+v", i, strict, seen, d, p)
		}
	})
	if differ > runs/20 {
		t.Errorf("%d of %d runs differ, want at most one in 20", differ, runs)
	}
}
