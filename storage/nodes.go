package storage

import "sync"

// nodes has something for each of a cluster's nodes, by address; or, where there
// is one server, for none. The zero value is ready. Safe for concurrent use.
type nodes[K comparable, V any] struct {
	mu  sync.RWMutex
	all map[K]V
}

// maxNodes is more nodes than a cluster should have (1000). Addresses that come
// and go must not pile up: at this number all begin anew.
const maxNodes = 1024

// of returns what there is for a node, made if need be.
func (n *nodes[K, V]) of(node K, make func() V) V {
	n.mu.RLock()
	its, ok := n.all[node]
	n.mu.RUnlock()
	if ok {
		return its
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if its, ok := n.all[node]; ok {
		return its
	}
	if n.all == nil || len(n.all) >= maxNodes {
		n.all = map[K]V{}
	}
	its = make()
	n.all[node] = its
	return its
}
