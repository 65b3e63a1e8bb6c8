package redbreaker

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
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
	// HooksFor returns hooks for the breaker with that name, in addition to those of
	// [WithHooks]. It is called as PolicyFor is.
	HooksFor func(name string) Hooks
	// Max is the number of breakers that the registry retains. Zero means 1024.
	//
	// Choose it above the number of names that are in use within some minutes: a Get
	// for a retained breaker takes some 60 ns, one that makes a breaker and evicts
	// another some microseconds, more than 100 times as long, and with a storage
	// the new breaker knows nothing of its circuit until its first call. A retained
	// breaker takes about 1 KB. [Registry.Evictions] shows whether Max is too low.
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
// it again. The first eviction is logged to slog.Default as a warning.
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
	// closing are breakers that were removed while their views sent the last outcomes, for
	// Shutdown to wait for.
	closing  []*core
	pruneAt  int // how many of them make the registry look which have ended
	evicted  atomic.Int64
	warnFull sync.Once
	// collected lists the breakers that the garbage collector has taken. It is a
	// pointer because a cleanup must not refer to the registry.
	collected *collectedList
}

// entry is a breaker of the registry, retained or evicted.
type entry struct {
	*core
	strong *Breaker              // nil once evicted
	weak   weak.Pointer[Breaker] // set by the first eviction
	// Neighbors in the ring: the entries used next after this one and last before it.
	newer, older *entry
}

// collectedList is a stack of the cores of collected breakers, to which cleanups
// push without a lock. It has no entries: one that is retained again refers to its
// breaker, which its own cleanup would then keep alive.
type collectedList struct{ top atomic.Pointer[collectedCore] }

type collectedCore struct {
	*core
	next *collectedCore
}

func (l *collectedList) push(c *core) {
	top := &collectedCore{core: c}
	for {
		top.next = l.top.Load()
		if l.top.CompareAndSwap(top.next, top) {
			return
		}
	}
}

// NewRegistry returns a registry. It returns all faults of config and options at
// once, each of them wrapping [ErrInvalid].
func NewRegistry(c RegistryConfig, opts ...Option) (*Registry, error) {
	s, err := newSettings(opts)
	var faults []error
	if c.Max < 0 {
		faults = append(faults, engine.Invalid("RegistryConfig.Max is %d, use 1 or more, or 0 for %d", c.Max, defaultMax))
	}
	if err := errors.Join(c.Policy.Validate(), errors.Join(faults...), err, s.checkPolicyOf(&c)); err != nil {
		return nil, err
	}
	if c.Max == 0 {
		c.Max = defaultMax
	}
	r := &Registry{config: c, settings: s, entries: map[string]*entry{}, collected: new(collectedList)}
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
	p, err := r.policyOf(name)
	if err := errors.Join(engine.CheckName(name), err); err != nil {
		return nil, err
	}
	hooks := r.settings.hooks
	if r.config.HooksFor != nil {
		hooks = hooks.with(r.config.HooksFor(name))
	}
	made, err := r.settings.newBreaker(name, p, hooks)
	if err != nil {
		return nil, err
	}
	b, err := r.findOrAdd(name, made)
	if b != made { // another goroutine has added one first
		made.Stop()
	}
	return b, err
}

// policyOf returns the policy of the breaker with that name. Config.Policy was
// validated by NewRegistry.
func (r *Registry) policyOf(name string) (Policy, error) {
	if r.config.PolicyFor == nil {
		return r.config.Policy, nil
	}
	p := r.config.PolicyFor(name)
	return p, errors.Join(p.Validate(), r.settings.checkStaleness(p))
}

// findOrAdd returns the breaker with that name. If there is none, it adds and
// returns made, which may be nil.
func (r *Registry) findOrAdd(name string, made *Breaker) (*Breaker, error) {
	evicted := r.evicted.Load()
	b, err := r.findOrAddLocking(name, made)
	if evicted == 0 && r.evicted.Load() > 0 {
		r.logFirstEviction()
	}
	return b, err
}

func (r *Registry) findOrAddLocking(name string, made *Breaker) (*Breaker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, ErrStopped
	}
	r.removeCollectedLocked()
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

// evictLocked drops the strong reference to a breaker, and lists its entry once the
// garbage collector has taken the breaker.
func (r *Registry) evictLocked(e *entry) {
	if e.weak == (weak.Pointer[Breaker]{}) {
		e.weak = weak.Make(e.strong)
		collected := r.collected
		runtime.AddCleanup(e.strong, func(c *core) { collected.push(c) }, e.core)
	}
	r.unlinkLocked(e)
	r.evicted.Add(1)
}

// logFirstEviction logs that the registry is full. The caller holds no lock, because
// the handler of a log may use the registry.
func (r *Registry) logFirstEviction() {
	r.warnFull.Do(func() {
		slog.Default().LogAttrs(context.Background(), slog.LevelWarn,
			"redbreaker: registry is full, evicting breakers; raise RegistryConfig.Max if more names are in use",
			slog.Int("max", r.config.Max))
	})
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

// removeLocked stops a breaker, even if only its core remains, and removes its entry.
func (r *Registry) removeLocked(e *entry) {
	r.unlinkLocked(e)
	delete(r.entries, e.name)
	e.stop()
	if !e.isViewClosed() {
		r.addClosingLocked(e.core)
	}
}

// addClosingLocked notes a breaker for Shutdown to wait for. It seldom looks for those
// that have ended, so that removing many breakers takes linear time.
func (r *Registry) addClosingLocked(c *core) {
	if len(r.closing) >= r.pruneAt {
		r.closing = slices.DeleteFunc(r.closing, (*core).isViewClosed)
		r.pruneAt = 2*len(r.closing) + 16
	}
	r.closing = append(r.closing, c)
}

// removeCollectedLocked removes the entries of collected breakers. The cleanups do
// not do this themselves, because closing a handle may take locks.
func (r *Registry) removeCollectedLocked() {
	if r.collected.top.Load() == nil {
		return
	}
	for c := r.collected.top.Swap(nil); c != nil; c = c.next {
		if e := r.entries[c.name]; e != nil && e.core == c.core { // else Get has replaced it
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

// listBreakers sorts after it has released the lock, so that a scrape of thousands of
// breakers does not delay a Get.
func (r *Registry) listBreakers() []*Breaker {
	all := r.copyBreakers()
	slices.SortFunc(all, func(a, b *Breaker) int { return strings.Compare(a.name, b.name) })
	return all
}

func (r *Registry) copyBreakers() []*Breaker {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Breaker, 0, len(r.entries))
	for _, e := range r.entries {
		if b := e.breaker(); b != nil && !e.stopped.Load() {
			all = append(all, b)
		}
	}
	return all
}

// Evictions returns how many breakers the registry has evicted so far. If it keeps
// growing, more names are in use than RegistryConfig.Max.
func (r *Registry) Evictions() int64 { return r.evicted.Load() }

// Stop stops all breakers of the registry, evicted ones too, as [Breaker.Stop]
// does. After it, Get returns [ErrStopped]. Stop may be called twice, and from a
// hook.
func (r *Registry) Stop() {
	entries, _ := r.takeEntries()
	for _, e := range entries {
		e.stop()
	}
	r.noteClosing(entries)
	r.closeOwned()
}

// Shutdown stops all breakers of the registry, evicted ones too, as
// [Breaker.Shutdown] does, and waits for their hooks. It returns the error of ctx
// if that ends first; all breakers are stopped then too. Do not call it from a hook.
func (r *Registry) Shutdown(ctx context.Context) error {
	entries, cores := r.takeEntries()
	for _, e := range entries {
		cores = append(cores, e.core)
	}
	for _, c := range cores {
		c.stopped.Store(true) // none serves calls while another closes
	}
	for _, c := range cores {
		c.close() // all views send their last outcomes at the same time
	}
	r.noteClosing(entries) // for the next Shutdown, if ctx ends first
	var err error
	for _, c := range cores {
		if waitErr := c.shutDown(ctx); waitErr != nil {
			err = waitErr
		}
	}
	r.closeOwned()
	return err
}

// takeEntries stops Get and removes all entries. It returns them, and the breakers that
// were removed before and whose views still send: each breaker is in one of the lists.
func (r *Registry) takeEntries() (entries []*entry, closing []*core) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	entries = slices.Collect(maps.Values(r.entries))
	for _, e := range entries {
		r.unlinkLocked(e)
	}
	clear(r.entries)
	return entries, r.listClosingLocked()
}

// noteClosing notes the breakers that were stopped and whose views still send.
func (r *Registry) noteClosing(entries []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		if !e.isViewClosed() {
			r.addClosingLocked(e.core)
		}
	}
}

// listClosingLocked returns the breakers that were removed and whose views still send.
func (r *Registry) listClosingLocked() []*core {
	return slices.DeleteFunc(slices.Clone(r.closing), (*core).isViewClosed)
}

func (r *Registry) closeOwned() {
	if r.owned != nil {
		_ = r.owned.Close()
	}
}
