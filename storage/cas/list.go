package cas

import (
	"context"
	"errors"
	"iter"

	"github.com/redbreaker/redbreaker/engine"
)

// Lister is implemented by a [Store] that can list the names of its blobs.
type Lister interface {
	// Names yields each name that has a blob, in any order. It may yield names whose
	// blobs have expired. It ends after an error.
	Names(ctx context.Context) iter.Seq2[string, error]
}

var _ engine.Lister = (*Storage)(nil)

var errCannotList = errors.New("the store cannot list its names, implement cas.Lister")

// Names implements [engine.Lister] over a store that is a [Lister]; over another
// one it yields an error of class refused. It loads each blob, to leave out
// records that have expired.
func (s *Storage) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	return func(yield func(engine.Listed, error) bool) {
		lister, ok := s.store.(Lister)
		if !ok {
			yield(engine.Listed{}, newListError(engine.ClassRefused, errCannotList))
			return
		}
		for name, err := range lister.Names(ctx) {
			if s.closed.Load() {
				err = engine.ErrStopped
			} else if err != nil {
				err = newListError(engine.ClassNotExecuted, err)
			}
			listed, exists := engine.Listed{Name: name, Key: name}, err == nil
			if exists {
				// One load for each name: only the record says when it expires.
				var snapshot engine.Snapshot
				snapshot, err = s.Inspect(ctx, name)
				exists = snapshot.Exists
			}
			switch {
			case err != nil:
				yield(engine.Listed{}, err)
				return
			case exists && !yield(listed, nil):
				return
			}
		}
	}
}

func newListError(class engine.Class, err error) error {
	return &engine.StorageError{Class: class, Op: "list", Err: err}
}
