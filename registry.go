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

// defaultMax is how many breakers a registry holds unless told otherwise.
const defaultMax = 1024

// RegistryConfig says what breakers a registry makes, and how many it holds.
type RegistryConfig struct {
	// Policy is that of every breaker, unless PolicyFor is set.
	Policy Policy
	// PolicyFor gives the policy of the breaker of that name. It is called
	// once for each breaker made, outside of locks, perhaps concurrently.
	PolicyFor func(name string) Policy
	// Max is how many breakers the registry holds. Zero: 1024.
	Max int
}

// Registry makes breakers by name, for names that are known only when a call
// is made, such as hosts. All methods are safe for concurrent use. Its breakers
// share one storage: the one of [WithStorage], or a memory of the registry's own.
//
// Beyond Max the breaker that was not asked for the longest is evicted, a
// healthy one first: one that is open with time left, half-open, or in a mode
// other than auto goes only when all others are so too. Eviction drops the
// registry's reference and nothing else: who holds the breaker goes on with it,
// and Get finds it again as long as someone does.
type Registry struct {
	config   RegistryConfig
	settings *settings
	owned    engine.Storage

	mu      sync.Mutex
	entries map[string]*entry
	// recent closes the ring of the entries held: the one older than it is the
	// latest asked for, the one newer was not asked for the longest.
	recent  entry
	held    int // entries in the ring
	stopped bool
	// collected is set by the collector when it took a breaker. It is apart from
	// the registry, which the collector must be able to take as well.
	collected *atomic.Bool
}

// entry is a breaker that was made and not seen to be gone.
type entry struct {
	*life
	held *Breaker              // nil once evicted
	weak weak.Pointer[Breaker] // from the first eviction on
	// Those held that were asked for just after it and just before.
	newer, older *entry
}

// NewRegistry makes a registry. It returns every fault of config and options
// at once, each wrapping [ErrInvalid].
func NewRegistry(c RegistryConfig, opts ...Option) (*Registry, error) {
	s, err := newSettings(opts)
	var faults []error
	if c.Max < 0 {
		faults = append(faults, invalid("RegistryConfig.Max is %d, use 1 or more, or 0 for %d", c.Max, defaultMax))
	}
	if err := errors.Join(c.Policy.Validate(), errors.Join(faults...), err); err != nil {
		return nil, err
	}
	if c.Max == 0 {
		c.Max = defaultMax
	}
	r := &Registry{config: c, settings: s, entries: map[string]*entry{}, collected: new(atomic.Bool)}
	r.recent.newer, r.recent.older = &r.recent, &r.recent
	if s.storage == nil {
		s.storage = engine.NewMemory()
		r.owned = s.storage
	}
	return r, nil
}

// Get returns the breaker of that name, and makes it if there is none or it was
// stopped. It returns an error wrapping [ErrInvalid] for an empty name or a bad
// policy of PolicyFor, and [ErrStopped] after Stop.
func (r *Registry) Get(name string) (*Breaker, error) {
	if b, err := r.find(name, nil); b != nil || err != nil {
		return b, err
	}
	p := r.config.Policy
	if r.config.PolicyFor != nil {
		p = r.config.PolicyFor(name)
	}
	if err := errors.Join(engine.CheckName(name), p.Validate()); err != nil {
		return nil, err
	}
	made, err := r.settings.open(name, p)
	if err != nil {
		return nil, err
	}
	b, err := r.find(name, made)
	if b != made { // another was faster
		made.Stop()
	}
	return b, err
}

// find returns the breaker of that name, or keeps the one made where there is none.
func (r *Registry) find(name string, made *Breaker) (*Breaker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, ErrStopped
	}
	if r.collected.Swap(false) {
		r.sweep()
	}
	if e := r.entries[name]; e != nil && !e.stopped.Load() {
		if b := e.breaker(); b != nil {
			r.hold(e, b)
			return b, nil
		}
	}
	if made != nil {
		r.add(made)
	}
	return made, nil
}

// add holds a breaker that was just made, in place of one that is gone.
func (r *Registry) add(b *Breaker) {
	if old := r.entries[b.name]; old != nil {
		r.forget(old)
	}
	e := &entry{life: b.life}
	r.entries[b.name] = e
	r.hold(e, b)
}

// hold marks e as the latest asked for, and makes room.
func (r *Registry) hold(e *entry, b *Breaker) {
	r.drop(e)
	e.held = b
	r.held++
	e.newer, e.older = &r.recent, r.recent.older
	e.newer.older, e.older.newer = e, e
	if r.held > r.config.Max {
		r.evict(r.victim())
	}
}

// victim is the least recently used of those that may go, never the latest.
func (r *Registry) victim() *entry {
	for e := r.recent.newer; e != r.recent.older; e = e.newer {
		if e.stopped.Load() || !telling(e.held.Status()) {
			return e
		}
	}
	return r.recent.newer
}

// telling reports whether a breaker knows something worth keeping.
func telling(s Status) bool {
	return s.Mode != ModeAuto || s.State == StateHalfOpen || s.State == StateOpen && s.RetryAfter > 0
}

// evict lets go of a breaker, and takes note when the collector takes it.
func (r *Registry) evict(e *entry) {
	if e.weak == (weak.Pointer[Breaker]{}) {
		e.weak = weak.Make(e.held)
		runtime.AddCleanup(e.held, func(collected *atomic.Bool) { collected.Store(true) }, r.collected)
	}
	r.drop(e)
}

// drop drops the reference to a breaker, if it is held.
func (r *Registry) drop(e *entry) {
	if e.held == nil {
		return
	}
	e.newer.older, e.older.newer = e.older, e.newer
	e.held, e.newer, e.older = nil, nil, nil
	r.held--
}

// forget ends what is left of a breaker that was collected or stopped.
func (r *Registry) forget(e *entry) {
	r.drop(e)
	delete(r.entries, e.name)
	e.stop()
}

// sweep forgets what was collected. It is not the collector's work: to close a
// handle may take locks.
func (r *Registry) sweep() {
	for _, e := range r.entries {
		if e.breaker() == nil {
			r.forget(e)
		}
	}
}

// breaker is nil once it was collected.
func (e *entry) breaker() *Breaker {
	if e.held != nil {
		return e.held
	}
	return e.weak.Value()
}

// All returns the breakers that Get would find, in the order of their names. It
// counts as no use of them. The registry may be used meanwhile.
func (r *Registry) All() iter.Seq2[string, *Breaker] {
	return func(yield func(string, *Breaker) bool) {
		for _, b := range r.living() {
			if !yield(b.name, b) {
				return
			}
		}
	}
}

func (r *Registry) living() []*Breaker {
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

// Stop stops all breakers of the registry, those evicted too, as
// [Breaker.Stop] does; Get then returns [ErrStopped]. It may be called twice,
// and from a hook.
func (r *Registry) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for _, e := range r.entries {
		r.forget(e)
	}
	if r.owned != nil {
		_ = r.owned.Close()
	}
}
