package storage

import (
	"context"
	"math"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// Misread is a way to tell an operation's reply from that of the step that it
// shared.
type Misread func(p *part, r engine.Reply) engine.Reply

// Rightly is how it is done.
var Rightly Misread = (*part).of

// Misreads are wrong ways.
var Misreads = map[string]Misread{
	"stale is not told apart": func(p *part, r engine.Reply) engine.Reply {
		r.AppliedPerResult = nil
		return p.of(r)
	},
	"stale is what the first result is": func(p *part, r engine.Reply) engine.Reply {
		own := *p
		own.result = 0
		return own.of(r)
	},
	"one lease for all": func(p *part, r engine.Reply) engine.Reply {
		own := p.of(r)
		own.FirstLease = r.FirstLease
		return own
	},
	"granted to one, granted to all": func(p *part, r engine.Reply) engine.Reply {
		if r.Granted > 0 {
			r.Granted = math.MaxInt64
		}
		return p.of(r)
	},
	"the next one's grant": func(p *part, r engine.Reply) engine.Reply {
		own := *p
		own.place++
		return own.of(r)
	},
}

// By makes a handle read the replies of shared steps like that. All else is as in
// [group.take], but for the guard.
func (m Misread) By(handle engine.Handle) {
	h := handle.(*redisHandle)
	g := &h.group
	h.take = func(ctx context.Context, verb string, b engine.Batch) (engine.Reply, error) {
		now := time.Now()
		if g.first(ctx, now) {
			defer g.next()
			return h.ask(ctx, now, verb, b)
		}
		p := &part{verb: verb, batch: b, since: now}
		g.mu.Lock()
		j := g.join(ctx, p)
		g.mu.Unlock()
		if err := g.wait(ctx, j, p); err != nil {
			return engine.Reply{}, err
		}
		return m(p, j.reply), nil
	}
}
