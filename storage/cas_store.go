package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// load reads a record and the time, in ms. The time is read last: so no step is
// run at an earlier time than the one that wrote the record. A record whose time
// to live is over is absent, whether the store expires it or not.
func (c *CAS) load(ctx context.Context, name string) (r engine.Record, version, now int64, failed *engine.StorageError) {
	blob, version, now, err := c.read(ctx, name)
	if err != nil {
		failed = failure(ctx, engine.ClassNotExecuted, err)
		if failed.Class == engine.ClassUnknown { // nothing was written
			failed.Class = engine.ClassNotExecuted
		}
		return engine.Record{}, 0, 0, failed
	}
	if version == 0 {
		return engine.Record{}, 0, now, nil
	}
	r, err = decode(blob)
	if err != nil {
		return engine.Record{}, 0, 0, &engine.StorageError{Class: engine.ClassForeign, Err: err}
	}
	if e := r.Expires(); e != 0 && now >= e {
		return engine.Record{}, version, now, nil
	}
	return r, version, now, nil
}

// read asks the store.
func (c *CAS) read(ctx context.Context, name string) (blob []byte, version, now int64, err error) {
	defer recovered(&err)
	blob, version, err = c.store.Load(ctx, name)
	if err != nil {
		return nil, 0, 0, err
	}
	if version < 0 || version == 0 && len(blob) > 0 {
		return nil, 0, 0, fmt.Errorf("the store gave a blob of %d bytes with version %d, it must be above 0, or 0 without a blob", len(blob), version)
	}
	now, err = c.now(ctx)
	return blob, version, now, err
}

// lastInstant is the last time that the machine can calculate with: its epochs are
// made of it.
var lastInstant = time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *CAS) now(ctx context.Context) (int64, error) {
	if c.clock == nil {
		return time.Now().UnixMilli(), nil
	}
	t, err := c.clock.Now(ctx)
	if err == nil && (t.UnixMilli() < 1 || t.After(lastInstant)) {
		err = fmt.Errorf("the clock of the store says %v, it must be after 1970 and before 2101", t)
	}
	return t.UnixMilli(), err
}

func (c *CAS) swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, *engine.StorageError) {
	swapped, err := c.write(ctx, name, version, blob, ttl)
	if err != nil {
		return false, failure(ctx, engine.ClassUnknown, err)
	}
	return swapped, nil
}

func (c *CAS) write(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (swapped bool, err error) {
	defer recovered(&err)
	return c.store.Swap(ctx, name, version, blob, ttl)
}

// recovered makes an error of a panic: a storage that fails must not end the
// process, whose callers could not even recover it.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the store panicked: %v", p)
	}
}

// failure is what an error of the store means: what the store says itself, or
// else class.
func failure(ctx context.Context, class engine.Class, err error) *engine.StorageError {
	var said *engine.StorageError
	if errors.As(err, &said) && said.Class >= engine.ClassNotExecuted && said.Class <= engine.ClassForeign {
		class = said.Class
		if bare, ok := err.(*engine.StorageError); ok && bare.Err != nil {
			err = bare.Err
		}
	}
	return &engine.StorageError{Class: class, Err: because(ctx, err)}
}
