package transport

import (
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
)

// Node is a server that can be away by itself: the only one, or a master of a
// cluster. It has the guard, the scripts and the pipeline of that server. A
// master that takes over from a dead one is a Node of its own, so that it is
// asked at once. All methods are safe for concurrent use.
type Node struct {
	guard    *guard.Guard
	server   redis.UniversalClient
	pipeline *pipeline // nil if calls must not leave together

	mu      sync.Mutex
	loaders map[string]*scriptLoader // by SHA
}

// Guard returns the guard of the server.
func (n *Node) Guard() *guard.Guard { return n.guard }

// loaderOf returns the loader of a script on the node.
func (n *Node) loaderOf(s *scripts.Script) *scriptLoader {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.loaders[s.SHA]
	if l == nil {
		l = &scriptLoader{script: s, server: n.server}
		if n.loaders == nil {
			n.loaders = map[string]*scriptLoader{}
		}
		n.loaders[s.SHA] = l
	}
	return l
}

// maxNodes is more than the 1000 masters that a cluster should have at most.
// Addresses that come and go must not pile up: at this number all nodes are
// forgotten.
const maxNodes = 1024

// nodes has the masters of a cluster that calls went to.
type nodes struct {
	mu     sync.RWMutex
	byAddr map[string]*Node
}

// getOrAdd returns the node of a client, and makes it by newNode if it is not known.
// go-redis drops the clients of nodes that leave the cluster, and makes another
// one if the node returns: then it is another Node.
func (n *nodes) getOrAdd(client *redis.Client, newNode func() *Node) *Node {
	addr := client.Options().Addr
	n.mu.RLock()
	node := n.byAddr[addr]
	n.mu.RUnlock()
	if node != nil && node.server == client {
		return node
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if node := n.byAddr[addr]; node != nil && node.server == client {
		return node
	}
	if n.byAddr == nil || len(n.byAddr) >= maxNodes {
		n.byAddr = map[string]*Node{}
	}
	node = newNode()
	n.byAddr[addr] = node
	return node
}
