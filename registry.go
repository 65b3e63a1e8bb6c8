package redbreaker

import (
	"errors"
	"iter"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/redbreaker/redbreaker/engine"
)

// defaultMax is RegistryConfig.Max where it is 0.
const defaultMax = 1024

// RegistryConfig configures a [Registry].
type RegistryConfig struct {
	// Policy is the policy of every breaker, unless PolicyFor is set.
	Policy Policy
	// PolicyFor returns the policy of the breaker with that name. It is called
	// once for each breaker that is made, without locks, possibly concurrently.
	PolicyFor func(name string) Policy
	// Max is the number of breakers that the registry retains. Zero means 1024.
	Max int
}

// Registry makes breakers by name, for names that only a call brings, such as
// hosts. All methods are safe for concurrent use. Its breakers share one storage:
// that of [WithStorage], or memory of the registry's own.
//
// Beyond Max, the registry evicts the least recently used breaker that is healthy.
// A breaker that is open with time left, half-open, or in a mode other than auto
// is evicted only if all others are too. Eviction only drops the registry's
// reference: a breaker that the program still holds keeps working, and Get returns
// it again.
type Registry struct {
	config   RegistryConfig
	settings *settings
	owned    engine.Storage

	mu      sync.Mutex
	entries map[string]*entry
	// ring links the retained entries by their last use: ring.older is the most
	// recently used one, ring.newer the least recently used one.
	ring     entry
	retained int // entries in the ring
	stopped  bool
	// collected is set by cleanups when the garbage collector has taken a breaker.
	// It is a pointer because a cleanup must not refer to the registry.
	collected *atomic.Bool
}

// entry is a breaker of the registry, retained or evicted.
type entry struct {
	*core
	strong *Breaker              // nil once evicted
	weak   weak.Pointer[Breaker] // set by the first eviction
	// Neighbors in the ring: the entries used next after this one and last before it.
	newer, older *entry
}

// NewRegistry returns a registry. It returns all faults of config and options at
// once, each of them wrapping [ErrInvalid].
func NewRegistry(c RegistryConfig, opts ...Option) (*Registry, error) {
	s, err := newSettings(opts)
	var faults []error
	if c.Max < 0 {
		faults = append(faults, invalidArgument("RegistryConfig.Max is %d, use 1 or more, or 0 for %d", c.Max, defaultMax))
	}
	if err := errors.Join(c.Policy.Validate(), errors.Join(faults...), err); err != nil {
		return nil, err
	}
	if c.Max == 0 {
		c.Max = defaultMax
	}
	r := &Registry{config: c, settings: s, entries: map[string]*entry{}, collected: new(atomic.Bool)}
	r.ring.newer, r.ring.older = &r.ring, &r.ring
	if s.storage == nil {
		s.storage = engine.NewMemory()
		r.owned = s.storage
	}
	return r, nil
}

// Get returns the breaker with that name. It makes one if there is none or if it
// was stopped. It returns an error that wraps [ErrInvalid] for an invalid name or
// an invalid policy of PolicyFor, and [ErrStopped] after Stop.
func (r *Registry) Get(name string) (*Breaker, error) {
	if b, err := r.findOrAdd(name, nil); b != nil || err != nil {
		return b, err
	}
	p := r.config.Policy
	if r.config.PolicyFor != nil {
		p = r.config.PolicyFor(name)
	}
	if err := errors.Join(engine.CheckName(name), p.Validate()); err != nil {
		return nil, err
	}
	made, err := r.settings.newBreaker(name, p)
	if err != nil {
		return nil, err
	}
	b, err := r.findOrAdd(name, made)
	if b != made { // another goroutine has added one first
		made.Stop()
	}
	return b, err
}

// findOrAdd returns the breaker with that name. If there is none, it adds and
// returns made, which may be nil.
func (r *Registry) findOrAdd(name string, made *Breaker) (*Breaker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, ErrStopped
	}
	if r.collected.Swap(false) {
		r.removeCollectedLocked()
	}
	if e := r.entries[name]; e != nil && !e.stopped.Load() {
		if b := e.breaker(); b != nil {
			r.markUsedLocked(e, b)
			return b, nil
		}
	}
	if made != nil {
		r.addLocked(made)
	}
	return made, nil
}

// addLocked adds a new breaker in place of one that was stopped or collected.
func (r *Registry) addLocked(b *Breaker) {
	if old := r.entries[b.name]; old != nil {
		r.removeLocked(old)
	}
	e := &entry{core: b.core}
	r.entries[b.name] = e
	r.markUsedLocked(e, b)
}

// markUsedLocked makes e the most recently used entry and evicts one beyond Max.
func (r *Registry) markUsedLocked(e *entry, b *Breaker) {
	r.unlinkLocked(e)
	e.strong = b
	r.retained++
	e.newer, e.older = &r.ring, r.ring.older
	e.newer.older, e.older.newer = e, e
	if r.retained > r.config.Max {
		r.evictLocked(r.chooseVictimLocked())
	}
}

// chooseVictimLocked returns the least recently used entry that need not be kept,
// or the least recently used one if all must. It never returns the most recent one.
func (r *Registry) chooseVictimLocked() *entry {
	for e := r.ring.newer; e != r.ring.older; e = e.newer {
		if e.stopped.Load() || !isWorthKeeping(e.strong.Status()) {
			return e
		}
	}
	return r.ring.newer
}

// isWorthKeeping reports whether a breaker rejects or probes, or is in a mode: a
// new breaker for its name would not know that.
func isWorthKeeping(s Status) bool {
	return s.Mode != ModeAuto || s.State == StateHalfOpen || s.State == StateOpen && s.RetryAfter > 0
}

// evictLocked drops the strong reference to a breaker, and has its collection noted.
func (r *Registry) evictLocked(e *entry) {
	if e.weak == (weak.Pointer[Breaker]{}) {
		e.weak = weak.Make(e.strong)
		runtime.AddCleanup(e.strong, func(collected *atomic.Bool) { collected.Store(true) }, r.collected)
	}
	r.unlinkLocked(e)
}

// unlinkLocked takes an entry out of the ring, if it is in it.
func (r *Registry) unlinkLocked(e *entry) {
	if e.strong == nil {
		return
	}
	e.newer.older, e.older.newer = e.older, e.newer
	e.strong, e.newer, e.older = nil, nil, nil
	r.retained--
}

// removeLocked stops what is left of a breaker and removes its entry.
func (r *Registry) removeLocked(e *entry) {
	r.unlinkLocked(e)
	delete(r.entries, e.name)
	e.stop()
}

// removeCollectedLocked removes the entries of collected breakers. The cleanups do
// not do this themselves, because closing a handle may take locks.
func (r *Registry) removeCollectedLocked() {
	for _, e := range r.entries {
		if e.breaker() == nil {
			r.removeLocked(e)
		}
	}
}

// breaker returns nil if the breaker was collected.
func (e *entry) breaker() *Breaker {
	if e.strong != nil {
		return e.strong
	}
	return e.weak.Value()
}

// All returns the breakers that Get would return without making one, in the order
// of their names. It does not count as a use of them. The registry may be used
// during the iteration, which does not see later changes.
func (r *Registry) All() iter.Seq2[string, *Breaker] {
	return func(yield func(string, *Breaker) bool) {
		for _, b := range r.listBreakers() {
			if !yield(b.name, b) {
				return
			}
		}
	}
}

func (r *Registry) listBreakers() []*Breaker {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Breaker
	for _, name := range slices.Sorted(maps.Keys(r.entries)) {
		e := r.entries[name]
		if b := e.breaker(); b != nil && !e.stopped.Load() {
			all = append(all, b)
		}
	}
	return all
}

// Stop stops all breakers of the registry, evicted ones too, as [Breaker.Stop]
// does. After it, Get returns [ErrStopped]. Stop may be called twice, and from a
// hook.
func (r *Registry) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for _, e := range r.entries {
		r.removeLocked(e)
	}
	if r.owned != nil {
		_ = r.owned.Close()
	}
}
