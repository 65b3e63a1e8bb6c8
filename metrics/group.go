package metrics

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// DefaultListed is [Config].Listed where it is 0.
const DefaultListed = 200

// maxNames is the most breakers with series of their own: each has about 27 series of
// transitions, and libraries drop series beyond 2000 in one instrument.
const maxNames = 32

// Config configures a [Group]. The zero value is the group "default".
type Config struct {
	// Name is the attribute redbreaker.group of every series. Default: default.
	Name string
	// Names are the breakers with series of their own, at most 32. They exist at 0
	// from the start. All other breakers share one series of each kind.
	Names []string
	// Listed is the most breakers beside Names that appear by name in status and
	// override, while they are not closed and in auto. Beyond it, and with a negative
	// Listed, they are part of the shared series. Zero means 200.
	Listed int
}

// Group counts what its breakers do. Make it with [NewGroup]. All methods are safe for
// concurrent use. Counting a success is one atomic addition and allocates nothing.
type Group struct {
	name   string
	listed int
	others *counts
	named  map[string]*counts // by the names of breakers; never changes
	order  []*counts          // others and named, in the order of Config.Names

	mu         sync.Mutex
	registries []*redbreaker.Registry
	breakers   []*redbreaker.Breaker
}

// NewGroup returns a group without breakers. It returns all faults of c at once, each
// of them wrapping redbreaker.ErrInvalid.
func NewGroup(c Config) (*Group, error) {
	if c.Name == "" {
		c.Name = "default"
	}
	if c.Listed == 0 {
		c.Listed = DefaultListed
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	g := &Group{name: c.Name, listed: c.Listed, others: newCounts(""), named: map[string]*counts{}}
	g.order = []*counts{g.others}
	for _, name := range c.Names {
		g.named[name] = newCounts(engine.PrintableName(name))
		g.order = append(g.order, g.named[name])
	}
	return g, nil
}

func (c *Config) validate() error {
	var faults []error
	if len(c.Names) > maxNames {
		faults = append(faults, engine.Invalid("%d breakers have series of their own, name at most %d", len(c.Names), maxNames))
	}
	labels := map[string]bool{}
	for i, name := range c.Names {
		label := engine.PrintableName(name)
		switch {
		case name == "":
			faults = append(faults, engine.Invalid("name %d is empty, leave it out", i+1))
		case labels[label]:
			faults = append(faults, engine.Invalid("the name %s is given twice, or begins like another; leave one out", label))
		}
		labels[label] = true
	}
	return errors.Join(faults...)
}

// Name returns the attribute redbreaker.group of the group.
func (g *Group) Name() string { return g.name }

// Label returns the attribute [AttrName] of a breaker's counters: its name if the
// configuration lists it, as logs print it; else nothing.
func (g *Group) Label(name string) string { return g.countsOf(name).label }

func (g *Group) countsOf(name string) *counts {
	if len(g.named) > 0 {
		if c := g.named[name]; c != nil {
			return c
		}
	}
	return g.others
}

// Hooks returns hooks that count. Give them to [redbreaker.WithHooks] of a registry or
// of breakers. They do not read the clock, and leave the default log of outages on.
// Without the SuccessCounter, OnCall counts all calls.
func (g *Group) Hooks() redbreaker.Hooks {
	return redbreaker.Hooks{
		Untimed:        true,
		SuccessCounter: func(name string) *redbreaker.SuccessCounter { return &g.countsOf(name).successes },
		OnCall: func(_ context.Context, r redbreaker.CallResult) {
			g.countsOf(r.Name).addCall(&r)
		},
		OnReject: func(_ context.Context, e *redbreaker.RejectedError) {
			g.countsOf(e.Name).addRejection(e.Reason)
		},
		OnTransition: func(t redbreaker.Transition) { g.countsOf(t.Name).addTransition(t) },
		OnAnomaly:    func(e redbreaker.Event) { g.countsOf(e.Name).addAnomaly(e) },
	}
}

// ObserveRegistry adds the breakers of a registry to status, override and
// storage.status. A breaker that the registry evicts leaves them.
func (g *Group) ObserveRegistry(r *redbreaker.Registry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.registries = append(g.registries, r)
}

// ObserveBreakers adds breakers to status, override and storage.status.
func (g *Group) ObserveBreakers(breakers ...*redbreaker.Breaker) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breakers = append(g.breakers, breakers...)
}

// listObserved returns the breakers that are observed now. A breaker that is observed
// twice counts once.
func (g *Group) listObserved() []*redbreaker.Breaker {
	g.mu.Lock()
	registries, all := slices.Clone(g.registries), slices.Clone(g.breakers)
	g.mu.Unlock()
	isOneRegistry := len(registries) == 1 && len(all) == 0
	for _, r := range registries { // without the lock: each locks itself
		for _, b := range r.All() {
			all = append(all, b)
		}
	}
	if isOneRegistry { // which lists each once
		return all
	}
	seen := make(map[*redbreaker.Breaker]bool, len(all))
	return slices.DeleteFunc(all, func(b *redbreaker.Breaker) bool {
		before := seen[b]
		seen[b] = true
		return before
	})
}

// Collect calls add for every value of the group: of all [Instruments] that are no
// histograms. It does no I/O.
func (g *Group) Collect(add func(Sample)) {
	for _, c := range g.order {
		c.collectCounts(g.name, add)
	}
	g.collectStatuses(add)
}
