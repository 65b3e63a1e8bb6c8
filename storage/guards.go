package storage

// guards has a guard for each server that can be away by itself: the one there
// is, or each master of a cluster. A master that takes over from a dead one has
// its own guard, and so is asked at once.
type guards struct {
	topology *topology
	spawn    func(func()) bool
	one      *guard // of a single server, and while a cluster's map is not known
	masters  nodes[string, *guard]
}

func newGuards(t *topology, spawn func(func()) bool) (*guards, error) {
	one, err := newGuard(spawn)
	if err != nil {
		return nil, err
	}
	return &guards{topology: t, spawn: spawn, one: one}, nil
}

// of returns the guard of the server that holds the key.
func (g *guards) of(key string) *guard {
	node := g.topology.master(key)
	if node == nil {
		return g.one
	}
	return g.masters.of(node.Options().Addr, func() *guard {
		its, err := newGuard(g.spawn)
		if err != nil { // one with the same policy was made before
			return g.one
		}
		return its
	})
}
