package storage_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// A breaker is listed a moment after its first use, whatever its name is.
func TestNames_ofBreakersInUse(t *testing.T) {
	names := []string{
		"a", strings.Repeat("b", 512), strings.Repeat("c", 513), strings.Repeat("d", 1<<20), "\x00\xff {}%#", "index", "#index:0",
	}
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		for what, opts := range map[string][]storage.Option{"spread": nil, "colocated": {storage.WithColocation("index")}} {
			s := newStorage(t, rdb, opts...)
			for _, n := range names {
				h, err := s.Bind(n, engine.Policy{}, nil)
				must(t, err)
				acquire(t, h)
			}
			want := []string{"", "", "\x00\xff {}%#", "#index:0", "a", strings.Repeat("b", 512), "index"}
			awaitNames(t, s, want)
			if got := listKeys(t, s); len(got) != len(names) {
				t.Errorf("%s: %d keys, want %d", what, len(got), len(names))
			}
		}
	})
}

// A breaker that only a command used is listed, also if the command's storage is
// closed at once; one that is held without an end stays listed.
func TestNames_ofCommands(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s, err := storage.NewRedis(rdb, storage.WithNamespace(fleet), storage.WithTimeout(20*time.Second))
		must(t, err)
		_, err = s.Control(ctx, "held", engine.Command{Action: engine.ActionForceOpen})
		must(t, err)
		_, err = s.Control(ctx, "tripped", engine.Command{Action: engine.ActionTrip})
		must(t, err)
		must(t, s.Close())
		s = newStorage(t, rdb)
		if got, want := listNames(t, s), []string{"held", "tripped"}; !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
		if ends := scoreOf(t, rdb, "held"); ends < 1e18 {
			t.Errorf("a breaker that is held is listed until %v", ends)
		}
		h, _ := bind(t, s, engine.Policy{}) // of another breaker: it has no part in this
		acquire(t, h)
		held, err := s.Bind("held", engine.Policy{}, nil)
		must(t, err)
		_, err = held.Control(ctx, engine.Command{Action: engine.ActionRelease})
		must(t, err)
		eventually(t, "the released breaker to get an end", func() bool { return scoreOf(t, rdb, "held") < 1e15 })
	})
}

// A breaker that was not used for its time is not listed, and is removed in time.
func TestNames_expire(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s := newStorage(t, rdb)
		for i := range 100 {
			must(t, rdb.ZAdd(ctx, partOf(t, "used"), redis.Z{Score: float64(i + 1), Member: fmt.Sprint("old", i)}).Err())
		}
		h, err := s.Bind("used", engine.Policy{}, nil)
		must(t, err)
		acquire(t, h)
		awaitNames(t, s, []string{"used"})
		if n := rdb.ZCard(ctx, partOf(t, "used")).Val(); n > 100 {
			t.Errorf("%d members, want some of 100 to be removed", n)
		}
	})
}

// Another type at a part's key is not touched: one event, and an error of Names,
// which lists the other parts.
func TestNames_ofAnotherType(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		must(t, rdb.Set(ctx, partOf(t, name), "theirs", 0).Err())
		s := newStorage(t, rdb)
		h, e := bind(t, s, engine.Policy{})
		acquire(t, h)
		other := "other"
		for partOf(t, other) == partOf(t, name) {
			other += "x"
		}
		h2, err := s.Bind(other, engine.Policy{}, e.add)
		must(t, err)
		acquire(t, h2)
		defer runtime.KeepAlive([]engine.Handle{h, h2})
		eventually(t, "an event about the index", func() bool { return e.of(engine.EventUnlisted) == 1 })
		var names []string
		var faults []error
		for l, err := range s.Names(ctx) {
			if err != nil {
				faults = append(faults, err)
			} else {
				names = append(names, l.Name)
			}
		}
		if !slices.Equal(names, []string{other}) || len(faults) != 1 {
			t.Fatalf("listed %q with %v", names, faults)
		}
		var failed *engine.StorageError
		if !errors.As(faults[0], &failed) || failed.Class != engine.ClassForeign || !errors.Is(failed, engine.ErrForeignKey) || failed.Name != partOf(t, name) {
			t.Errorf("%v, want an error of class foreign that names the key", faults[0])
		}
		if got := rdb.Get(ctx, partOf(t, name)).Val(); got != "theirs" {
			t.Errorf("the key holds %q", got)
		}
	})
}

// Names ends with its loop, its context and its storage.
func TestNames_end(t *testing.T) {
	_, rdb := redistest.Mini(t)
	s := newStorage(t, rdb)
	for _, n := range []string{"a", "b"} {
		_, err := s.Control(ctx, n, engine.Command{Action: engine.ActionReset})
		must(t, err)
	}
	awaitNames(t, s, []string{"a", "b"})
	n := 0
	for range s.Names(ctx) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("a loop that ends early ran %d times", n)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if got := errorsOf(done, s); len(got) != 1 || !errors.Is(got[0], context.Canceled) {
		t.Errorf("with a context that is done: %v", got)
	}
	must(t, s.Close())
	if got := errorsOf(ctx, s); len(got) != 1 || !errors.Is(got[0], engine.ErrStopped) {
		t.Errorf("of a closed storage: %v", got)
	}
}

// On a cluster with a node down, Names lists the parts of the others.
func TestNames_clusterNodeDown(t *testing.T) {
	servers := redistest.StartCluster(t, 3)
	addrs := make([]string, len(servers))
	for i, server := range servers {
		addrs[i] = server.Addr()
		must(t, server.Admin().ConfigSet(ctx, "cluster-require-full-coverage", "no").Err())
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	t.Cleanup(func() {
		_ = rdb.Close()
		time.Sleep(1100 * time.Millisecond) // go-redis dials on for a while after its Close
	})
	s := newStorage(t, rdb, storage.WithTimeout(5*time.Second))
	want := make([]string, 100)
	for i := range want {
		want[i] = fmt.Sprintf("%03d", i)
		h, err := s.Bind(want[i], engine.Policy{}, nil)
		must(t, err)
		acquire(t, h)
		defer runtime.KeepAlive(h)
	}
	awaitNames(t, s, want)
	servers[0].Kill()
	var names []string
	var faults int
	for l, err := range s.Names(ctx) {
		if err != nil {
			faults++
		} else {
			names = append(names, l.Name)
		}
	}
	down := 0
	for part := range cluster.IndexParts {
		if k, _ := cluster.New(fleet); cluster.Slot(k.IndexKey(part)) < cluster.Slots/3 {
			down++
		}
	}
	if faults != down || len(names) == 0 || len(names) == len(want) {
		t.Errorf("%d errors and %d breakers, want an error for each of %d parts, and the others' breakers", faults, len(names), down)
	}
}

// ---- helpers ----

func listNames(t testing.TB, s engine.Lister) []string {
	t.Helper()
	var names []string
	for l, err := range s.Names(ctx) {
		must(t, err)
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return names
}

func listKeys(t testing.TB, s engine.Lister) []string {
	t.Helper()
	var keys []string
	for l, err := range s.Names(ctx) {
		must(t, err)
		keys = append(keys, l.Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func awaitNames(t testing.TB, s engine.Lister, want []string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	eventually(t, fmt.Sprintf("%d breakers to be listed", len(want)), func() bool {
		got = listNames(t, s)
		return slices.Equal(got, want)
	})
}

func errorsOf(ctx context.Context, s engine.Lister) (all []error) {
	for _, err := range s.Names(ctx) {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// partOf returns the key of the part of the index that a breaker of the fleet is in.
func partOf(t testing.TB, name string) string {
	t.Helper()
	k, err := cluster.New(fleet)
	must(t, err)
	key, err := k.Key(name)
	must(t, err)
	_, part, _ := k.IndexMember(key)
	return k.IndexKey(part)
}

func scoreOf(t testing.TB, rdb *redis.Client, name string) float64 {
	t.Helper()
	score, err := rdb.ZScore(ctx, partOf(t, name), name).Result()
	must(t, err)
	return score
}
