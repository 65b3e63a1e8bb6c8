package demo

import (
	"context"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// witness is a storage that notes which ticket a call was given. The epoch of a
// ticket names the state that granted it, whatever has happened since: so the
// summary knows by what right each call was made, and need not guess from times.
type witness struct{ engine.Storage }

type ticketKey struct{}

// withTicket returns a context whose call leaves its ticket in the pointer.
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
