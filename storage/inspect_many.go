package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

// maxInspected is the most records that are read in one round trip: each takes
// the server some 20 us, and all of them share the timeout of one call.
const maxInspected = 500

// InspectMany reads the records of the names, in their order: 500 of them cost
// one round trip to each server that holds some, at the same time. What could
// not be read leaves a snapshot with nothing but its name, and a
// *engine.StorageError in the joined error, so that a node that is away hides
// only its own breakers.
func (r *Redis) InspectMany(ctx context.Context, names []string) ([]engine.Snapshot, error) {
	all := make([]engine.Snapshot, 0, len(names))
	var faults []error
	// One after the other: all at once would fill the connection pool that steps need.
	for chunk := range slices.Chunk(names, maxInspected) {
		snapshots, err := r.inspectChunk(ctx, chunk)
		if snapshots == nil {
			return nil, err
		}
		all, faults = append(all, snapshots...), append(faults, err)
	}
	return all, errors.Join(faults...)
}

// inspectChunk returns no snapshots if nothing was asked for: for a name that is
// invalid, or because the storage or the caller is done.
func (r *Redis) inspectChunk(ctx context.Context, names []string) ([]engine.Snapshot, error) {
	if r.closed.Load() {
		return nil, engine.ErrStopped
	}
	var faults []error
	calls := make([]*transport.Call, len(names))
	for i, name := range names {
		key, err := r.keys.Key(name)
		faults = append(faults, err)
		calls[i] = &transport.Call{Op: "inspect", Name: name, Key: key, Script: scripts.Inspect}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	answers, err := r.transport.RunMany(ctx, calls)
	if err != nil {
		return nil, err
	}
	snapshots := make([]engine.Snapshot, len(names))
	for i, a := range answers {
		err := a.Err
		if err == nil {
			snapshots[i], err = decodeSnapshot(names[i], a.Reply)
		}
		if err != nil {
			// decodeSnapshot may have returned a part of one.
			snapshots[i] = engine.Snapshot{Name: names[i]}
		}
		faults = append(faults, err)
	}
	return snapshots, errors.Join(faults...)
}
