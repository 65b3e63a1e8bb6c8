package watch

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/follow"
)

const (
	// maxQueued is how many events wait for a slow function. Then the oldest are
	// dropped, so that the reader never blocks.
	maxQueued = 4096
	// maxRecords is how many records are followed, with 200 B each. Beyond it, those
	// that were silent for the longest time are forgotten, evicted at a time.
	maxRecords = 16384
	evicted    = 1024
	// listEvery is how often the namespace is listed, for breakers whose first event
	// was lost.
	listEvery = time.Minute
)

// A watch of a namespace has no handles, and so no steps of its own to learn from. It
// begins with the list of breakers, polls each of them, and from then on follows
// whatever publishes. A breaker that it did not know is not believed on its first
// event, since anyone may publish on the channel: reading has to confirm it.

// Namespace follows every breaker of a namespace. A nil Namespace does nothing: it
// is that of a Watcher that follows handles only.
//
// The events go through a queue to the goroutine of WatchAll, which alone calls the
// function. So the function is never called twice at a time, and one that is slow costs
// events and not the connection: a subscriber that does not read makes Redis buffer, and
// evict breakers for the buffer.
//
// Locks: put runs under the lock of a Followed and takes n.mu, so n.mu is the last of
// all. Nothing takes another lock while it holds n.mu.
type Namespace struct {
	watcher *Watcher
	names   func(ctx context.Context) iter.Seq2[engine.Listed, error]
	list    chan struct{} // asks for a list
	failed  chan error    // why nothing can ever be delivered

	mu      sync.Mutex
	queue   []engine.Event
	dropped int
	filled  chan struct{} // has room for one signal
}

// WatchAll calls fn for the transitions of all breakers that names lists, and of
// those that publish, until the context ends. It begins with EventReady. The
// Watcher must be a new one; WatchAll closes it. The error is the context's, or a
// server's refusal.
func (w *Watcher) WatchAll(ctx context.Context, names func(context.Context) iter.Seq2[engine.Listed, error], fn func(engine.Event)) error {
	n := &Namespace{
		watcher: w, names: names,
		list: make(chan struct{}, 1), failed: make(chan error, 1), filled: make(chan struct{}, 1),
	}
	// Set before the subscription starts, whose goroutine reads it without a lock.
	w.all = n
	defer w.Close()
	w.startSubscriptions()
	listing := time.NewTicker(listEvery)
	defer listing.Stop()
	var listedAt time.Duration // when the last list began; 0: never
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.done:
			return engine.ErrStopped
		case err := <-n.failed:
			return err
		case <-n.list:
			// A list is asked for at each confirmation of a subscription. The first one comes
			// after it, so that no transition falls between the list and the first event.
			first := listedAt == 0
			listedAt = n.followListed(ctx, listedAt)
			if first && !n.hasEnded(ctx) {
				fn(engine.Event{Kind: engine.EventReady})
			}
		case <-listing.C:
			if listedAt != 0 {
				listedAt = n.followListed(ctx, listedAt)
			}
		case <-n.filled:
			if listedAt != 0 { // else the events wait for EventReady
				n.deliverQueued(ctx, fn)
			}
			continue
		}
		n.deliverQueued(ctx, fn)
	}
}

// followListed follows the breakers of a list that were not followed. At first
// they begin at their present transition; later, those that began since the last
// list begin with their first one.
func (n *Namespace) followListed(ctx context.Context, last time.Duration) (began time.Duration) {
	// Taken before the list is read: a record that is created during it may be missing in
	// it, and must count as new in the next one.
	began = n.watcher.now()
	for l, err := range n.names(ctx) {
		if err != nil {
			continue // a part of the list is missing: its breakers publish
		}
		if last == 0 {
			n.adopt(l.Key, nil)
			continue
		}
		// listEvery is the margin for a record that an earlier list missed.
		n.adopt(l.Key, func(now time.Duration, f *follow.Follower) { f.AdoptNew(now, began-last+listEvery) })
	}
	if last == 0 {
		n.awaitBaselines(ctx)
	}
	return began
}

// hasEnded reports whether nothing may be delivered any more.
func (n *Namespace) hasEnded(ctx context.Context) bool {
	return ctx.Err() != nil || n.watcher.closed.Load()
}

// awaitBaselines returns when each record was polled, or could not be.
func (n *Namespace) awaitBaselines(ctx context.Context) {
	// EventReady promises that each breaker is followed from a known state. The deadline
	// keeps one server that hangs from holding up the breakers of all others.
	for deadline := n.watcher.now() + 10*n.watcher.transport.Timeout(); n.watcher.now() < deadline && n.lacksBaseline(); {
		select {
		case <-ctx.Done():
			return
		case <-n.watcher.done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// lacksBaseline reports whether a record was not polled yet. A record whose poll has
// failed does not hold the others up.
func (n *Namespace) lacksBaseline() bool {
	for _, r := range n.watcher.records() {
		r.mu.Lock()
		lacks := r.follower.NeedsPoll() && r.retryAt == 0
		r.mu.Unlock()
		if lacks {
			return true
		}
	}
	return false
}

// adopt follows a record unless it is followed, or the key is none of the
// namespace's; begin, which may be nil, sets where the follower begins.
func (n *Namespace) adopt(key string, begin func(now time.Duration, f *follow.Follower)) {
	w := n.watcher
	if _, _, ok := w.keys.IndexMember(key); !ok {
		return
	}
	// The record may be evicted again before its first event: it is adopted once more by
	// that.
	w.evictSilent()
	w.mu.Lock()
	r := w.followed[key]
	if r != nil {
		w.mu.Unlock()
		return
	}
	// Checked and entered under one hold of the lock: two servers of a ring may deliver
	// events of one record at the same time.
	r = &Followed{watcher: w, key: key}
	w.followed[key] = r
	w.mu.Unlock()
	r.applyInput(func(now time.Duration, _ *follow.Output) {
		if begin != nil {
			begin(now, &r.follower)
		}
	})
}

// records returns all records that are followed.
func (w *Watcher) records() []*Followed {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*Followed, 0, len(w.followed))
	for _, r := range w.followed {
		all = append(all, r)
	}
	return all
}

// evictSilent makes room for more records.
func (w *Watcher) evictSilent() {
	w.mu.Lock()
	full := len(w.followed) >= maxRecords
	w.mu.Unlock()
	if !full {
		return
	}
	type silence struct {
		record  *Followed
		heardAt time.Duration
	}
	// The lock order is a Followed, then w.mu. So the ages are read without w.mu, and a
	// record that receives an event meanwhile may be evicted: its next event adopts it.
	var all []silence
	for _, r := range w.records() {
		r.mu.Lock()
		all = append(all, silence{r, r.follower.HeardAt()})
		r.mu.Unlock()
	}
	// Many at a time, because finding them costs a look at all records: else a channel with
	// more breakers than there is room for would pay that for every event.
	slices.SortFunc(all, func(a, b silence) int { return cmp.Compare(a.heardAt, b.heardAt) })
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range all[:evicted] {
		delete(w.followed, s.record.key)
		delete(w.pending, s.record)
	}
}

// listSoon asks for a list: events may have been lost.
func (n *Namespace) listSoon() {
	if n == nil {
		return
	}
	select {
	case n.list <- struct{}{}:
	default:
	}
}

// fail ends the watch. It reports whether there is one.
func (n *Namespace) fail(err error) bool {
	if n == nil {
		return false
	}
	select {
	case n.failed <- &engine.StorageError{Class: engine.ClassRefused, Op: "watch", Err: err}:
	default:
	}
	return true
}

// nameOf returns the name of the breaker of a key. It is found for each event and not
// kept for each breaker: few of them move. A long name is stored as its digest, from
// which it cannot be had back.
func (n *Namespace) nameOf(key string) string {
	if name, ok := n.watcher.keys.Name(key); ok {
		return name
	}
	member, _, _ := n.watcher.keys.IndexMember(key)
	_, digest, _ := strings.Cut(member, "#")
	return "#" + digest
}

// put queues an event of the breaker of a key, or of none if the key is empty. It never
// blocks.
func (n *Namespace) put(key string, e engine.Event) {
	if n == nil {
		return
	}
	// The transition has no name yet: a follower does not know any.
	if key != "" {
		e.Name = n.nameOf(key)
	}
	if e.Transition.Cause != "" {
		e.Transition.Name = e.Name
	}
	n.mu.Lock()
	if len(n.queue) == maxQueued {
		n.queue = n.queue[1:]
		n.dropped++
	}
	n.queue = append(n.queue, e)
	n.mu.Unlock()
	select {
	case n.filled <- struct{}{}:
	default:
	}
}

// deliverQueued calls fn for the events that wait, for dropped ones first.
func (n *Namespace) deliverQueued(ctx context.Context, fn func(engine.Event)) {
	for !n.hasEnded(ctx) {
		e, ok := n.takeQueued()
		if !ok {
			return
		}
		fn(e)
	}
}

// takeQueued returns the next event. The number of dropped ones comes first: they
// were older than all that wait.
func (n *Namespace) takeQueued() (engine.Event, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.dropped > 0:
		e := engine.Event{Kind: engine.EventDropped, Dropped: n.dropped}
		n.dropped = 0
		return e, true
	case len(n.queue) > 0:
		e := n.queue[0]
		n.queue = n.queue[1:]
		return e, true
	}
	return engine.Event{}, false
}
