package storage

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
)

// topology knows a cluster's masters. A nil topology is that of a single server.
//
// go-redis reads the map of slots when a server redirects it, and once a minute.
// A master that died redirects nobody: its client would ask it for most of that
// minute, long after the cluster has replaced it.
type topology struct {
	client *redis.ClusterClient
	spawn  func(func()) bool
	start  time.Time
	done   chan struct{} // closed by stop

	known    atomic.Bool  // the client has a map of slots
	failure  atomic.Int64 // when a call last failed, since start
	watching atomic.Bool

	spreading sync.Map // SHA of a script that is on its way to all nodes
}

// While calls fail, the map is read anew after a tenth of the time that they
// have failed for, so that a failover costs a tenth more than it takes, and a
// cluster that stays broken is not asked by everybody all the time. The guards
// try a dead node more often than linger.
const (
	soonest = 100 * time.Millisecond
	latest  = 2 * time.Second
	linger  = guardMax + time.Second
)

func newTopology(client redis.UniversalClient, spawn func(func()) bool) *topology {
	c, ok := client.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	return &topology{client: c, spawn: spawn, start: time.Now(), done: make(chan struct{})}
}

// master returns the client of the node that serves the key, as far as is known.
// It does no I/O; nil means that nothing is known.
func (t *topology) master(key string) *redis.Client {
	if t == nil || !t.known.Load() {
		return nil
	}
	c, err := t.client.MasterForKey(context.Background(), key)
	if err != nil {
		return nil
	}
	return c
}

// answered is told that a server answered: the client has a map.
func (t *topology) answered() {
	if t != nil && !t.known.Load() { // to store for each call would be dearer
		t.known.Store(true)
	}
}

// failed is told how a call failed.
func (t *topology) failed(err error) {
	if t == nil || !outdated(err) {
		return
	}
	t.failure.Store(int64(time.Since(t.start)))
	if t.watching.CompareAndSwap(false, true) && !t.spawn(t.watch) {
		t.watching.Store(false)
	}
}

// watch keeps the map fresh until calls have not failed for a while.
func (t *topology) watch() {
	defer t.watching.Store(false)
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-timer.C:
		}
		if time.Since(t.start)-time.Duration(t.failure.Load()) > linger {
			return
		}
		t.client.ReloadState(context.Background())
		timer.Reset(min(max(time.Since(began)/10, soonest), latest))
	}
}

func (t *topology) stop() {
	if t != nil {
		close(t.done)
	}
}

// spread gives a script to all nodes: to the replicas too, one of which may be
// the next master.
func (t *topology) spread(s *scripts.Script) {
	if t == nil {
		return
	}
	if _, underway := t.spreading.LoadOrStore(s.SHA, true); underway {
		return
	}
	if !t.spawn(func() {
		defer t.spreading.Delete(s.SHA)
		ctx, cancel := context.WithTimeout(context.Background(), spreadTime)
		defer cancel()
		// A node that is away is given the script when it is found missing there.
		_ = t.client.ForEachShard(ctx, func(ctx context.Context, node *redis.Client) error {
			return node.ScriptLoad(ctx, s.Source).Err()
		})
	}) {
		t.spreading.Delete(s.SHA)
	}
}

// spreadTime is ample for giving a script to a node that answers.
const spreadTime = 5 * time.Second
