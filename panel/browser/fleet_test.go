package browser

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// fleet is a namespace on a real Redis, as several processes see it.
type fleet struct {
	t     testing.TB
	store *storage.Redis // of the panel
	hosts []*storage.Redis
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	client, namespace := redistest.Client(t), redistest.Namespace(t)
	open := func(options ...storage.Option) *storage.Redis {
		s, err := storage.NewRedis(client, append(options, storage.WithNamespace(namespace), storage.WithTimeout(20*time.Second))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	f := &fleet{t: t, store: open()}
	for i := range 3 {
		f.hosts = append(f.hosts, open(storage.WithReporter(fmt.Sprintf("web-%d", i+1))))
	}
	return f
}

// count reports n outcomes of calls of one host.
func (f *fleet) count(host int, name string, p engine.Policy, n int, o engine.Outcome, text string) {
	f.t.Helper()
	ctx := context.Background()
	h, err := f.hosts[host].Bind(name, p, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for range n {
		ticket, err := h.Acquire(ctx)
		if err != nil {
			f.t.Fatal(err)
		}
		var detail *engine.Detail
		if text != "" {
			detail = &engine.Detail{Text: text}
		}
		if _, err := h.Report(ctx, ticket, o, 0, detail); err != nil {
			f.t.Fatal(err)
		}
	}
}

// command gives a command from elsewhere, as redbreaker trip does.
func (f *fleet) command(name string, c engine.Command) engine.Snapshot {
	f.t.Helper()
	s, err := f.store.Control(context.Background(), name, c)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fleet) inspect(name string) engine.Snapshot {
	f.t.Helper()
	s, err := f.store.Inspect(context.Background(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// The policies of the fleet.
var (
	byStreak = engine.Policy{ConsecutiveFailures: 5, OpenFor: 5 * time.Minute, Backoff: engine.Backoff{Multiplier: 2}}
	byRate   = engine.Policy{
		ConsecutiveFailures: 50, Window: engine.Window{Period: time.Minute, FailureRate: 0.5, SlowCallRate: 0.8, SlowCallDuration: 2 * time.Second},
		OpenFor: 2 * time.Minute, HalfOpen: engine.HalfOpen{Probes: 5, Successes: 3}, MinReporters: 2,
	}
	withRamp = engine.Policy{ConsecutiveFailures: 5, Ramp: engine.Ramp{Over: 10 * time.Minute, From: 0.2}}
)

// hostileName would run a script, move a terminal's cursor and turn the text around.
const hostileName = "<script>alert(1)</script>\x1b[2J\x00\xff\u202e'\"&/.."

// fillFleet makes breakers in every state, and closed ones until there are n.
func (f *fleet) fillFleet(n int) {
	f.t.Helper()
	f.count(1, "payments/eu", byStreak, 40, engine.Success, "")
	f.count(1, "payments/eu", byStreak, 5, engine.Failure, "dial tcp 10.0.3.17:443: connect: connection refused")

	f.count(0, "geocoder", byRate, 30, engine.Success, "")
	f.count(2, "geocoder", byRate, 20, engine.Failure, "unexpected status 502 Bad Gateway")
	f.count(0, "geocoder", byRate, 10, engine.Failure, "unexpected status 502 Bad Gateway")

	f.count(0, "search", byRate, 12, engine.Success, "")
	f.command("search", engine.Command{Action: engine.ActionTrip, Actor: "ann@ops", Reason: "index is being rebuilt", For: time.Minute})
	f.command("search", engine.Command{Action: engine.ActionHalfOpen, Actor: "ann@ops", Reason: "rebuild is done"})
	f.count(0, "search", byRate, 2, engine.Success, "")
	f.holdProbe("search", byRate)

	f.count(0, "mailer", byStreak, 3, engine.Success, "")
	f.command("mailer", engine.Command{Action: engine.ActionForceOpen, Actor: "ben@ops", Reason: "provider maintenance, ticket OPS-4412", For: 90 * time.Minute})
	f.count(0, "ledger", byStreak, 3, engine.Success, "")
	f.command("ledger", engine.Command{Action: engine.ActionForceClosed, Actor: "ann@ops", Reason: "false alarm while certificates rotate", For: time.Hour})
	f.count(0, "recommendations", byRate, 3, engine.Success, "")
	f.command("recommendations", engine.Command{Action: engine.ActionShadow, Actor: "deploy", Reason: "new policy on trial"})

	f.count(1, "inventory", withRamp, 5, engine.Failure, "context deadline exceeded")
	f.command("inventory", engine.Command{Action: engine.ActionHalfOpen, Actor: "ann@ops"})
	f.count(0, "inventory", withRamp, 1, engine.Success, "")

	f.count(0, "currency", byStreak, 2, engine.Failure, "EOF")
	f.count(0, "shipping-rates", byRate, 11, engine.Success, "")
	f.count(1, "shipping-rates", byRate, 4, engine.Failure, "unexpected status 503")
	services := []string{"accounts", "avatars", "billing", "carts", "catalog", "coupons", "fraud", "invoices", "loyalty", "notifications", "orders", "pricing", "profiles", "reviews", "sessions", "stock", "tax", "tracking", "uploads", "webhooks"}
	for i := 9; i < n; i++ {
		name := services[i%len(services)]
		if i >= 9+len(services) {
			name = fmt.Sprintf("%s/%d", name, i/len(services))
		}
		f.count(i%3, name, byStreak, 1, engine.Success, "")
	}
	f.waitListed(n)
}

// fillMany makes n closed breakers, b00000 and so on.
func (f *fleet) fillMany(n int) {
	f.t.Helper()
	names := make(chan string)
	var all sync.WaitGroup
	for range 32 {
		all.Add(1)
		go func() {
			defer all.Done()
			for name := range names {
				f.count(0, name, byStreak, 1, engine.Success, "")
			}
		}()
	}
	for i := range n {
		names <- fmt.Sprintf("b%05d", i)
	}
	close(names)
	all.Wait()
	f.waitListed(n)
}

// holdProbe acquires a probe and does not settle it.
func (f *fleet) holdProbe(name string, p engine.Policy) {
	f.t.Helper()
	h, err := f.hosts[2].Bind(name, p, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := h.Acquire(context.Background()); err != nil {
		f.t.Fatal(err)
	}
}

// waitListed waits until the index has n breakers. Storages enter theirs once a minute.
func (f *fleet) waitListed(n int) {
	f.t.Helper()
	waitUntil(f.t, fmt.Sprintf("%d breakers in the index", n), func() bool {
		listed := 0
		for _, err := range f.store.Names(context.Background()) {
			if err == nil {
				listed++
			}
		}
		return listed >= n
	})
}

// waitUntil waits for a condition, for a time that a busy machine does not exceed.
func waitUntil(t testing.TB, what string, isTrue func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !isTrue(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is no sign of this: %s", what)
		}
	}
}
