package demo

import (
	"context"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// witness is a storage that records the ticket of each call. The epoch of a ticket
// names the state that admitted the call, whatever has happened since, so that the
// summary need not guess it from times.
type witness struct{ engine.Storage }

type ticketKey struct{}

// withTicket returns a context whose call stores its ticket in the pointer.
func withTicket(ctx context.Context) (context.Context, *redbreaker.Ticket) {
	t := new(redbreaker.Ticket)
	return context.WithValue(ctx, ticketKey{}, t), t
}

func (w witness) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	h, err := w.Storage.Bind(name, p, sink)
	return witnessHandle{h}, err
}

type witnessHandle struct{ engine.Handle }

func (h witnessHandle) Acquire(ctx context.Context) (engine.Ticket, error) {
	t, err := h.Handle.Acquire(ctx)
	if note, ok := ctx.Value(ticketKey{}).(*redbreaker.Ticket); ok {
		*note = t
	}
	return t, err
}
