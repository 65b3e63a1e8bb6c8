package engine

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// Engines with a fault must be found out, or the proof proves nothing.

// mutantHistories is how many concurrent histories a fault may hide from.
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
			shake(t)
			mustFlag(t, mutant.policy, mutant.breaks)
		})
	}
}

func TestLinearizable_withoutSeal(t *testing.T) {
	unseal(t)
	shake(t)
	mustFlag(t, calm, nil)
}

func mustFlag(t *testing.T, p Policy, breaks fault) {
	t.Helper()
	n, ok := check(t, p, mutantHistories, breaks)
	if ok {
		t.Fatalf("not found out in %d histories", n)
	}
	t.Logf("found out by history %d", n)
}

// anyEpoch counts results of every epoch.
type anyEpoch struct{ *memoryHandle }

func (h anyEpoch) Report(ctx context.Context, t Ticket, o Outcome, at int64, d *Detail) (bool, error) {
	h.record.mu.Lock()
	t.Epoch = h.record.record.epoch
	h.record.mu.Unlock()
	return h.memoryHandle.Report(ctx, t, o, at, d)
}

// anyLease counts results of leases that were spent.
type anyLease struct{ *memoryHandle }

func (h anyLease) Report(ctx context.Context, t Ticket, o Outcome, at int64, d *Detail) (bool, error) {
	h.record.mu.Lock()
	if held := h.record.record.round.leases; len(held) > 0 {
		t.Lease = held[0].grant
	}
	h.record.mu.Unlock()
	return h.memoryHandle.Report(ctx, t, o, at, d)
}

// readThenWrite decides between reading the record and writing it back.
type readThenWrite struct{ *memoryHandle }

func (h readThenWrite) step(b Batch) Reply {
	h.record.mu.Lock()
	r := h.record.record.apart()
	h.record.mu.Unlock()
	runtime.Gosched()
	reply := r.Step(h.rules, h.memory.now(), h.memory.random(), b)
	h.record.mu.Lock()
	h.record.record = *r
	h.record.mu.Unlock()
	return reply
}

func (h readThenWrite) Acquire(context.Context) (Ticket, error) {
	r := h.step(Batch{Admissions: 1})
	return h.rejected.admission(h.name, &r, 0, h.Now)
}

func (h readThenWrite) Report(_ context.Context, t Ticket, o Outcome, _ int64, _ *Detail) (bool, error) {
	if !t.Counted() || o == Ignored && t.Lease == 0 {
		return false, nil
	}
	r := h.step(Batch{Results: []Result{{t, []Run{{o, 1}}}}})
	return r.Stale > 0, nil
}
