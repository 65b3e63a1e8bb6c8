// Package enrol enters the breakers of a storage into the index of their
// namespace, so that they can be listed without a scan of all keys.
//
// It works beside all calls: an entry that is due waits for the next batch, and
// batches are sent at most once a minute. A part of the index that was lost, by a
// flush say, has another stamp: then all entries are due.
package enrol

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

const (
	// firstBatch is how long a batch collects entries.
	firstBatch = time.Second
	// nextBatch is the least time between batches.
	nextBatch = time.Minute
	// pause is how long nothing is entered after the server refused it.
	pause = time.Hour
	// maxDue is how many keys wait for a batch. While the index cannot be written, a
	// process that makes a breaker for each of its users would keep all their names.
	maxDue = 100_000
)

// An entry is due after the first reply to its handle, after a reply that created the
// record, when a mode without an end begins or ends, and after a quarter of IdleTTL
// of use. A handle that is not used enters nothing: its breaker leaves the list when
// its time is over.
//
// The index is a convenience: nothing that goes wrong with it may cost a breaker
// anything. An entry that fails waits for the next batch; a server that refuses the
// index is not asked again for an hour, and reported once.

// Transport sends the batches.
type Transport interface {
	RunMany(ctx context.Context, calls []*transport.Call) ([]transport.Answer, error)
	Spawn(f func()) bool
}

// Enroller enters entries in batches. All methods are safe for concurrent use.
type Enroller struct {
	keys   cluster.Keys
	sender Transport
	start  time.Time

	mu       sync.Mutex
	entries  []weak.Pointer[Entry] // of live handles: a forgotten breaker must be collected
	crowded  int                   // the number of entries at which the list is pruned
	due      map[string]int64      // key -> TTL in ms, 0 for no end
	sure     map[string]int64      // the part of due that Close sends
	timer    *time.Timer           // set while a batch is pending
	running  bool
	nextAt   time.Time // earliest time of the next batch
	stamps   [cluster.IndexParts]string
	refused  bool
	finished bool
}

// New returns an Enroller for a storage that was made at start.
func New(keys cluster.Keys, sender Transport, start time.Time) *Enroller {
	return &Enroller{keys: keys, sender: sender, start: start, due: map[string]int64{}, sure: map[string]int64{}, crowded: 64}
}

// Entry is the part of a handle that the Enroller knows.
type Entry struct {
	enroller *Enroller
	key      string
	ttlMS    int64
	idleMS   int64
	refuse   func(err error)
	dueNS    atomic.Int64 // when to enter it again, since start; 0: at its first use
	endless  atomic.Bool  // it was entered without an end, in a mode that has none
	removed  atomic.Bool
}

// Add returns the entry of a handle. The handle must keep it: the Enroller does
// not. refuse is called if the server refuses the index, once for one entry of
// all; it must not block.
func (e *Enroller) Add(key string, rules *engine.Rules, refuse func(err error)) *Entry {
	entry := &Entry{enroller: e, key: key, ttlMS: TTL(rules), idleMS: rules.IdleMS, refuse: refuse}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.entries) >= e.crowded {
		e.entries = slices.DeleteFunc(e.entries, func(p weak.Pointer[Entry]) bool { return !isLive(p.Value()) })
		e.crowded = max(64, 2*len(e.entries))
	}
	e.entries = append(e.entries, weak.Make(entry))
	return entry
}

// isLive reports whether the handle of the entry is in use.
func isLive(entry *Entry) bool { return entry != nil && !entry.removed.Load() }

// TTL returns how long a breaker of these rules stays listed after its last use,
// in ms.
func TTL(rules *engine.Rules) int64 { return rules.IdleMS + 2*rules.LongestMS() }

// Remove ends the entry of a handle that is closed. Other processes may use the
// breaker: it stays listed for its time.
func (entry *Entry) Remove() { entry.removed.Store(true) }

// Observe notes a reply. It costs two loads unless the entry is due.
func (entry *Entry) Observe(since time.Time, r *engine.Reply) {
	now := int64(since.Sub(entry.enroller.start))
	endless := r.Mode != engine.ModeAuto && r.ModeLeftMS == 0
	if now < entry.dueNS.Load() && endless == entry.endless.Load() && r.Transition.Cause != engine.CauseCreated {
		return
	}
	entry.endless.Store(endless)
	entry.scheduleAgain(now)
	// Due again first, then entered: calls that race on the handle would else all enter it,
	// and each take the lock.
	if !entry.enroller.Enter(entry.key, entry.ttl()) {
		entry.dueNS.Store(now + int64(nextBatch)) // too many wait
	}
}

// scheduleAgain makes the entry due after a quarter of its IdleTTL of use, less
// up to a quarter of that, so that the processes of a fleet do not do it at once.
func (entry *Entry) scheduleAgain(now int64) {
	quarter := entry.idleMS * int64(time.Millisecond) / 4
	entry.dueNS.Store(max(1, now+quarter-rand.Int64N(quarter/4+1)))
}

// ttl returns for how long the entry is listed, in ms; 0, without end, in a mode without
// end: its record does not expire either.
func (entry *Entry) ttl() int64 {
	if entry.endless.Load() {
		return 0
	}
	return entry.ttlMS
}

// Enter puts a breaker into the next batch, to be listed for ttl ms, or until it
// is entered again if ttl is 0. It returns false if too many wait for the batch.
func (e *Enroller) Enter(key string, ttl int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished {
		return true
	}
	added := e.addDueLocked(key, ttl)
	e.scheduleLocked()
	return added
}

// addDueLocked puts a key into the next batch. It returns false if that is full.
func (e *Enroller) addDueLocked(key string, ttl int64) bool {
	// A key that waits already takes no more room, and its new TTL is the right one.
	if _, waits := e.due[key]; !waits && len(e.due) >= maxDue {
		return false
	}
	e.due[key] = ttl
	return true
}

// EnterSurely is Enter for what no later use repeats, such as a command: Close
// does not end before it was sent.
func (e *Enroller) EnterSurely(key string, ttl int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished {
		return
	}
	if e.addDueLocked(key, ttl) {
		e.sure[key] = ttl
	}
	e.scheduleLocked()
}

// Close ends all entries. Of those that are due, it sends the ones of EnterSurely,
// within one timeout.
func (e *Enroller) Close() {
	if rest := e.finish(); len(rest) > 0 {
		e.send(rest)
	}
}

// finish stops further batches and returns the entries that must still be sent.
func (e *Enroller) finish() map[string]int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished {
		return nil
	}
	// From here on nothing starts a batch. One that runs goes on, and is waited for by the
	// transport.
	e.finished = true
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	return e.sure
}

// scheduleLocked starts the timer of the next batch, if entries are due and none is
// pending. An idle storage owns no timer. The caller holds e.mu.
func (e *Enroller) scheduleLocked() {
	if e.timer != nil || e.running || len(e.due) == 0 {
		return
	}
	e.timer = time.AfterFunc(max(firstBatch, time.Until(e.nextAt)), func() { e.sender.Spawn(e.run) })
}

// run sends one batch.
func (e *Enroller) run() {
	batch := e.takeBatch()
	if len(batch) > 0 {
		e.finishBatch(e.send(batch))
	}
}

// takeBatch returns the entries that are due. While the batch runs, later entries
// collect for the next one.
func (e *Enroller) takeBatch() map[string]int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer = nil
	if e.finished {
		return nil
	}
	// Entries that become due from now on go into the next batch, which finishBatch
	// schedules.
	batch := e.due
	e.due, e.sure, e.running = map[string]int64{}, map[string]int64{}, true
	return batch
}

// finishBatch keeps what failed for the next batch, unless it is due anyway.
func (e *Enroller) finishBatch(failed map[string]int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = false
	// nextAt never goes back: a refusal during this batch has set it an hour ahead.
	if next := time.Now().Add(nextBatch); e.nextAt.Before(next) {
		e.nextAt = next
	}
	for key, ttl := range failed {
		// An entry that became due meanwhile has the newer TTL.
		if _, again := e.due[key]; !again {
			e.addDueLocked(key, ttl)
		}
	}
	if !e.finished {
		e.scheduleLocked()
	}
}

// send enters a batch and returns the part of it that failed.
func (e *Enroller) send(batch map[string]int64) (failed map[string]int64) {
	failed = map[string]int64{}
	groups := e.groupByPart(batch)
	calls := make([]*transport.Call, len(groups))
	for i, g := range groups {
		calls[i] = &transport.Call{
			Op: "enrol", Key: e.keys.IndexKey(g.part), Script: scripts.Enrol, Args: scripts.EnrolArgs(g.ttl, g.members),
		}
	}
	// The guard is not asked: a batch is one round trip a minute, and its failure says
	// nothing that a call would not find out.
	answers, err := e.sender.RunMany(context.Background(), calls)
	if err != nil {
		return batch
	}
	for i, a := range answers {
		err := a.Err
		if err == nil {
			err = e.noteStamp(groups[i].part, a.Reply)
		}
		if err == nil {
			continue
		}
		if isRefusal(err) {
			e.pauseAfter(err)
		}
		for _, m := range groups[i].members {
			failed[e.keys.IndexedKey(m)] = groups[i].ttl
		}
	}
	return failed
}

// group is one call of enrol.lua: members of one part with one TTL, since a part is one
// key and a call has one TTL.
type group struct {
	part    int
	ttl     int64
	members []string
}

// groupByPart splits a batch into calls of at most scripts.MaxEnrolled members, so that
// no call blocks a server for long.
func (e *Enroller) groupByPart(batch map[string]int64) []*group {
	type place struct {
		part int
		ttl  int64
	}
	open := map[place]*group{}
	var groups []*group
	for key, ttl := range batch {
		member, part, ok := e.keys.IndexMember(key)
		if !ok {
			continue
		}
		at := place{part, ttl}
		g := open[at]
		if g == nil || len(g.members) == scripts.MaxEnrolled {
			g = &group{part: part, ttl: ttl}
			open[at] = g
			groups = append(groups, g)
		}
		g.members = append(g.members, member)
	}
	return groups
}

// noteStamp makes all entries due if the part is another one than before. A flush or a
// failover empties the index without an error; only the stamp shows it.
func (e *Enroller) noteStamp(part int, reply any) error {
	stamp, err := scripts.DecodeEnrol(reply)
	if err != nil {
		return err
	}
	// A lost part is found out by the next entry into it. Its records are mostly lost
	// with it, so those in use are created again and entered soon.
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.stamps[part]
	e.stamps[part] = stamp
	if known == "" || known == stamp {
		return nil
	}
	for _, p := range e.entries {
		if entry := p.Value(); isLive(entry) && entry.dueNS.Load() > 0 {
			e.due[entry.key] = entry.ttl()
		}
	}
	return nil
}

// isRefusal reports whether the server will go on to refuse the index: the key
// holds something else, or a right is missing. The texts of the latter differ
// between servers, so an answer that the transport does not know is taken for one.
func isRefusal(err error) bool {
	var answer redis.Error
	var e *engine.StorageError
	return errors.Is(err, engine.ErrForeignKey) || redis.IsPermissionError(err) ||
		errors.As(err, &e) && e.Class == engine.ClassUnknown && errors.As(err, &answer)
}

// pauseAfter ends the batches for a while, and reports why, once.
func (e *Enroller) pauseAfter(err error) {
	var storage *engine.StorageError
	if !errors.As(err, &storage) {
		err = &engine.StorageError{Class: engine.ClassForeign, Op: "enrol", Err: err}
	}
	// Outside the lock, since refuse runs code of the handle.
	if entry := e.startPause(); entry != nil {
		entry.refuse(err)
	}
}

// startPause returns the entry whose handle reports the pause; nil if one did.
func (e *Enroller) startPause() *Entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nextAt = time.Now().Add(pause)
	if e.refused {
		return nil
	}
	for _, p := range e.entries {
		if entry := p.Value(); isLive(entry) {
			e.refused = true
			return entry
		}
	}
	return nil
}
