//go:build go1.25

package faults_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silence{}) // go-redis says what fails here on purpose
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // what runs in real time mostly waits
	goleak.VerifyTestMain(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

const (
	name = "dep"
	key  = "redbreaker:{" + name + "}"

	// guardMax and calm are what docs/semantics.md says: the longest that a
	// storage goes unasked, and how long it must answer until an outage is over.
	guardMax = 5 * time.Second
	calm     = time.Second
)

var (
	ctx     = context.Background()
	errDown = errors.New("dependency is down")

	threshold = 3
	policy    = redbreaker.Policy{ConsecutiveFailures: threshold, OpenFor: time.Hour}
	hasty     = redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Minute, HalfOpen: redbreaker.HalfOpen{Lease: 10 * time.Second}}
)

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errDown }

// world is a server, a faulty network to it, and the processes of a fleet.
type world struct {
	*testing.T
	net    *faultproxy.Proxy
	mini   *miniredis.Miniredis // nil on a real server
	server *redistest.Server    // nil on a miniredis
	admin  *redis.Client        // does not go through the network; nil in a bubble

	options redis.Options // of each process' client
	bound   time.Duration // of each process' storage
	slack   time.Duration // what a busy machine may add to it
	members []*member
	plain   atomic.Bool // TLS was found to be wrong
	// Of all clients together, in a bubble. go-redis looks into a socket before it
	// uses it, and could not if it were wrapped.
	dials, writes atomic.Int64
}

// place is where a row is played.
type place func(t *testing.T, test func(w *world))

// bubble has a miniredis, and time that is exact.
func bubble(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, mini: miniredis.NewMiniRedis(), bound: storage.DefaultTimeout}
		t.Cleanup(func() { time.Sleep(time.Minute) }) // go-redis dials on for a while after its Close
		w.mini.ClockTTL(true)
		t.Cleanup(w.mini.Close)
		w.net = faultproxy.New(func(context.Context) (net.Conn, error) { return w.mini.Dial() })
		t.Cleanup(w.net.Close)
		// Nobody may wait for a connection: go-redis keeps the timers of such
		// waits from one bubble to the next.
		w.options = redis.Options{Addr: "192.0.2.1:6379", Dialer: w.dial(w.net.Dial), PoolSize: 1000, ContextTimeoutEnabled: true}
		test(w)
	})
}

// sockets has a miniredis in real time.
func sockets(t *testing.T, test func(w *world)) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	test(realtime(&world{T: t, mini: m, admin: rdb}, m.Addr()))
}

// onServer has a server of its own, on which the fleet is the user breaker.
func onServer(args ...string) place {
	return func(t *testing.T, test func(w *world)) {
		t.Parallel()
		s := redistest.Start(t, args...)
		w := realtime(&world{T: t, server: s, admin: s.Client()}, s.Addr())
		w.options.Username, w.options.Password = "breaker", "secret"
		w.do("acl", "setuser", "breaker", "on", ">secret", "~*", "&*", "+@all")
		test(w)
	}
}

func realtime(w *world, addr string) *world {
	w.net = faultproxy.Start(w.T, addr)
	w.bound, w.slack = time.Second, 2*time.Second
	w.options = redis.Options{Addr: w.net.Addr(), Dialer: (&net.Dialer{}).DialContext}
	return w
}

// do is a command of the server's operator.
func (w *world) do(args ...any) {
	w.Helper()
	w.must(w.admin.Do(ctx, args...).Err())
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// dial counts connections and what is written to them.
func (w *world) dial(next dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		w.dials.Add(1)
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &counted{c, &w.writes}, nil
	}
}

type counted struct {
	net.Conn
	writes *atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// until waits for what must come about within the limit and the slack.
func (w *world) until(limit time.Duration, what string, f func() bool) {
	w.Helper()
	for start := time.Now(); !f(); time.Sleep(50 * time.Millisecond) {
		if took := time.Since(start); took > limit+w.slack {
			w.Fatalf("%s: not after %v", what, took)
		}
	}
}

// answers lets the miniredis answer scripts with what write writes; nil: as ever.
func (w *world) answers(write func(c *server.Peer)) {
	if write == nil {
		w.mini.Server().SetPreHook(nil)
		return
	}
	w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" || cmd == "EVAL" {
			write(c)
			return true
		}
		return false
	})
}

// executions counts, from now, what reaches the miniredis of scripts.
func (w *world) executions() func() map[string]int {
	var mu sync.Mutex
	n := map[string]int{}
	w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		if cmd == "EVALSHA" || cmd == "EVAL" || cmd == "SCRIPT" {
			mu.Lock()
			defer mu.Unlock()
			n[cmd]++
		}
		return false
	})
	return func() map[string]int {
		w.mini.Server().SetPreHook(nil)
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// member is one process of the fleet: a client, a storage and a breaker.
type member struct {
	w      *world
	kind   redbreaker.Fallback
	client *redis.Client
	store  *storage.Redis
	*redbreaker.Breaker

	mu     sync.Mutex
	events []redbreaker.Event
}

func (w *world) member(p redbreaker.Policy, opts ...redbreaker.Option) *member {
	w.Helper()
	o := w.options
	m := &member{w: w, client: redis.NewClient(&o)}
	w.Cleanup(func() { _ = m.client.Close() })
	m.join(p, opts...)
	return m
}

// join makes the breaker, over the member's client.
func (m *member) join(p redbreaker.Policy, opts ...redbreaker.Option) {
	m.w.Helper()
	var err error
	m.store, err = storage.NewRedis(m.client, storage.WithTimeout(m.w.bound))
	m.w.must(err)
	m.w.Cleanup(func() { m.w.must(m.store.Close()) })
	m.Breaker, err = redbreaker.New(name, p, append(opts, redbreaker.WithStorage(m.store),
		redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: m.hear, OnRestored: m.hear, OnAnomaly: m.hear}))...)
	m.w.must(err)
	m.w.Cleanup(m.Stop)
}

func (m *member) hear(e redbreaker.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

// heard is what the hooks were told of a kind.
func (m *member) heard(kind redbreaker.EventKind) (found []redbreaker.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// runs wants a call to run, to end with err, and to be back in time.
func (m *member) runs(f func(context.Context) error) {
	m.w.Helper()
	ran := false
	var want error
	err := m.Do(ctx, func(ctx context.Context) error { ran = true; want = f(ctx); return want })
	if !ran || err != want {
		m.w.Errorf("%v: the call ran: %v; got %v", m.kind, ran, err)
	}
}

// rejects wants the next call to be rejected.
func (m *member) rejects(reason redbreaker.Reason) *redbreaker.RejectedError {
	m.w.Helper()
	err := m.Do(ctx, func(context.Context) error { m.w.Errorf("%v: the call ran", m.kind); return nil })
	var r *redbreaker.RejectedError
	if !errors.As(err, &r) || r.Reason != reason {
		m.w.Errorf("%v: got %v, want a rejection: %s", m.kind, err, reason)
		return &redbreaker.RejectedError{}
	}
	return r
}

func (m *member) permit() *redbreaker.Permit {
	m.w.Helper()
	p, err := m.Acquire(ctx)
	m.w.must(err)
	return &p
}

func (m *member) control(c redbreaker.Command) {
	m.w.Helper()
	_, err := m.Control(ctx, c)
	m.w.must(err)
}

// halfOpens makes the circuit half-open for all.
func (m *member) halfOpens() {
	m.w.Helper()
	m.control(redbreaker.Command{Action: redbreaker.ActionHalfOpen})
}

// record is what the server keeps.
func (m *member) record() redbreaker.Snapshot {
	m.w.Helper()
	s, err := m.Inspect(ctx)
	m.w.must(err)
	return s
}

func (m *member) wantStreak(want int64) {
	m.w.Helper()
	if got := m.record().Streak; got != want {
		m.w.Errorf("%d failures are counted, want %d", got, want)
	}
}

func (m *member) wantState(want redbreaker.State) {
	m.w.Helper()
	if got := m.record().State; got != want {
		m.w.Errorf("the record is %v, want %v", got, want)
	}
}

// wantDegraded wants OnDegraded to be told once, with an error of that class.
func (m *member) wantDegraded(class redbreaker.Class, op, says string) {
	m.w.Helper()
	m.w.until(time.Second, "OnDegraded", func() bool { return len(m.heard(redbreaker.EventDegraded)) > 0 })
	told := m.heard(redbreaker.EventDegraded)
	var e *redbreaker.StorageError
	if len(told) != 1 || !errors.As(told[0].Err, &e) || e.Class != class || e.Op != op || e.Name != name || !strings.Contains(e.Error(), says) {
		m.w.Errorf("%v: OnDegraded was told %d times, first %v; want once, %s, %v, with %q", m.kind, len(told), told[0].Err, op, class, says)
	}
}

// recovers calls until the outage is over, which it must be within the limit.
func (m *member) recovers(limit time.Duration) {
	m.w.Helper()
	m.w.until(limit, "OnRestored", func() bool { _ = m.Do(ctx, succeed); return len(m.heard(redbreaker.EventRestored)) > 0 })
	if n := len(m.heard(redbreaker.EventDegraded)); n != 1 || len(m.heard(redbreaker.EventRestored)) != 1 || m.Status().Degraded {
		m.w.Errorf("%v: %d outages were told, restored %d times, degraded %v", m.kind, n, len(m.heard(redbreaker.EventRestored)), m.Status().Degraded)
	}
}

// undisturbed wants no outage to have been told.
func (m *member) undisturbed() {
	m.w.Helper()
	time.Sleep(20 * time.Millisecond)
	if told := m.heard(redbreaker.EventDegraded); len(told) > 0 || m.Status().Degraded {
		m.w.Errorf("OnDegraded was told %v", told)
	}
}
