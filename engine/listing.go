package engine

import (
	"context"
	"iter"
)

// Lister is a [Storage] that lists the breakers of its namespace.
type Lister interface {
	// Names yields the breakers that were used within their IdleTTL or are held in
	// a mode, each once, in no particular order. A breaker whose name is too long to
	// be stored is yielded as a Listed without Name. After yielding an error, a
	// *StorageError of one part of the index, Names continues with the other parts.
	// It ends after the context's error and after [ErrStopped].
	Names(ctx context.Context) iter.Seq2[Listed, error]
}

// Watcher is a [Storage] that delivers the transitions of every breaker of its
// namespace.
type Watcher interface {
	// Watch calls fn for the transitions of all breakers, one call at a time, each
	// transition at most once and in the order of its record's log. Delivery starts
	// with EventReady. An EventMissed takes the place of transitions that are
	// missing. While fn runs, up to 4096 events wait; then the oldest are dropped
	// and EventDropped reports how many.
	//
	// Watch returns the context's error, [ErrStopped], or a *StorageError if the
	// storage can never deliver transitions.
	Watch(ctx context.Context, fn func(Event)) error
}

// Listed is a breaker that Names found.
type Listed struct {
	// Name is empty if the name is too long to be stored.
	Name string `json:"name,omitzero"`
	// Key is the key of the breaker's record in its storage.
	Key string `json:"key"`
}

// LongestMS returns the longest period that a record of these rules has to
// remember, in ms: its window, an open period, or a lease. A mode, and an open
// time that a command or a failure asks for, may be longer.
func (r *Rules) LongestMS() int64 {
	longest := max(r.OpenMS, r.MaxMS, r.LeaseMS)
	if r.Window.Kind == windowTime {
		longest = max(longest, r.Window.Size)
	}
	return longest
}

// Names implements [Lister]: it yields the breakers that have a record.
func (m *Memory) Names(ctx context.Context) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		if err := m.checkUsable(ctx); err != nil {
			yield(Listed{}, err)
			return
		}
		for _, name := range m.recordNames() {
			s, err := m.Inspect(ctx, name)
			if err != nil {
				yield(Listed{}, err)
				return
			}
			if s.Exists && !yield(Listed{Name: name, Key: name}, nil) {
				return
			}
		}
	}
}

// recordNames returns the names at one instant, so that the loop that receives
// them may use the engine.
func (m *Memory) recordNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.records))
	for name := range m.records {
		names = append(names, name)
	}
	return names
}
