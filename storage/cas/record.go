package cas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/timeout"
)

// loadRecord reads a record and the time in ms. The time is read last, so that no step
// runs at an earlier time than the one that wrote the record. A record whose time
// to live is over is absent, whether or not the store has expired it.
func (s *Storage) loadRecord(ctx context.Context, name string) (r engine.Record, version, now int64, failed *engine.StorageError) {
	blob, version, now, err := s.readStore(ctx, name)
	if err != nil {
		failed = newStorageError(ctx, engine.ClassNotExecuted, err)
		if failed.Class == engine.ClassUnknown { // nothing was written
			failed.Class = engine.ClassNotExecuted
		}
		return engine.Record{}, 0, 0, failed
	}
	if version == 0 {
		return engine.Record{}, 0, now, nil
	}
	// A blob that does not read is left as it is: it belongs to another program, or to a
	// newer release, and must not be overwritten.
	r, err = decodeBlob(blob)
	if err != nil {
		return engine.Record{}, 0, 0, &engine.StorageError{Class: engine.ClassForeign, Err: err}
	}
	// The version stays: the swap that begins the record again must replace this blob, which
	// the store still has.
	if e := r.Expires(); e != 0 && now >= e {
		return engine.Record{}, version, now, nil
	}
	return r, version, now, nil
}

// readStore asks the store for a blob and the time, and checks the version.
func (s *Storage) readStore(ctx context.Context, name string) (blob []byte, version, now int64, err error) {
	defer recoverTo(&err)
	blob, version, err = s.store.Load(ctx, name)
	if err != nil {
		return nil, 0, 0, err
	}
	// A store that breaks this contract would let every Swap of a new record overwrite the
	// one that is there.
	if version < 0 || version == 0 && len(blob) > 0 {
		return nil, 0, 0, fmt.Errorf("the store returned a blob of %d bytes with version %d, it must be above 0, or 0 without a blob", len(blob), version)
	}
	now, err = s.readClock(ctx)
	return blob, version, now, err
}

// readClock returns the time in ms, by the store's clock if it has one. Without it
// the clocks of hosts decide, which docs/storages.md warns of.
func (s *Storage) readClock(ctx context.Context) (int64, error) {
	now := time.Now()
	if s.clock != nil {
		var err error
		if now, err = s.clock.Now(ctx); err != nil {
			return 0, err
		}
	}
	return now.UnixMilli(), engine.CheckClock(now.UnixMilli())
}

// swapRecord swaps a blob. An error is of class unknown unless the store knows better:
// the swap may have been done though its reply was lost, so it must not be repeated.
func (s *Storage) swapRecord(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, *engine.StorageError) {
	swapped, err := s.swapStore(ctx, name, version, blob, ttl)
	if err != nil {
		return false, newStorageError(ctx, engine.ClassUnknown, err)
	}
	return swapped, nil
}

// swapStore calls Swap and survives its panic.
func (s *Storage) swapStore(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (swapped bool, err error) {
	defer recoverTo(&err)
	return s.store.Swap(ctx, name, version, blob, ttl)
}

// recoverTo turns a panic into an error: a store that fails must not end the
// process, whose callers could not recover a panic of the driver's goroutine.
func recoverTo(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the store panicked: %v", p)
	}
}

// newStorageError wraps an error of the store. The class is the store's own if it
// returned one, else the one given.
func newStorageError(ctx context.Context, class engine.Class, err error) *engine.StorageError {
	var own *engine.StorageError
	if errors.As(err, &own) && own.Class >= engine.ClassNotExecuted && own.Class <= engine.ClassForeign {
		class = own.Class
		if bare, ok := err.(*engine.StorageError); ok && bare.Err != nil {
			err = bare.Err
		}
	}
	return &engine.StorageError{Class: class, Err: timeout.WithCause(ctx, err)}
}
