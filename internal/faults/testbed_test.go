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
	redis.SetLogger(silence{}) // go-redis logs the failures that the tests cause
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // rows in real time mostly wait
	goleak.VerifyTestMain(m)
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

const (
	name = "dep"
	key  = "redbreaker:{" + name + "}"

	// Both are promised in docs/semantics.md: the guard's longest pause, and how long
	// the storage must answer until an outage is over.
	guardMax  = 5 * time.Second
	quietTime = time.Second
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

// testbed is a server, a faulty network to it, and the processes of a fleet.
// Its test fails through the embedded testing.T.
type testbed struct {
	*testing.T
	net    *faultproxy.Proxy
	mini   *miniredis.Miniredis // nil on a real server
	server *redistest.Server    // nil on a miniredis
	admin  *redis.Client        // bypasses the faulty network; nil in a bubble

	options redis.Options // of each process's client
	timeout time.Duration // of each process's storage
	slack   time.Duration // what a busy machine may add to the timeout
	members []*member
	plain   atomic.Bool // the clients no longer use TLS
	// Sums over all clients, counted in a bubble only: go-redis inspects a real
	// socket before it uses it, which a wrapper would prevent.
	dials, writes atomic.Int64
}

// environment runs a row on a testbed that it makes.
type environment func(t *testing.T, test func(bed *testbed))

// inBubble runs the test over a miniredis in a synctest bubble.
func inBubble(t *testing.T, test func(bed *testbed)) {
	synctest.Test(t, func(t *testing.T) {
		bed := &testbed{T: t, mini: miniredis.NewMiniRedis(), timeout: storage.DefaultTimeout}
		t.Cleanup(func() { time.Sleep(time.Minute) }) // go-redis dials on for a while after its Close
		bed.mini.ClockTTL(true)
		t.Cleanup(bed.mini.Close)
		bed.net = faultproxy.New(func(context.Context) (net.Conn, error) { return bed.mini.Dial() })
		t.Cleanup(bed.net.Close)
		// The pool is larger than any crowd here: go-redis keeps the timers of waits
		// for a connection from one bubble to the next.
		bed.options = redis.Options{Addr: "192.0.2.1:6379", Dialer: bed.dial(bed.net.Dial), PoolSize: 1000, ContextTimeoutEnabled: true}
		test(bed)
	})
}

// onSockets runs the test over a miniredis in real time.
func onSockets(t *testing.T, test func(bed *testbed)) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	test(addNetwork(&testbed{T: t, mini: m, admin: rdb}, m.Addr()))
}

// onServer runs the test on a private server, to which the fleet connects as the
// ACL user breaker.
func onServer(args ...string) environment {
	return func(t *testing.T, test func(bed *testbed)) {
		t.Parallel()
		s := redistest.Start(t, args...)
		bed := addNetwork(&testbed{T: t, server: s, admin: s.Client()}, s.Addr())
		bed.options.Username, bed.options.Password = "breaker", "secret"
		bed.mustDo("acl", "setuser", "breaker", "on", ">secret", "~*", "&*", "+@all")
		test(bed)
	}
}

func addNetwork(bed *testbed, addr string) *testbed {
	bed.net = faultproxy.Start(bed.T, addr)
	bed.timeout, bed.slack = time.Second, 2*time.Second
	bed.options = redis.Options{Addr: bed.net.Addr(), Dialer: (&net.Dialer{}).DialContext}
	return bed
}

// mustDo runs a command as the server's operator.
func (bed *testbed) mustDo(args ...any) {
	bed.Helper()
	bed.must(bed.admin.Do(ctx, args...).Err())
}

func (bed *testbed) must(err error) {
	bed.Helper()
	if err != nil {
		bed.Fatal(err)
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// dial counts connections and writes to them.
func (bed *testbed) dial(next dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		bed.dials.Add(1)
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &counted{c, &bed.writes}, nil
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

// waitUntil polls f until it holds, and fails the test after the limit and the
// slack. It may run on any goroutine, so it does not end the test.
func (bed *testbed) waitUntil(limit time.Duration, what string, f func() bool) {
	bed.Helper()
	for start := time.Now(); !f(); time.Sleep(50 * time.Millisecond) {
		if took := time.Since(start); took > limit+bed.slack {
			bed.Errorf("%s: not after %v", what, took)
			return
		}
	}
}

// setAnswers makes the miniredis answer scripts with what write writes; nil
// restores its own answers.
func (bed *testbed) setAnswers(write func(c *server.Peer)) {
	if write == nil {
		bed.mini.Server().SetPreHook(nil)
		return
	}
	bed.mini.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" || cmd == "EVAL" {
			write(c)
			return true
		}
		return false
	})
}

// countScripts counts script commands that reach the miniredis from now on. The
// returned function ends the count and returns it by command.
func (bed *testbed) countScripts() func() map[string]int {
	var mu sync.Mutex
	n := map[string]int{}
	bed.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		if cmd == "EVALSHA" || cmd == "EVAL" || cmd == "SCRIPT" {
			mu.Lock()
			defer mu.Unlock()
			n[cmd]++
		}
		return false
	})
	return func() map[string]int {
		bed.mini.Server().SetPreHook(nil)
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// member is one process of the fleet: a client, a storage and a breaker.
type member struct {
	bed    *testbed
	kind   redbreaker.Fallback
	client *redis.Client
	store  *storage.Redis
	*redbreaker.Breaker

	mu     sync.Mutex
	events []redbreaker.Event
}

func (bed *testbed) addMember(p redbreaker.Policy, opts ...redbreaker.Option) *member {
	bed.Helper()
	o := bed.options
	m := &member{bed: bed, client: redis.NewClient(&o)}
	bed.Cleanup(func() { _ = m.client.Close() })
	m.join(p, opts...)
	return m
}

// join makes the member's storage and breaker over its client.
func (m *member) join(p redbreaker.Policy, opts ...redbreaker.Option) {
	m.bed.Helper()
	var err error
	m.store, err = storage.NewRedis(m.client, storage.WithTimeout(m.bed.timeout))
	m.bed.must(err)
	m.bed.Cleanup(func() { m.bed.must(m.store.Close()) })
	m.Breaker, err = redbreaker.New(name, p, append(opts, redbreaker.WithStorage(m.store),
		redbreaker.WithHooks(redbreaker.Hooks{OnDegraded: m.noteEvent, OnRestored: m.noteEvent, OnAnomaly: m.noteEvent}))...)
	m.bed.must(err)
	m.bed.Cleanup(m.Stop)
}

func (m *member) noteEvent(e redbreaker.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

// eventsOf returns the events of a kind that the hooks received.
func (m *member) eventsOf(kind redbreaker.EventKind) (found []redbreaker.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// mustRun makes a call, which must be admitted and return the error of f.
func (m *member) mustRun(f func(context.Context) error) {
	m.bed.Helper()
	ran := false
	var want error
	err := m.Do(ctx, func(ctx context.Context) error { ran = true; want = f(ctx); return want })
	if !ran || err != want {
		m.bed.Errorf("%v: the call ran: %v; got %v", m.kind, ran, err)
	}
}

// mustReject makes a call, which must be rejected for the reason.
func (m *member) mustReject(reason redbreaker.Reason) *redbreaker.RejectedError {
	m.bed.Helper()
	err := m.Do(ctx, func(context.Context) error { m.bed.Errorf("%v: the call ran", m.kind); return nil })
	var r *redbreaker.RejectedError
	if !errors.As(err, &r) || r.Reason != reason {
		m.bed.Errorf("%v: got %v, want a rejection: %s", m.kind, err, reason)
		return &redbreaker.RejectedError{}
	}
	return r
}

func (m *member) mustAcquire() *redbreaker.Permit {
	m.bed.Helper()
	p, err := m.Acquire(ctx)
	m.bed.must(err)
	return &p
}

func (m *member) mustControl(c redbreaker.Command) {
	m.bed.Helper()
	_, err := m.Control(ctx, c)
	m.bed.must(err)
}

// mustHalfOpen makes the circuit half-open for all processes.
func (m *member) mustHalfOpen() {
	m.bed.Helper()
	m.mustControl(redbreaker.Command{Action: redbreaker.ActionHalfOpen})
}

// mustInspect returns the record that the server keeps.
func (m *member) mustInspect() redbreaker.Snapshot {
	m.bed.Helper()
	s, err := m.Inspect(ctx)
	m.bed.must(err)
	return s
}

func (m *member) wantStreak(want int64) {
	m.bed.Helper()
	if got := m.mustInspect().Streak; got != want {
		m.bed.Errorf("%d failures are counted, want %d", got, want)
	}
}

func (m *member) wantState(want redbreaker.State) {
	m.bed.Helper()
	if got := m.mustInspect().State; got != want {
		m.bed.Errorf("the record is %v, want %v", got, want)
	}
}

// wantDegraded requires one call of OnDegraded, with an error of the class and
// operation that contains says.
func (m *member) wantDegraded(class redbreaker.Class, op, says string) {
	m.bed.Helper()
	m.bed.waitUntil(time.Second, "OnDegraded", func() bool { return len(m.eventsOf(redbreaker.EventDegraded)) > 0 })
	events := m.eventsOf(redbreaker.EventDegraded)
	if len(events) == 0 {
		return // reported already
	}
	var e *redbreaker.StorageError
	if len(events) != 1 || !errors.As(events[0].Err, &e) || e.Class != class || e.Op != op || e.Name != name || !strings.Contains(e.Error(), says) {
		m.bed.Errorf("%v: OnDegraded was called %d times, first with %v; want once, %s, %v, with %q", m.kind, len(events), events[0].Err, op, class, says)
	}
}

// mustRecover calls until the outage is over, which must be within the limit.
func (m *member) mustRecover(limit time.Duration) {
	m.bed.Helper()
	m.bed.waitUntil(limit, "OnRestored", func() bool { _ = m.Do(ctx, succeed); return len(m.eventsOf(redbreaker.EventRestored)) > 0 })
	if n := len(m.eventsOf(redbreaker.EventDegraded)); n != 1 || len(m.eventsOf(redbreaker.EventRestored)) != 1 || m.Status().Degraded {
		m.bed.Errorf("%v: degraded %d times, restored %d times, degraded now: %v", m.kind, n, len(m.eventsOf(redbreaker.EventRestored)), m.Status().Degraded)
	}
}

// wantNoOutage requires that no hook reported an outage.
func (m *member) wantNoOutage() {
	m.bed.Helper()
	time.Sleep(20 * time.Millisecond)
	if events := m.eventsOf(redbreaker.EventDegraded); len(events) > 0 || m.Status().Degraded {
		m.bed.Errorf("OnDegraded was called with %v", events)
	}
}
