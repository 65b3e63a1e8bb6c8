package cas_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// twinPolicies are the policies from which a stream draws two.
var twinPolicies = []engine.Policy{
	{ConsecutiveFailures: 2, OpenFor: 5 * time.Second},
	{ConsecutiveFailures: 1, OpenFor: time.Second, Backoff: engine.Backoff{Multiplier: 1.7, Max: 9 * time.Second, Jitter: 0.3}},
	{Window: engine.Window{Calls: 130, FailureCount: 4, SlowCallRate: 0.5, SlowCallDuration: time.Second}, OpenFor: 2 * time.Second},
	{Window: engine.Window{Period: 10 * time.Second, FailureRate: 0.5, MinCalls: 4}, HalfOpen: engine.HalfOpen{Probes: 3, Successes: 2, Lease: 4 * time.Second}},
	{ConsecutiveFailures: 3, MinReporters: 2, Window: engine.Window{Period: 20 * time.Second, FailureCount: 5}},
	{Initial: engine.Initial{State: engine.StateOpen}, OpenFor: 4 * time.Second, HalfOpen: engine.HalfOpen{Probes: 5, Successes: 3}, IdleTTL: time.Minute},
}

// casTwin is the pure machine and a CAS storage, whose store loses races, on one
// stream of operations.
type casTwin struct {
	store   *memStore
	pure    engine.Record
	rules   []*engine.Rules
	handles []engine.Handle
	rnd     int64
	tickets []engine.Ticket
}

func newCASTwin(t *rapid.T) *casTwin {
	w := &casTwin{store: newMemStore()}
	c, err := cas.New(loser{w.store}, cas.WithTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	c.SetRandom(func() int64 { return w.rnd })
	for range 2 {
		p := rapid.SampledFrom(twinPolicies).Draw(t, "policy")
		rules, err := p.Rules()
		if err != nil {
			t.Fatal(err)
		}
		h, err := c.Bind(name, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.rules, w.handles = append(w.rules, &rules), append(w.handles, h)
	}
	return w
}

func (w *casTwin) now() int64 { return w.store.now.UnixMilli() }

// expire takes the pure record as absent when its time to live is over.
func (w *casTwin) expire() {
	if e := w.pure.Expires(); e != 0 && w.now() >= e {
		w.pure = engine.Record{}
	}
}

func (w *casTwin) step(t *rapid.T, b engine.Batch) {
	i := rapid.IntRange(0, 1).Draw(t, "who")
	w.rnd = rapid.Int64Range(0, 1<<20-1).Draw(t, "rnd")
	w.expire()
	want := w.pure.Step(w.rules[i], w.now(), w.rnd, b)
	got, err := w.handles[i].Step(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("reply (-pure +cas):\n%s", diff)
	}
	for n := range want.Granted {
		ticket := engine.Ticket{Epoch: want.Epoch}
		if want.FirstLease > 0 {
			ticket.Lease = want.FirstLease + n
		}
		w.tickets = append(w.tickets, ticket)
	}
	w.compare(t)
}

func (w *casTwin) control(t *rapid.T, c engine.Command) {
	i := rapid.IntRange(0, 1).Draw(t, "who")
	w.rnd = rapid.Int64Range(0, 1<<20-1).Draw(t, "rnd")
	expired := w.pure
	w.expire()
	_, want := w.pure.Control(w.rules[i], w.now(), w.rnd, c)
	s, err := w.handles[i].Control(ctx, c)
	if err != want {
		t.Fatalf("control: %v, pure: %v", err, want)
	}
	if diff := cmp.Diff(w.pure.Snapshot(name, w.now()), s); diff != "" {
		t.Fatalf("snapshot (-pure +cas):\n%s", diff)
	}
	if !s.Exists { // nothing was written over what has expired
		w.pure = expired
	}
	w.compare(t)
}

// compare holds the records against each other.
func (w *casTwin) compare(t *rapid.T) {
	t.Helper()
	got, err := cas.Decode([]byte(w.store.blob(name)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.pure.Fields(), got.Fields()); diff != "" {
		t.Fatalf("record (-pure +cas):\n%s", diff)
	}
}

func (w *casTwin) drawBatch(t *rapid.T) engine.Batch {
	b := engine.Batch{
		Reporter:   rapid.SampledFrom([]string{"web-1", "web-2"}).Draw(t, "reporter"),
		Admissions: rapid.Int64Range(0, 3).Draw(t, "admissions"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "results") {
		ticket := engine.Ticket{Epoch: 7}
		if len(w.tickets) > 0 && rapid.IntRange(0, 9).Draw(t, "foreign") > 0 {
			ticket = w.tickets[max(0, len(w.tickets)-1-rapid.IntRange(0, 4).Draw(t, "back"))]
		}
		b.Results = append(b.Results, engine.Result{Ticket: ticket, Runs: []engine.Run{{
			Outcome: rapid.SampledFrom([]engine.Outcome{engine.Success, engine.Failure, engine.Failure, engine.Ignored,
				engine.SlowSuccess, engine.SlowFailure}).Draw(t, "outcome"),
			N: rapid.SampledFrom([]int64{1, 1, 2, 150}).Draw(t, "n"),
		}}})
	}
	if rapid.IntRange(0, 3).Draw(t, "detail") == 0 {
		b.Detail = engine.Detail{OpenFor: 8 * time.Second, Text: strings.Repeat("a long\ntext \\", 6)}
	}
	return b
}

// The pure machine and CAS agree, on replies and on whole records, whatever
// happens and however many races are lost.
func TestCAS_twin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newCASTwin(t)
		t.Repeat(map[string]func(*rapid.T){
			"step": func(t *rapid.T) { w.step(t, w.drawBatch(t)) },
			"wait": func(t *rapid.T) {
				w.store.advance(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 5 * time.Second, time.Minute, time.Hour, 50 * time.Hour}).Draw(t, "by"))
			},
			"back": func(t *rapid.T) {
				w.store.advance(-rapid.SampledFrom([]time.Duration{time.Millisecond, 3 * time.Second, time.Hour}).Draw(t, "by"))
			},
			"flush": func(*rapid.T) { w.store.set(name, ""); w.pure = engine.Record{} },
			"control": func(t *rapid.T) {
				c := engine.Command{
					Action:  engine.Action(rapid.IntRange(1, 7).Draw(t, "action")),
					IfEpoch: rapid.SampledFrom([]int64{0, 0, 0, -1, 7}).Draw(t, "epoch"),
				}
				if c.Action != engine.ActionHalfOpen && c.Action != engine.ActionReset && c.Action != engine.ActionRelease {
					c.For = rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "for")
				}
				w.control(t, c)
			},
		})
	})
}

// Operations that share a swap come out as if each had had its own, in the order
// in which they came.
func TestCAS_gatheredEqualsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newCASTwin(t)
		w.step(t, engine.Batch{Admissions: 2})
		reached, open := make(chan struct{}), make(chan struct{})
		held := &wrapped{memStore: w.store}
		held.load = func(ctx context.Context, name string) ([]byte, int64, error) {
			held.load = nil
			close(reached)
			<-open
			return w.store.Load(ctx, name)
		}
		c, err := cas.New(held, cas.WithTimeout(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		c.SetRandom(func() int64 { return w.rnd })
		h, err := c.Bind(name, w.rules[0].Policy(), nil)
		if err != nil {
			t.Fatal(err)
		}

		batches := []engine.Batch{{}} // which the store holds up
		for range rapid.IntRange(1, 8).Draw(t, "operations") {
			batches = append(batches, w.drawBatch(t))
		}
		replies, errs := make([]engine.Reply, len(batches)), make([]error, len(batches))
		var waits []func()
		for i, b := range batches {
			waits = append(waits, together(1, func(int) { replies[i], errs[i] = h.Step(ctx, b) }))
			if i == 0 {
				<-reached
			}
			for deadline := time.Now().Add(20 * time.Second); cas.Waiting(h) < i; time.Sleep(10 * time.Microsecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d operations wait, want %d", cas.Waiting(h), i)
				}
			}
		}
		before := w.store.done()
		close(open)
		for i, b := range batches {
			waits[i]()
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			want := w.pure.Step(w.rules[0], w.now(), w.rnd, b)
			if diff := cmp.Diff(want, replies[i]); diff != "" {
				t.Fatalf("reply %d, to %+v (-one by one +gathered):\n%s", i, b, diff)
			}
		}
		w.compare(t)
		if n := w.store.done() - before; n > 2 {
			t.Fatalf("%d swaps, want 2 at most", n)
		}
	})
}
