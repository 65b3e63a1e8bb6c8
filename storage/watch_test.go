package storage_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// watching returns a handle of a process of its own that watches the fleet.
func watching(t testing.TB, rdb redis.UniversalClient, p engine.Policy, opts ...storage.Option) (engine.Handle, *events) {
	t.Helper()
	return bind(t, newStorage(t, rdb, append(opts, storage.WithWatch())...), p)
}

// awaitBaseline waits until the handle knows its record: transitions from before are
// not delivered.
func awaitBaseline(t testing.TB, h engine.Handle) {
	t.Helper()
	eventually(t, "a baseline", func() bool { return h.Status().Age >= 0 })
}

// transitions returns the transitions that were delivered, in order.
func (e *events) transitions() []engine.Transition {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []engine.Transition
	for _, event := range e.list {
		if event.Kind == engine.EventTransition {
			list = append(list, event.Transition)
		}
	}
	return list
}

// missed returns how many transitions were counted as missed, and whether a count
// was unknown.
func (e *events) missed() (n int64, unknown bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.list {
		if event.Kind == engine.EventMissed {
			n += max(0, event.Missed)
			unknown = unknown || event.Missed < 0
		}
	}
	return n, unknown
}

// wantDelivered wants every transition of the record's log to be delivered once and
// in order, or counted as missed.
func wantDelivered(t testing.TB, e *events, log []engine.Transition, base int64) {
	t.Helper()
	list := wantOrdered(t, e)
	n, unknown := e.missed()
	newest := log[len(log)-1]
	if unknown || int64(len(list))+n != newest.N-base {
		t.Errorf("of %d transitions %d were delivered and %d missed (unknown: %v)", newest.N-base, len(list), n, unknown)
	}
}

// wantOrdered wants transitions to be delivered in the order of their epochs, each
// once.
func wantOrdered(t testing.TB, e *events) []engine.Transition {
	t.Helper()
	list := e.transitions()
	if !slices.IsSortedFunc(list, func(a, b engine.Transition) int { return int(a.Epoch - b.Epoch) }) {
		t.Errorf("transitions are out of order: %v", epochs(list))
	}
	seen := map[int64]bool{}
	for _, move := range list {
		if seen[move.Epoch] {
			t.Errorf("epoch %d was delivered twice", move.Epoch)
		}
		seen[move.Epoch] = true
	}
	return list
}

func epochs(list []engine.Transition) (all []int64) {
	for _, move := range list {
		all = append(all, move.Epoch)
	}
	return all
}

// An idle process follows what another one does: hooks, Status, and which
// transitions are own.
func TestWatch_idleProcess(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		active, own := watching(t, rdb, opensAtOnce)
		idle, e := watching(t, rdb, opensAtOnce)
		awaitBaseline(t, idle)
		fails(t, active, 1)
		eventually(t, "the idle process to learn of the opening", func() bool { return idle.Status().State == engine.StateOpen })
		if left := idle.Status().RetryAfter; left < 59*time.Minute || left > time.Hour {
			t.Errorf("the idle process expects the circuit to be open for %v, want an hour", left)
		}
		_, err := active.Control(ctx, engine.Command{Action: engine.ActionForceOpen, For: time.Hour})
		must(t, err)
		eventually(t, "the idle process to learn of the mode", func() bool {
			s := idle.Status()
			return s.Mode == engine.ModeForcedOpen && s.ModeFor > 50*time.Minute && s.RetryAfter > 50*time.Minute
		})
		eventually(t, "three transitions of its own", func() bool { return len(own.transitions()) == 3 })
		for _, move := range own.transitions() {
			if !move.Own {
				t.Errorf("own transition %v is delivered as another's", move)
			}
		}
		eventually(t, "the transitions of the other", func() bool { return len(e.transitions()) == 3 })
		for _, move := range e.transitions() {
			if move.Own || move.Name != name {
				t.Errorf("another's transition is delivered as %+v", move)
			}
		}
	})
}

// A process that begins late knows the state without a call of its own.
func TestWatch_beginsLate(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		h, _ := bind(t, newStorage(t, rdb), opensAtOnce)
		fails(t, h, 1)
		late, e := watching(t, rdb, opensAtOnce)
		eventually(t, "the late process to know the state", func() bool {
			s := late.Status()
			return s.State == engine.StateOpen && s.RetryAfter > 50*time.Minute
		})
		if list := e.transitions(); len(list) > 0 {
			t.Errorf("transitions from before were delivered: %v", list)
		}
		if e.of(engine.EventStatus) == 0 {
			t.Error("no event says that the status has changed")
		}
	})
}

// Every handle of a storage gets each transition; one that is closed, none.
func TestWatch_manyHandles(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s := newStorage(t, rdb, storage.WithWatch())
		a, ofA := bind(t, s, opensAtOnce)
		b, ofB := bind(t, s, opensAtOnce)
		closed, ofClosed := bind(t, s, opensAtOnce)
		must(t, closed.Close())
		fails(t, a, 1)
		for _, e := range []*events{ofA, ofB} {
			eventually(t, "an event for both handles", func() bool { return len(e.transitions()) == 2 })
		}
		if b.Status().State != engine.StateOpen {
			t.Errorf("the other handle shows %v", b.Status().State)
		}
		if n := len(ofClosed.transitions()); n != 0 {
			t.Errorf("a closed handle got %d transitions", n)
		}
		must(t, a.Close())
		must(t, b.Close())
	})
}

// The subscription is cut again and again: nothing is lost, nothing comes twice.
func TestWatch_connectionsKilled(t *testing.T) {
	eachRealServer(t, func(t *testing.T, rdb *redis.Client) {
		active, _ := bind(t, newStorage(t, rdb), opensAtOnce)
		acquire(t, active)
		idle, e := watching(t, rdb, opensAtOnce)
		awaitBaseline(t, idle)
		s := newStorage(t, rdb)
		base := inspect(t, s).Log[0].N
		for i := range 60 {
			must(t, act(active, i))
			if i%10 == 5 {
				must(t, rdb.Do(ctx, "client", "kill", "type", "pubsub").Err())
			}
			time.Sleep(5 * time.Millisecond)
		}
		last := inspect(t, s)
		eventually(t, "the last transition", func() bool {
			list := e.transitions()
			return len(list) > 0 && list[len(list)-1].Epoch == last.Epoch
		})
		wantDelivered(t, e, last.Log, base)
	})
}

// A connection that was cut is replaced and not kept: after many cuts there are as many
// connections and goroutines as before.
func TestWatch_cutsLeaveNothing(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Admin()
	idle, _ := watching(t, server.Client(), opensAtOnce)
	awaitBaseline(t, idle)
	awaitSubscriber := func() {
		eventually(t, "one subscriber", func() bool { return countSubscribers(t, admin) == 1 })
	}
	awaitSubscriber()
	connections, goroutines := countConnections(t, admin), runtime.NumGoroutine()
	for range 12 { // the pauses before a new subscription add up: none of them lasts
		must(t, admin.Do(ctx, "client", "kill", "type", "pubsub").Err())
		awaitSubscriber()
	}
	// The polls after each of them may have opened one more connection of the pool.
	eventually(t, "as many connections as before", func() bool { return countConnections(t, admin) <= connections+2 })
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
}

// countConnections returns the number of connections of a server.
func countConnections(t testing.TB, admin *redis.Client) int {
	t.Helper()
	list, err := admin.ClientList(ctx).Result()
	must(t, err)
	return strings.Count(list, "\n")
}

// countSubscribers returns how many connections a server has that receive the events.
func countSubscribers(t testing.TB, admin *redis.Client) int64 {
	t.Helper()
	counts, err := admin.PubSubNumSub(ctx, fleet+":events").Result()
	must(t, err)
	return counts[fleet+":events"]
}

// act makes one transition.
func act(h engine.Handle, i int) error {
	action := engine.ActionTrip
	if i%2 == 1 {
		action = engine.ActionReset
	}
	_, err := h.Control(context.Background(), engine.Command{Action: action})
	return err
}

// A record that is flushed is followed again, and the loss is reported as an
// unknown number of missed transitions.
func TestWatch_flushed(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		active, _ := bind(t, newStorage(t, rdb), opensAtOnce)
		idle, e := watching(t, rdb, opensAtOnce)
		awaitBaseline(t, idle)
		fails(t, active, 1)
		eventually(t, "the opening", func() bool { return len(e.transitions()) > 0 && idle.Status().State == engine.StateOpen })
		must(t, rdb.FlushAll(ctx).Err())
		must(t, act(active, 1))
		eventually(t, "the new record", func() bool { return idle.Status().State == engine.StateClosed })
		eventually(t, "the loss", func() bool { _, unknown := e.missed(); return unknown })
		fails(t, active, 1)
		eventually(t, "another opening", func() bool { return idle.Status().State == engine.StateOpen })
	})
}

// Two databases of one server share channels: transitions of the other are not
// delivered, and do not change the status for long.
func TestWatch_otherDatabase(t *testing.T) {
	eachRealServer(t, func(t *testing.T, rdb *redis.Client) {
		o := *rdb.Options()
		o.DB = 1
		other, _ := bind(t, newStorage(t, open(t, &o)), opensAtOnce)
		idle, e := watching(t, rdb, opensAtOnce)
		acquire(t, idle)
		for i := range 20 {
			must(t, act(other, i))
			time.Sleep(20 * time.Millisecond)
		}
		for _, move := range e.transitions() {
			if !move.Own {
				t.Errorf("a transition of the other database is delivered: %v", move)
			}
		}
		eventually(t, "the status of this database", func() bool { return idle.Status().State == engine.StateClosed })
	})
}

// Close ends all deliveries, and may come at any time, twice too.
func TestWatch_close(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		active, _ := bind(t, newStorage(t, rdb), opensAtOnce)
		s := newStorage(t, rdb, storage.WithWatch())
		_, e := bind(t, s, opensAtOnce)
		must(t, s.Close()) // perhaps before the subscription is confirmed
		must(t, s.Close())
		fails(t, active, 1)
		s = newStorage(t, rdb, storage.WithWatch())
		h, _ := bind(t, s, opensAtOnce)
		eventually(t, "the state", func() bool { return h.Status().State == engine.StateOpen })
		must(t, s.Close())
		must(t, act(active, 1))
		time.Sleep(50 * time.Millisecond)
		if n := len(e.transitions()); n > 0 {
			t.Errorf("%d transitions after Close", n)
		}
		if _, err := s.Bind(name, opensAtOnce, nil); !errors.Is(err, engine.ErrStopped) {
			t.Errorf("Bind after Close: %v", err)
		}
	})
}

// eachRealServer runs test on a real server of its own.
func eachRealServer(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		if rdb.Do(ctx, "client", "id").Err() != nil {
			t.Skip("miniredis cannot do this")
		}
		test(t, rdb)
	})
}
