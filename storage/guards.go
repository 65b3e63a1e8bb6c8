package storage

import "sync"

// guards has a guard for each server that can be away by itself: the one there
// is, or each master of a cluster. A master that takes over from a dead one has
// its own guard, and so is asked at once.
type guards struct {
	topology *topology
	spawn    func(func()) bool
	one      *guard // of a single server, and while a cluster's map is not known

	mu     sync.RWMutex
	byAddr map[string]*guard
}

// maxNodes is more masters than a cluster should have (1000). Addresses that
// come and go must not pile up: at this number all guards begin anew.
const maxNodes = 1024

func newGuards(t *topology, spawn func(func()) bool) (*guards, error) {
	one, err := newGuard(spawn)
	if err != nil {
		return nil, err
	}
	return &guards{topology: t, spawn: spawn, one: one, byAddr: map[string]*guard{}}, nil
}

// of returns the guard of the server that holds the key.
func (g *guards) of(key string) *guard {
	node := g.topology.master(key)
	if node == nil {
		return g.one
	}
	addr := node.Options().Addr
	g.mu.RLock()
	its := g.byAddr[addr]
	g.mu.RUnlock()
	if its != nil {
		return its
	}
	return g.add(addr)
}

func (g *guards) add(addr string) *guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	if its := g.byAddr[addr]; its != nil {
		return its
	}
	its, err := newGuard(g.spawn)
	if err != nil { // one with the same policy was made before
		return g.one
	}
	if len(g.byAddr) >= maxNodes {
		clear(g.byAddr)
	}
	g.byAddr[addr] = its
	return its
}
