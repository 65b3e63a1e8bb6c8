package metrics

import (
	"maps"
	"slices"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// states and modes are all values of their attributes.
var (
	states = [...]redbreaker.State{redbreaker.StateClosed, redbreaker.StateOpen, redbreaker.StateHalfOpen}
	modes  = [...]redbreaker.Mode{redbreaker.ModeForcedOpen, redbreaker.ModeForcedClosed, redbreaker.ModeShadow}
)

// census counts circuits by state and mode, under their names or under none.
type census struct {
	free   int // names that may still be listed
	places map[string]*place
}

// place are the circuits under one name; under "", those without series of their own.
type place struct {
	states [len(states)]int64
	modes  [len(modes) + 1]int64
}

// newCensus returns a census with places that exist at 0, and room for listed more.
func newCensus(listed int, labels ...string) *census {
	c := &census{free: listed, places: map[string]*place{"": {}}}
	for _, label := range labels {
		c.places[label] = &place{}
	}
	return c
}

// addCircuit counts a circuit under its label if that has a place, or if the circuit
// is not closed and in auto and a place is free; else under none.
func (c *census) addCircuit(label string, s redbreaker.State, m redbreaker.Mode) {
	p := c.places[label]
	if p == nil && (s != redbreaker.StateClosed || m != redbreaker.ModeAuto) {
		p = c.addPlace(label)
	}
	if p == nil {
		p = c.places[""]
	}
	if int(s) < len(p.states) {
		p.states[s]++
	}
	if int(m) < len(p.modes) {
		p.modes[m]++
	}
}

// addPlace returns a new place, nil if none is free.
func (c *census) addPlace(label string) *place {
	if c.free <= 0 {
		return nil
	}
	c.free--
	c.places[label] = &place{}
	return c.places[label]
}

// collectCensus adds the samples of a census. Every place has all states, so that a
// query sees 0 and not an absent series. A name that is in auto has no mode.
func (c *census) collectCensus(status, override *Instrument, group []string, add func(Sample)) {
	for _, label := range slices.Sorted(maps.Keys(c.places)) {
		p := c.places[label]
		for i, s := range states {
			add(Sample{status, append(slices.Clone(group), label, s.String()), float64(p.states[i])})
		}
		for _, m := range modes {
			if n := p.modes[m]; n > 0 || label == "" {
				add(Sample{override, append(slices.Clone(group), label, m.String()), float64(n)})
			}
		}
	}
}

// Values of [AttrStorage].
const (
	storageOK       = "ok"
	storageDegraded = "degraded"
)

// collectStatuses adds the samples of the breakers that the group observes.
func (g *Group) collectStatuses(add func(Sample)) {
	var labels []string
	for _, c := range g.order {
		labels = append(labels, c.label)
	}
	circuits := newCensus(g.listed, labels...)
	type storagePlace struct{ kind, state string }
	storages := map[storagePlace]int64{}
	for _, b := range g.listObserved() {
		s := b.Status()
		circuits.addCircuit(engine.PrintableName(b.Name()), s.State, s.Mode)
		at := storagePlace{b.StorageKind(), storageOK}
		storages[storagePlace{at.kind, storageDegraded}] += 0
		if s.Degraded {
			storages[at] += 0
			at.state = storageDegraded
		}
		storages[at]++
	}
	circuits.collectCensus(Status, Override, []string{g.name}, add)
	for at, n := range storages {
		add(Sample{StorageStatus, []string{g.name, at.kind, at.state}, float64(n)})
	}
}
