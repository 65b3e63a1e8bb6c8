package redbreaker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// slowHooks are hooks that wait until release is closed, and then count openings.
func slowHooks() (hook redbreaker.Option, release chan bool, opened *atomic.Int64) {
	release, opened = make(chan bool), new(atomic.Int64)
	return redbreaker.WithHooks(redbreaker.Hooks{OnTransition: func(tr redbreaker.Transition) {
		<-release
		if tr.To == redbreaker.StateOpen {
			opened.Add(1)
		}
	}}), release, opened
}

// The last transition of a program reaches its hooks.
func TestShutdown_waitsForHooks(t *testing.T) {
	hook, release, opened := slowHooks()
	b := newBreaker(t, opensAtOnce, hook)
	_ = b.Do(ctx, fail)

	impatient, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.Shutdown(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown with an ended context: %v", err)
	}
	wantErr(t, b.Do(ctx, succeed), redbreaker.ErrStopped)
	close(release)
	if err := b.Shutdown(ctx); err != nil { // once more, and patient
		t.Error(err)
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("after Shutdown the hook got %d openings, want 1", n)
	}
	if err := b.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown of a breaker at rest: %v", err)
	}
}

func TestShutdown_afterStop(t *testing.T) {
	hook, release, opened := slowHooks()
	b := newBreaker(t, opensAtOnce, hook)
	_ = b.Do(ctx, fail)
	b.Stop()
	close(release)
	if err := b.Shutdown(ctx); err != nil || opened.Load() != 1 {
		t.Errorf("Shutdown after Stop: %v, the hook got %d openings, want 1", err, opened.Load())
	}
}

// A handle that closes may still send what it holds; hooks get these events, too.
func TestShutdown_eventsOfTheClosingHandle(t *testing.T) {
	for name, stop := range map[string]func(*redbreaker.Breaker){
		"Shutdown": func(b *redbreaker.Breaker) { _ = b.Shutdown(ctx) },
		"Stop":     func(b *redbreaker.Breaker) { b.Stop(); _ = b.Shutdown(ctx) },
	} {
		got := 0
		b := newBreaker(t, opensAtOnce, redbreaker.WithStorage(talkative{newFake()}),
			redbreaker.WithHooks(redbreaker.Hooks{OnAnomaly: func(redbreaker.Event) { got++ }}))
		stop(b)
		if want := map[string]int{"Shutdown": 1}[name]; got != want {
			t.Errorf("%s: %d events of the closing handle reached the hooks, want %d", name, got, want)
		}
	}
}

// talkative is a storage whose handles raise an event when they close.
type talkative struct{ *fake }

func (s talkative) Bind(name string, p redbreaker.Policy, sink func(redbreaker.Event)) (engine.Handle, error) {
	h, err := s.fake.Bind(name, p, sink)
	return talkativeHandle{h, s.fake, name}, err
}

type talkativeHandle struct {
	engine.Handle
	f    *fake
	name string
}

func (h talkativeHandle) Close() error {
	h.f.raise(h.name, redbreaker.Event{Kind: redbreaker.EventLost})
	return h.Handle.Close()
}

func TestRegistry_shutdown(t *testing.T) {
	hook, release, opened := slowHooks()
	store := newFake()
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce, Max: 2}, hook, redbreaker.WithStorage(store))
	var breakers []*redbreaker.Breaker // one of them evicted
	for _, name := range []string{"a", "b", "c"} {
		b := get(t, r, name)
		_ = b.Do(ctx, fail)
		breakers = append(breakers, b)
	}
	impatient, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.Shutdown(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown with an ended context: %v", err)
	}
	for _, b := range breakers {
		wantErr(t, b.Do(ctx, succeed), redbreaker.ErrStopped)
	}
	_, err := r.Get("a")
	wantErr(t, err, redbreaker.ErrStopped)
	if n := len(store.closedHandles()); n != 3 {
		t.Errorf("%d handles closed, want 3", n)
	}
	close(release)
	for _, b := range breakers {
		if err := b.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	if n := opened.Load(); n != 3 {
		t.Errorf("the hooks got %d openings, want 3", n)
	}
}

func TestRegistry_shutdownWaitsForHooks(t *testing.T) {
	hook, release, opened := slowHooks()
	r := newRegistry(t, redbreaker.RegistryConfig{Policy: opensAtOnce}, hook)
	_ = get(t, r, "a").Do(ctx, fail)
	go func() { close(release) }()
	if err := r.Shutdown(ctx); err != nil || opened.Load() != 1 {
		t.Errorf("Shutdown: %v, the hook got %d openings, want 1", err, opened.Load())
	}
	if err := r.Shutdown(ctx); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
}
