package engine

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// The check must detect engines with a fault, or it proves nothing.

// mutantHistories is the number of histories within which a fault must be detected.
const mutantHistories = 2000

func TestLinearizable_mutants(t *testing.T) {
	streak := Policy{ConsecutiveFailures: 3, OpenFor: 2 * time.Millisecond, HalfOpen: HalfOpen{Probes: 3, Successes: 2}}
	for _, mutant := range []struct {
		name   string
		policy Policy
		breaks fault
	}{
		{"no epoch check", streak, func(c *caller, h *memoryHandle) Handle { return anyEpoch{h} }},
		{"no lease", streak, func(c *caller, h *memoryHandle) Handle { return anyLease{h} }},
		{"> for >=", streak, func(c *caller, h *memoryHandle) Handle {
			h.rules.Consecutive++
			return h
		}},
		{"read, then write", streak, func(c *caller, h *memoryHandle) Handle { return readThenWrite{h} }},
	} {
		t.Run(mutant.name, func(t *testing.T) {
			shakeSchedule(t)
			mustDetect(t, mutant.policy, mutant.breaks)
		})
	}
}

func TestLinearizable_withoutSeal(t *testing.T) {
	leaveOutSeal(t)
	shakeSchedule(t)
	mustDetect(t, mostlyClosed, nil)
}

func mustDetect(t *testing.T, p Policy, breaks fault) {
	t.Helper()
	n, ok := checkHistories(t, p, mutantHistories, breaks)
	if ok {
		t.Fatalf("not detected in %d histories", n)
	}
	t.Logf("detected by history %d", n)
}

// anyEpoch counts results of any epoch.
type anyEpoch struct{ *memoryHandle }

func (h anyEpoch) Report(ctx context.Context, t Ticket, o Outcome, at int64, d *Detail) (bool, error) {
	h.record.mu.Lock()
	t.Epoch = h.record.record.epoch
	h.record.mu.Unlock()
	return h.memoryHandle.Report(ctx, t, o, at, d)
}

// anyLease counts results whose lease was spent.
type anyLease struct{ *memoryHandle }

func (h anyLease) Report(ctx context.Context, t Ticket, o Outcome, at int64, d *Detail) (bool, error) {
	h.record.mu.Lock()
	if held := h.record.record.round.leases; len(held) > 0 {
		t.Lease = held[0].grant
	}
	h.record.mu.Unlock()
	return h.memoryHandle.Report(ctx, t, o, at, d)
}

// readThenWrite reads the record, decides, and writes it back without the mutex held
// in between.
type readThenWrite struct{ *memoryHandle }

func (h readThenWrite) step(b Batch) Reply {
	h.record.mu.Lock()
	r := h.record.record.deepCopy()
	h.record.mu.Unlock()
	runtime.Gosched()
	reply := r.Step(h.rules, h.memory.nowMS(), h.memory.random(), b)
	h.record.mu.Lock()
	h.record.record = *r
	h.record.mu.Unlock()
	return reply
}

func (h readThenWrite) Acquire(context.Context) (Ticket, error) {
	r := h.step(Batch{Admissions: 1})
	return h.decideAdmission(&r, h.memory.nowMS(), nil)
}

func (h readThenWrite) Report(_ context.Context, t Ticket, o Outcome, _ int64, _ *Detail) (bool, error) {
	if !t.Counted() || o == Ignored && t.Lease == 0 {
		return false, nil
	}
	r := h.step(Batch{Results: []Result{{t, []Run{{o, 1}}}}})
	return r.Stale > 0, nil
}
