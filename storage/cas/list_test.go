package cas_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// listStore is a memStore that lists its names; fault, if set, ends the list.
type listStore struct {
	*memStore
	fault error
}

func (s *listStore) Names(context.Context) iter.Seq2[string, error] {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.blobs))
	s.mu.Unlock()
	return func(yield func(string, error) bool) {
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
		if s.fault != nil {
			yield("", s.fault)
		}
	}
}

func TestNames(t *testing.T) {
	store := &listStore{memStore: newMemStore()}
	s, err := cas.New(store)
	must(t, err)
	for _, n := range []string{"a", "b"} {
		_, err := s.Control(ctx, n, engine.Command{Action: engine.ActionReset})
		must(t, err)
	}
	_, err = s.Control(ctx, "held", engine.Command{Action: engine.ActionForceOpen})
	must(t, err)
	wantNames(t, s, nil, "a", "b", "held")
	for range s.Names(ctx) {
		break // a loop may end early
	}
	store.advance(3 * engine.DefaultIdleTTL)
	wantNames(t, s, nil, "held")

	store.fault = errors.New("disk on fire")
	wantNames(t, s, store.fault, "held")
	must(t, s.Close())
	wantNames(t, s, engine.ErrStopped)
}

func TestNames_storeCannotList(t *testing.T) {
	s, err := cas.New(newMemStore())
	must(t, err)
	for l, err := range s.Names(ctx) {
		var e *engine.StorageError
		if !errors.As(err, &e) || e.Class != engine.ClassRefused || e.Op != "list" {
			t.Errorf("%+v, %v, want an error of class refused", l, err)
		}
	}
}

// wantNames wants the names to be listed, and then the fault.
func wantNames(t *testing.T, s *cas.Storage, fault error, want ...string) {
	t.Helper()
	var names []string
	var last error
	for l, err := range s.Names(ctx) {
		if last = err; err == nil {
			names = append(names, l.Name)
		}
	}
	if !slices.Equal(names, want) || !errors.Is(last, fault) {
		t.Errorf("listed %q, then %v; want %q, then %v", names, last, want, fault)
	}
}
