// Package watch lets the breakers of a storage follow the transitions that other
// processes make.
//
// A Watcher has a subscription, which is fast but may lose events without a sign,
// and reads records, which is slow but right. What to deliver, and when a record
// has to be read, is decided for each record by package follow. The Watcher feeds
// it with events, replies and read records, and limits how much is read.
//
// What runs when: the goroutine of a subscription receives events and gives each to
// the Followed of its key, which applies it under its own lock and delivers at once.
// Replies take the same way in the goroutine of the call. All that is due later, an
// event that did not come, a read, a poll, a ping, is found by tick, which the one
// timer of the Watcher starts. Reads and polls run in goroutines of the transport,
// since they take a round trip.
//
// A Followed without anything due costs nothing until no reply or read has confirmed
// it for 30 s. Then its head is polled, though events may have arrived: they may be
// late. That is the bound of what a lost or late event can cost.
//
// The limits, 100 reads and 1000 polls a second, are those of a storage. They keep a
// fleet that is restarted, or a channel that carries the events of another database,
// from loading the server: reads that are too many wait.
//
// The subscription neither asks nor informs the guard of a server: that it fails
// says nothing about steps.
package watch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/follow"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

// Watcher follows the records of a storage's handles. All methods are safe for
// concurrent use.
//
// Locks are taken in this order: that of a Followed, then mu.
type Watcher struct {
	client    redis.UniversalClient
	transport *transport.Transport
	keys      cluster.Keys
	start     time.Time
	closed    atomic.Bool
	done      chan struct{} // closed by Close

	mu       sync.Mutex
	followed map[string]*Followed
	pending  map[*Followed]bool // have something due
	// subs has one subscription for each server that publishes by itself.
	subs    map[redis.UniversalClient]*subscription
	timer   *time.Timer
	wakeAt  time.Duration // when the timer is due; 0: it is not set
	ticking bool
	scanAt  time.Duration // when to look for records that were silent
	reads   limiter
	polls   limiter // of records that have to be polled at once
	silent  limiter // of records that were silent
	starved starvation
	refusal bool // a refusal was reported, and nothing was confirmed since

	all *Namespace // set for a watch of the namespace
}

// New returns a Watcher of a storage that was made at start. It does nothing until
// a record is followed.
func New(client redis.UniversalClient, t *transport.Transport, keys cluster.Keys, start time.Time) *Watcher {
	return &Watcher{
		client: client, transport: t, keys: keys, start: start, done: make(chan struct{}),
		followed: map[string]*Followed{}, pending: map[*Followed]bool{}, subs: map[redis.UniversalClient]*subscription{},
		reads: limiter{most: 100, per: time.Second}, polls: limiter{most: 500, per: time.Second / 2}, silent: limiter{most: 100, per: time.Second},
	}
}

// now is the time since the start, above 0.
func (w *Watcher) now() time.Duration { return time.Since(w.start) + 1 }

// Follow makes a tracker follow the record of a key, and starts the subscription
// if this is the first one. It waits for nothing.
func (w *Watcher) Follow(key string, t *engine.Tracker) *Followed {
	w.mu.Lock()
	r := w.followed[key]
	if r == nil {
		r = &Followed{watcher: w, key: key}
		w.followed[key] = r
	}
	r.handles++
	w.mu.Unlock()
	r.addTracker(t)
	w.startSubscriptions()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed.Load() {
		w.scheduleLocked(r, w.now())
	}
	return r
}

// unfollow forgets a record that no handle follows any more.
func (w *Watcher) unfollow(r *Followed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.handles--
	if r.handles == 0 && w.followed[r.key] == r {
		delete(w.followed, r.key)
		delete(w.pending, r)
	}
}

// startSubscriptions subscribes to each server that publishes events by itself: the
// shards of a ring, or the only server or cluster.
func (w *Watcher) startSubscriptions() {
	ring, ok := w.client.(*redis.Ring)
	if !ok {
		w.startSubscription(w.client)
		return
	}
	_ = ring.ForEachShard(context.Background(), func(_ context.Context, shard *redis.Client) error {
		w.startSubscription(shard)
		return nil
	})
}

// startSubscription subscribes to one server, unless it is subscribed. The goroutine
// is not one of the transport's: Close waits for those for as long as the client's
// read timeout, but for this one only for the storage's.
func (w *Watcher) startSubscription(client redis.UniversalClient) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed.Load() || w.subs[client] != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &subscription{
		channel: w.keys.Channel(), subscribe: subscribeTo(client, w.keys.Channel()),
		receive: w.receiveEvent, becameUp: w.pollAll, refused: w.reportRefusal,
		now: w.now, spawn: w.transport.Spawn, ctx: ctx, cancel: cancel, done: make(chan struct{}),
	}
	w.subs[client] = s
	go s.keepSubscribed()
	w.armLocked(w.now() + confirmLimit)
}

// Close ends the subscription. No event is delivered after it. It waits for the
// subscription's goroutine, but not for longer than the timeout: the client may be
// dialing.
func (w *Watcher) Close() {
	if w.closed.Swap(true) {
		return
	}
	close(w.done)
	subs, records := w.stopTimer()
	for _, s := range subs {
		s.endSubscription()
	}
	for _, r := range records { // a delivery in progress ends first
		r.mu.Lock()
		r.mu.Unlock() //nolint:staticcheck // see above
	}
	limit := time.After(w.transport.Timeout())
	for _, s := range subs {
		select {
		case <-s.done:
		case <-limit:
			return
		}
	}
}

// stopTimer stops the timer and returns what Close has to end.
func (w *Watcher) stopTimer() (subs []*subscription, records []*Followed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	for _, s := range w.subs {
		subs = append(subs, s)
	}
	for _, r := range w.followed {
		records = append(records, r)
	}
	return subs, records
}

// receiveEvent gives an event to the follower of its record. It runs in the
// goroutine that reads, and never blocks: else Redis would keep the events in
// memory, and evict breakers for them.
func (w *Watcher) receiveEvent(payload string) {
	key, rest, ok := follow.CutKey(payload)
	if !ok {
		return
	}
	w.mu.Lock()
	r := w.followed[key]
	w.mu.Unlock()
	if r == nil && w.all == nil {
		return
	}
	t, ok := follow.ParseRest(rest)
	switch {
	case !ok:
	case r == nil:
		w.all.adopt(key, func(now time.Duration, f *follow.Follower) { f.Adopt(now, t) })
	default:
		r.applyInput(func(now time.Duration, out *follow.Output) { r.follower.Push(now, t, out) })
	}
}

// pollAll polls every record: events may have been lost before the subscription
// was confirmed.
func (w *Watcher) pollAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = false
	w.all.listSoon()
	// A record whose epoch is the known one needs no more than this poll, which costs
	// the server less than 1 us: after a restart, all processes do this at once.
	for _, r := range w.followed {
		r.pollNow.Store(true)
		w.pending[r] = true
	}
	w.armLocked(w.now())
}

// reportRefusal reports once that the server refuses the subscription.
func (w *Watcher) reportRefusal(err error) {
	// It is tried again every 30 s, and would be reported each time.
	w.mu.Lock()
	first := !w.refusal
	w.refusal = true
	w.mu.Unlock()
	if w.all.fail(err) {
		return
	}
	if first {
		w.reportPushLost(&engine.StorageError{Class: engine.ClassRefused, Op: "watch", Err: err})
	}
}

// reportPushLost raises the event for one breaker: it concerns the storage.
func (w *Watcher) reportPushLost(err error) {
	w.mu.Lock()
	var one *Followed
	for _, one = range w.followed {
		break
	}
	w.mu.Unlock()
	if one != nil {
		one.raiseOnce(engine.Event{Kind: engine.EventPushLost, Err: err})
	}
}
