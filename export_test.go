package redbreaker

import "github.com/redbreaker/redbreaker/engine"

// HandleForTest returns the handle that decides about the breaker's calls.
func (b *Breaker) HandleForTest() engine.Handle { return b.handle }
