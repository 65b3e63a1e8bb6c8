package storage

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
)

// scriptAt is a script on a server. A cluster's nodes are loaded each by itself,
// so that one that is away keeps no call from another.
type scriptAt struct{ sha, addr string }

// loader returns the loader of a script for the server that holds the key.
func (r *runner) loader(s *scripts.Script, key string) *loader {
	at := scriptAt{sha: s.SHA}
	var server redis.Scripter = r.client
	if node := r.topology.master(key); node != nil {
		at.addr, server = node.Options().Addr, node
	}
	return r.loaders.of(at, func() *loader { return &loader{script: s, server: server} })
}

// sender returns the sender for the server that holds the key; nil if calls do
// not leave together, since which server that is is not known.
func (r *runner) sender(key string) *sender {
	if !r.shares {
		return nil
	}
	addr := ""
	if r.topology != nil {
		node := r.topology.master(key)
		if node == nil {
			return nil
		}
		addr = node.Options().Addr
	}
	return r.senders.of(addr, func() *sender { return &sender{run: r} })
}

// load loads what was found missing, on the other nodes of a cluster too.
func (r *runner) load(ctx context.Context, l *loader, known int64) error {
	err := l.load(ctx, known)
	if err == nil {
		r.topology.spread(l.script)
	}
	return err
}

// routed calls the node that serves the key, also in the moments in which
// another takes over, and however few redirections the client follows.
func (r *runner) routed(ctx context.Context, a *attempt, s *scripts.Script, key string, args []any) (any, error) {
	for {
		reply, err := r.call(ctx, a, s, key, args)
		if err == nil || !r.topology.again(ctx, err) {
			return reply, err
		}
		a.again()
	}
}
