package redbreaker

import (
	"context"

	"github.com/redbreaker/redbreaker/engine"
)

// HandleForTest returns the handle that decides about the breaker's calls.
func (b *Breaker) HandleForTest() engine.Handle { return b.handle }

// WaitForHooksForTest waits until no event waits for hooks.
func (b *Breaker) WaitForHooksForTest(ctx context.Context) error { return b.waitForHooks(ctx) }
