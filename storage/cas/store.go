package cas

import (
	"context"
	"time"
)

// Store keeps blobs by name and swaps them: it is all that a database must be
// able to do so that [New] can keep breakers in it. Both methods are safe for
// concurrent use and return soon after their context ends.
//
// docs/storages.md has the whole contract; package storagetest checks it.
type Store interface {
	// Load returns the blob of that name and its version, which is above 0;
	// version 0 means that there is none, or that it has expired. A version names
	// one blob: it is never used again for another one of that name. Load sees
	// every Swap that returned before it began, in whatever process.
	Load(ctx context.Context, name string) (blob []byte, version int64, err error)
	// Swap stores the blob under that name if its version is still the one that
	// Load returned, 0 for none: in one step, whose middle no other Swap sees.
	// It returns false, and has changed nothing, if the version is another. It may
	// also return false if the database gave up on it and reports so, such as a
	// transaction that could not be serialized: it is tried again, from Load. The
	// blob may be forgotten ttl after the Swap, not before; 0 means never.
	//
	// An error leaves open what happened: the Swap may have been done, and it is
	// not repeated. A store that knows better returns a *engine.StorageError of
	// its own: engine.ClassNotExecuted, or engine.ClassRefused if the database
	// will not do it as things are.
	Swap(ctx context.Context, name string, version int64, blob []byte, ttl time.Duration) (bool, error)
}

// Clock is implemented by a [Store] whose database has a clock that all of its
// clients can ask. Without it the time is each client's own wall clock, and then
// the clocks of hosts matter: one that is ahead by d ends open periods and leases
// up to d early, so that they overlap what the others still count on.
type Clock interface {
	// Now returns the database's time, from 1970 to 2100.
	Now(ctx context.Context) (time.Time, error)
}
