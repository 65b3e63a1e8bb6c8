package storage_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// A server that evicts all records and all parts of the index does not make followers,
// watches and lists say anything that is not so: the loss is reported, Status shows the
// record that is there now, and the list has the breakers that are used again.
func TestWatch_evicted(t *testing.T) {
	server := redistest.Start(t)
	rdb := server.Client()
	active, idle := newStorage(t, rdb), newStorage(t, server.Client(), storage.WithWatch())
	names := []string{"a", "b", "c", "d"}
	handles, followed, hooks := map[string]engine.Handle{}, map[string]engine.Handle{}, map[string]*events{}
	for _, n := range names {
		var err error
		handles[n], err = active.Bind(n, opensAtOnce, nil)
		must(t, err)
		hooks[n] = &events{}
		followed[n], err = idle.Bind(n, opensAtOnce, hooks[n].add)
		must(t, err)
		fails(t, handles[n], 1)
	}
	defer runtime.KeepAlive(followed)
	awaitNames(t, active, slices.Clone(names))
	watch, _, _ := watchAll(t, newStorage(t, server.Client()))
	for _, n := range names {
		awaitState(t, followed[n], engine.StateOpen)
	}

	evictFleet(t, rdb)
	if got := listNames(t, active); len(got) != 0 {
		t.Errorf("of an index that was evicted %q are listed", got)
	}
	for _, n := range names {
		if s, err := idle.Inspect(ctx, n); err != nil || s.Exists {
			t.Errorf("%s: Inspect returns %+v, %v, want no record", n, s, err)
		}
	}
	// The next step creates the record again, closed, and says so to all.
	used := names[:2]
	for _, n := range used {
		acquire(t, handles[n])
		awaitState(t, followed[n], engine.StateClosed)
		eventually(t, n+": the loss", func() bool { _, unknown := hooks[n].missed(); return unknown })
	}
	eventually(t, "the watch to report the losses", func() bool {
		return missedOf(watch, used[0]) == -1 && missedOf(watch, used[1]) == -1
	})
	for _, n := range names {
		fails(t, handles[n], 1)
		awaitState(t, followed[n], engine.StateOpen)
		wantOrdered(t, hooks[n])
	}
	// A process that begins lists what it uses within a second; the others do within two minutes.
	fresh := newStorage(t, server.Client())
	h, err := fresh.Bind("a", opensAtOnce, nil)
	must(t, err)
	wantRejected(t, h, engine.ReasonOpen)
	eventually(t, "the list to have it again", func() bool { return slices.Contains(listNames(t, fresh), "a") })
	runtime.KeepAlive(h)
}

// evictFleet makes the server evict all keys of the fleet, as one with too little memory
// does: with allkeys-lru, and keys of others that are used more recently.
func evictFleet(t testing.TB, rdb *redis.Client) {
	t.Helper()
	must(t, rdb.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err())
	must(t, rdb.ConfigSet(ctx, "maxmemory-samples", "64").Err())
	must(t, rdb.ConfigSet(ctx, "maxmemory", fmt.Sprint(usedMemory(t, rdb)+4<<20)).Err())
	filler := strings.Repeat("x", 64<<10)
	eventually(t, "the fleet's keys to be evicted", func() bool {
		for i := range 64 {
			must(t, rdb.Set(ctx, fmt.Sprint("other:", i), filler, 0).Err())
		}
		return len(fleetKeys(t, rdb)) == 0
	})
	if stats := rdb.Info(ctx, "stats").Val(); strings.Contains(stats, "evicted_keys:0\r\n") {
		t.Error("the server has evicted nothing")
	}
	must(t, rdb.ConfigSet(ctx, "maxmemory", "0").Err())
}

// fleetKeys returns the keys of the fleet: records, and parts of the index.
func fleetKeys(t testing.TB, rdb *redis.Client) []string {
	t.Helper()
	keys, err := rdb.Keys(ctx, fleet+":*").Result()
	must(t, err)
	return keys
}

// A part of the index that alone is evicted hides its breakers only, and a record that alone
// is evicted is listed and does not exist.
func TestNames_evicted(t *testing.T) {
	server := redistest.Start(t)
	rdb := server.Client()
	s := newStorage(t, rdb)
	names := make([]string, 40)
	for i := range names {
		names[i] = fmt.Sprintf("%02d", i)
		h, err := s.Bind(names[i], opensAtOnce, nil)
		must(t, err)
		fails(t, h, 1)
		defer runtime.KeepAlive(h)
	}
	awaitNames(t, s, slices.Clone(names))
	keys, err := cluster.New(fleet)
	must(t, err)
	gone := partOf(t, names[0])
	must(t, rdb.Unlink(ctx, gone, keyOf(t, keys, names[1])).Err())
	want := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return partOf(t, n) == gone })
	if got := listNames(t, s); !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if got, err := s.InspectMany(ctx, names[1:3]); err != nil || got[0].Exists || !got[1].Exists {
		t.Errorf("%+v, %v, want the second one alone to exist", got, err)
	}
}

func keyOf(t testing.TB, keys cluster.Keys, name string) string {
	t.Helper()
	key, err := keys.Key(name)
	must(t, err)
	return key
}

// awaitState waits until a handle shows the state.
func awaitState(t testing.TB, h engine.Handle, want engine.State) {
	t.Helper()
	eventually(t, "the status to be "+want.String(), func() bool { return h.Status().State == want })
}

// missedOf returns the newest count of missed transitions of a breaker; 0 if there is none.
func missedOf(e *events, name string) (n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.list {
		if event.Kind == engine.EventMissed && event.Name == name {
			n = event.Missed
		}
	}
	return n
}
