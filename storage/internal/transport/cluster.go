package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
)

// clusterMap keeps a cluster client's map of slots up to date, and the scripts on
// all nodes. A nil clusterMap is that of a single server; its methods do nothing.
//
// go-redis reads the map of slots when a server redirects it, and once a minute.
// A master that died redirects no call: its client would ask it for most of that
// minute, long after the cluster has replaced it. So while calls fail, the map is
// read again and again.
type clusterMap struct {
	client  *redis.ClusterClient
	spawn   func(func()) bool
	start   time.Time
	done    chan struct{} // closed by stop
	stopped sync.Once
	// readsReplicas: the client sends reads to replicas.
	readsReplicas bool

	loaded      atomic.Bool  // the client has a map of slots
	lastFailure atomic.Int64 // when a call last failed, since start
	watching    atomic.Bool
	reloads     atomic.Int32 // that run
	lastRefresh atomic.Int64 // since start

	mu sync.Mutex
	// spreading has the SHA of each script that is being given to all nodes, and
	// whether it was asked for again meanwhile: a node that was served already may
	// have lost it.
	spreading map[string]bool
}

// While calls fail, the next reading of the map waits for a tenth of the time
// that they have failed for, within these limits. So a failover takes a tenth
// longer than the cluster needs for it, and a cluster that stays broken is not
// flooded by the whole fleet.
const (
	minReloadPause = 100 * time.Millisecond
	maxReloadPause = 2 * time.Second
	// watchAfterFailure is how long the map is read after the last failure. It is
	// longer than the guards' pauses, whose trials show that a node is still dead.
	watchAfterFailure = guard.MaxPause + time.Second
)

func newClusterMap(client redis.UniversalClient, spawn func(func()) bool) *clusterMap {
	c, ok := client.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	return &clusterMap{
		client: c, spawn: spawn, start: time.Now(), done: make(chan struct{}),
		readsReplicas: c.Options().ReadOnly, spreading: map[string]bool{},
	}
}

// masterOf returns the client of the node that serves the key, as far as the map
// says. It does no I/O; nil means that there is no map yet.
func (m *clusterMap) masterOf(key string) *redis.Client {
	if m == nil || !m.loaded.Load() {
		return nil
	}
	c, err := m.client.MasterForKey(context.Background(), key)
	if err != nil {
		return nil
	}
	return c
}

// recordSuccess is called when a server answered: so the client has a map.
func (m *clusterMap) recordSuccess() {
	if m == nil {
		return
	}
	if !m.loaded.Load() { // a store for each call would cost more
		m.loaded.Store(true)
	}
	if m.readsReplicas {
		m.refreshMap()
	}
}

// refreshMap reads the map once a second, of a client that sends reads to replicas.
// Its connections say so to every server, and one that was a master until a moment
// ago then answers scripts that happen to write nothing, where it would redirect
// another client.
func (m *clusterMap) refreshMap() {
	now, last := time.Since(m.start), m.lastRefresh.Load()
	if now-time.Duration(last) >= time.Second && m.lastRefresh.CompareAndSwap(last, int64(now)) {
		m.client.ReloadState(context.Background())
	}
}

// recordFailure is called when a call failed.
func (m *clusterMap) recordFailure(err error) {
	if m == nil || !isStaleMap(err) {
		return
	}
	m.lastFailure.Store(int64(time.Since(m.start)))
	if m.watching.CompareAndSwap(false, true) && !m.spawn(m.watchFailures) {
		m.watching.Store(false)
	}
}

// watchFailures reads the map until calls have not failed for a while.
func (m *clusterMap) watchFailures() {
	defer m.watching.Store(false)
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.done:
			return
		case <-timer.C:
		}
		if time.Since(m.start)-time.Duration(m.lastFailure.Load()) > watchAfterFailure {
			return
		}
		m.reloadMap()
		timer.Reset(min(max(time.Since(began)/10, minReloadPause), maxReloadPause))
	}
}

// maxReloads is how many readings of the map may run. Each asks one node, picked
// by the client, and a node that hangs holds it up for the client's own timeout;
// ReloadState would wait for that.
const maxReloads = 8

func (m *clusterMap) reloadMap() {
	if m.reloads.Add(1) > maxReloads {
		m.reloads.Add(-1)
		return
	}
	if !m.spawn(func() {
		defer m.reloads.Add(-1)
		var ignored error
		defer recoverPanic(&ignored)
		// This reads the map, then does nothing with the masters.
		_ = m.client.ForEachMaster(context.Background(), func(context.Context, *redis.Client) error { return nil })
	}) {
		m.reloads.Add(-1)
	}
}

func (m *clusterMap) stopWatching() {
	if m != nil {
		m.stopped.Do(func() { close(m.done) })
	}
}

// spreadScript gives a script to all nodes: to the replicas too, one of which may
// be the next master.
func (m *clusterMap) spreadScript(s *scripts.Script) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, running := m.spreading[s.SHA]; running {
		m.spreading[s.SHA] = true
		return
	}
	if m.spawn(func() {
		for again := true; again; again = m.wasAskedAgain(s) {
			m.loadOnAllNodes(s)
		}
	}) {
		m.spreading[s.SHA] = false
	}
}

// spreadTimeout is ample for giving a script to a node that answers.
const spreadTimeout = 5 * time.Second

func (m *clusterMap) loadOnAllNodes(s *scripts.Script) {
	ctx, cancel := context.WithTimeout(context.Background(), spreadTimeout)
	defer cancel()
	// A node that is away is given the script when a call finds it missing there.
	_ = m.client.ForEachShard(ctx, func(ctx context.Context, node *redis.Client) (err error) {
		defer recoverPanic(&err)
		return node.ScriptLoad(ctx, s.Source).Err()
	})
}

// wasAskedAgain reports whether the script was asked for while it was spread. If
// not, spreading has ended.
func (m *clusterMap) wasAskedAgain(s *scripts.Script) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	again := m.spreading[s.SHA]
	if again {
		m.spreading[s.SHA] = false
	} else {
		delete(m.spreading, s.SHA)
	}
	return again
}
