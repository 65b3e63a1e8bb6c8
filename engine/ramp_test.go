package engine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// recovered returns a record that has just recovered.
func recovered(t *testing.T, p *Rules, now int64) Record {
	t.Helper()
	var r Record
	if _, err := r.Control(p, now, 0, Command{Action: ActionHalfOpen}); err != nil {
		t.Fatal(err)
	}
	probe := r.Step(p, now, 0, Batch{Admissions: 1})
	reply := r.Step(p, now, 0, Batch{Results: []Result{{Ticket{probe.Epoch, probe.FirstLease}, []Run{{Success, 1}}}}})
	if reply.Transition.Cause != CauseRecovered {
		t.Fatalf("not recovered: %+v", reply)
	}
	return r
}

func rampRules(t *testing.T, r Ramp) Rules {
	t.Helper()
	p, err := Policy{Ramp: r}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRamp_share: of 100 000 calls that 20 processes make, alone and several in one
// step, the admitted share follows the line within chance: chi-squared over twenty
// parts of the ramp, at a level of 0.1 %.
func TestRamp_share(t *testing.T) {
	const (
		start, over, calls, processes, parts = 1_000_000, 100_000, 100_000, 20, 20
		limit                                = 45.3 // chi-squared, 20 degrees of freedom
	)
	p := rampRules(t, Ramp{Over: over * time.Millisecond, From: 0.2})
	r := recovered(t, &p, start)
	random := rand.New(rand.NewPCG(1, 2))
	var admitted, expected, variance [parts]float64
	for made, process := int64(0), int64(0); made < calls; process++ {
		now := start + made*over/calls
		n := min(1+process%processes%4, calls-made)
		reply := r.Step(&p, now, random.Int64N(rndLimit), Batch{Admissions: n})
		part := (now - start) * parts / over
		share := float64(n) * (0.2 + 0.8*float64(now-start)/over)
		rest := share - float64(int64(share))
		admitted[part] += float64(reply.Granted)
		expected[part] += share
		variance[part] += rest * (1 - rest)
		if reply.Granted < int64(share) || reply.Granted > int64(share)+1 {
			t.Fatalf("%d of %d calls at a share of %.4f", reply.Granted, n, share)
		}
		made += n
	}
	chi := 0.0
	for i := range parts {
		d := admitted[i] - expected[i]
		chi += d * d / variance[i]
	}
	t.Logf("chi-squared %.1f of at most %v", chi, limit)
	if chi > limit {
		t.Errorf("chi-squared %.1f, above %v: admitted %v, expected %v", chi, limit, admitted, expected)
	}
}

// TestRamp_stampede: a dependency that collapses when more than 30 % of the full load
// arrives within two seconds of its recovery recovers at the first try with a ramp, and
// never without one.
func TestRamp_stampede(t *testing.T) {
	for _, test := range []struct {
		ramp  Ramp
		trips int64
	}{{Ramp{Over: 10 * time.Second, From: 0.1}, 0}, {Ramp{}, 5}} {
		p := rampRules(t, test.ramp)
		random := rand.New(rand.NewPCG(3, 4))
		now, trips := int64(1_000_000), int64(0)
		for range 5 {
			r := recovered(t, &p, now)
			began, arrived := now, 0
			for ; now < began+12_000 && r.state == StateClosed; now++ { // a call each ms
				reply := r.Step(&p, now, random.Int64N(rndLimit), Batch{Admissions: 1})
				if reply.Granted == 0 {
					continue
				}
				outcome := Success
				if arrived++; arrived > 600 && now < began+2000 {
					outcome = Failure
				}
				r.Step(&p, now, 0, Batch{Results: []Result{{Ticket{Epoch: reply.Epoch}, []Run{{outcome, 1}}}}})
			}
			if r.state == StateOpen {
				trips++
			}
			now += 60_000
		}
		if trips != test.trips {
			t.Errorf("with %+v: %d of 5 recoveries failed, want %d", test.ramp, trips, test.trips)
		}
	}
}
