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
	// readers tells that the client sends reads to replicas.
	readers bool

	known    atomic.Bool  // the client has a map of slots
	failure  atomic.Int64 // when a call last failed, since start
	watching atomic.Bool
	reloads  atomic.Int32 // under way

	refreshed atomic.Int64 // when, since start

	mu sync.Mutex
	// spreading has the SHA of each script that is on its way to all nodes, and
	// whether it was asked for again meanwhile: a node may have lost it behind us.
	spreading map[string]bool
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
	return &topology{client: c, spawn: spawn, start: time.Now(), done: make(chan struct{}), readers: c.Options().ReadOnly, spreading: map[string]bool{}}
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
	if t == nil {
		return
	}
	if !t.known.Load() { // to store for each call would be dearer
		t.known.Store(true)
	}
	if t.readers {
		t.refresh()
	}
}

// refresh reads the map anew once a second, of a client that sends reads to
// replicas. Its connections say so to every server, and one that was a master
// until a moment ago then answers scripts that happen to write nothing, where
// it would redirect another client.
func (t *topology) refresh() {
	now, last := time.Since(t.start), t.refreshed.Load()
	if now-time.Duration(last) >= time.Second && t.refreshed.CompareAndSwap(last, int64(now)) {
		t.client.ReloadState(context.Background())
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
		t.reload()
		timer.Reset(min(max(time.Since(began)/10, soonest), latest))
	}
}

// abreast is how many readings of the map may be under way. Each asks one node,
// picked by the client, and one that hangs holds it up for the client's own
// timeout; ReloadState would wait for that.
const abreast = 8

func (t *topology) reload() {
	if t.reloads.Add(1) > abreast {
		t.reloads.Add(-1)
		return
	}
	if !t.spawn(func() {
		defer t.reloads.Add(-1)
		// This reads the map anew, then does nothing with the masters.
		_ = t.client.ForEachMaster(context.Background(), func(context.Context, *redis.Client) error { return nil })
	}) {
		t.reloads.Add(-1)
	}
}

// again reports whether a call that failed is worth sending again, a moment
// later: a node said that it does not serve the key, or no longer takes writes,
// and who does will be known soon. Nothing was executed then.
func (t *topology) again(ctx context.Context, err error) bool {
	if t == nil || !meaningOf(err).outdated {
		return false
	}
	t.reload()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(soonest / 5):
		return true
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, underway := t.spreading[s.SHA]; underway {
		t.spreading[s.SHA] = true
		return
	}
	if t.spawn(func() {
		for again := true; again; again = t.spreadAgain(s) {
			t.spreadOnce(s)
		}
	}) {
		t.spreading[s.SHA] = false
	}
}

func (t *topology) spreadOnce(s *scripts.Script) {
	ctx, cancel := context.WithTimeout(context.Background(), spreadTime)
	defer cancel()
	// A node that is away is given the script when it is found missing there.
	_ = t.client.ForEachShard(ctx, func(ctx context.Context, node *redis.Client) error {
		return node.ScriptLoad(ctx, s.Source).Err()
	})
}

// spreadAgain reports whether the script was asked for while it was on its way.
func (t *topology) spreadAgain(s *scripts.Script) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	again := t.spreading[s.SHA]
	if again {
		t.spreading[s.SHA] = false
	} else {
		delete(t.spreading, s.SHA)
	}
	return again
}

// spreadTime is ample for giving a script to a node that answers.
const spreadTime = 5 * time.Second
