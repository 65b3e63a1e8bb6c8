package storage

import (
	"context"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/watch"
)

// Watch implements [engine.Watcher]. It does not need [WithWatch]: it opens a
// subscription of its own. It follows the breakers that [Redis.Names] lists, and
// those that publish, and needs the rights of a viewer, +subscribe and +hmget. No
// transition is Own.
func (r *Redis) Watch(ctx context.Context, fn func(engine.Event)) error {
	w := watch.New(r.client, r.transport, r.keys, r.start)
	if !r.addWatcher(w) {
		return engine.ErrStopped
	}
	defer r.removeWatcher(w)
	err := w.WatchAll(ctx, r.Names, fn)
	// Close ends it from outside, and the reason must not depend on which of the two
	// WatchAll has noticed first. A context that ended is the caller's own reason.
	if r.closed.Load() && ctx.Err() == nil {
		return engine.ErrStopped
	}
	return err
}

// addWatcher registers a Watcher that Close has to end. It returns false after
// Close.
func (r *Redis) addWatcher(w *watch.Watcher) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Under the lock that takeWatchers takes after Close has set closed: each Watcher is
	// either refused here or closed there.
	if r.closed.Load() {
		return false
	}
	r.watchers[w] = true
	return true
}

func (r *Redis) removeWatcher(w *watch.Watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watchers, w)
}

// takeWatchers returns the Watchers to close.
func (r *Redis) takeWatchers() map[*watch.Watcher]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.watchers
	r.watchers = map[*watch.Watcher]bool{}
	if r.watcher != nil {
		all[r.watcher] = true
	}
	return all
}
