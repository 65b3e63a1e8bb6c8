package storage

import (
	"math"

	"github.com/redbreaker/redbreaker/engine"
)

// Misread is a way to tell an operation's reply from that of the step that it
// shared.
type Misread func(p *pendingOp, r engine.Reply) engine.Reply

// Rightly is how it is done.
var Rightly Misread = (*pendingOp).replyFrom

// Misreads are wrong ways.
var Misreads = map[string]Misread{
	"stale results count for each": func(p *pendingOp, r engine.Reply) engine.Reply {
		r.AppliedPerResult = nil
		return p.replyFrom(r)
	},
	"each result is as stale as the first": func(p *pendingOp, r engine.Reply) engine.Reply {
		own := *p
		own.result = 0
		return own.replyFrom(r)
	},
	"one lease for all": func(p *pendingOp, r engine.Reply) engine.Reply {
		own := p.replyFrom(r)
		own.FirstLease = r.FirstLease
		return own
	},
	"granted to one, granted to all": func(p *pendingOp, r engine.Reply) engine.Reply {
		if r.Granted > 0 {
			r.Granted = math.MaxInt64
		}
		return p.replyFrom(r)
	},
	"the next one's grant": func(p *pendingOp, r engine.Reply) engine.Reply {
		own := *p
		own.place++
		return own.replyFrom(r)
	},
}

// By makes a handle read the replies of shared steps like that.
func (m Misread) By(h engine.Handle) { h.(*redisHandle).group.readReply = m }

// StopListing ends the entries of a storage's breakers in the index of the namespace:
// commands that come by themselves, a second after the first call.
func StopListing(r *Redis) { r.index.Close() }

// WaitingOps is how many operations of a handle wait for the next step.
func WaitingOps(h engine.Handle) int {
	g := &h.(*redisHandle).group
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, s := range g.waiting {
		n += len(s.ops)
	}
	return n
}
