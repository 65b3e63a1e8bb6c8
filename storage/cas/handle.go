package cas

import (
	"context"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/handle"
)

// breaker is the handle on one breaker in a store. It is its own handle.Sender: the
// swap queue gathers operations, so no group commit is needed before it.
type breaker struct {
	handle.Base
	storage *Storage
	queue   *swapQueue
	rules   engine.Rules
}

func newHandle(s *Storage, name string, rules engine.Rules, sink func(engine.Event)) *breaker {
	h := &breaker{storage: s, queue: s.newSwapQueue(name), rules: rules}
	h.Base = handle.Base{Sender: h, Name: name, Reporter: s.reporter, Start: s.start, StorageClosed: &s.closed}
	h.Tracker = engine.NewTracker(name, &h.rules, h.Now, sink)
	return h
}

// SendBatch implements handle.Sender. The guard is asked once for the operation, however
// many races it loses: a lost race is an answer of the store.
func (h *breaker) SendBatch(ctx context.Context, op string, b engine.Batch) (engine.Reply, error) {
	permission, err := h.Permit(h.storage.guard, op)
	if err != nil {
		return engine.Reply{}, err
	}
	r, err := h.runStep(ctx, op, b)
	permission.Release(err)
	return r, err
}

// Trial implements handle.Sender.
func (h *breaker) Trial() error {
	_, err := h.runStep(context.Background(), "step", engine.Batch{})
	return err
}

// runStep runs a batch on the record. apply may run several times, each time on the
// record as another process left it; only the run that is swapped in counts, and
// only then does the tracker learn of the reply.
func (h *breaker) runStep(ctx context.Context, op string, b engine.Batch) (engine.Reply, error) {
	// The driver writes r, in apply. The caller reads it only after a commit, which is over
	// when done is closed; a caller that has left never reads it.
	var r engine.Reply
	b = h.WithStanding(b)
	err := h.queue.runOperation(ctx, &operation{
		op:        op,
		apply:     func(record *engine.Record, now int64) { r = record.Step(&h.rules, now, h.storage.random(), b) },
		onCommit:  func(asked int64) { h.ApplyReply(b, r, asked) },
		onAbandon: func() { h.returnLeases(r) },
	})
	if err != nil {
		return engine.Reply{}, err
	}
	return r, nil
}

// returnLeases returns the leases of a caller that left before it got them, so
// that other callers need not wait until they lapse.
func (h *breaker) returnLeases(r engine.Reply) {
	if r.FirstLease == 0 {
		return
	}
	b := engine.Batch{Reporter: h.Reporter}
	for i := range r.Granted {
		b.Results = append(b.Results, engine.Result{
			Ticket: engine.Ticket{Epoch: r.Epoch, Lease: r.FirstLease + i},
			Runs:   []engine.Run{{Outcome: engine.Ignored, N: 1}},
		})
	}
	// In a goroutine of its own: the queue's driver, which calls this, would wait
	// for itself.
	h.storage.tasks.Spawn(func() { _, _ = h.runStep(context.Background(), "report", b) })
}

// Control applies a command with the handle's policy.
func (h *breaker) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	if err := h.CheckCommand(c); err != nil {
		return engine.Snapshot{}, err
	}
	s, err := h.queue.runControl(ctx, c, func(*engine.Record) *engine.Rules { return &h.rules }, h.ApplyCommand)
	if !s.Exists {
		h.ObserveCommand() // it failed, but the store may have swapped
	}
	return s, err
}
