package storage_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/scripts"
)

// F63: a balancer has forgotten the idle connections, all of them, and resets each at
// its first use. An admission while closed is sent again until it has a new one, and
// the server gets it once.
func TestIdleConnections_admission(t *testing.T) {
	forEachForgotten(t, func(t *testing.T, w *forgotten) {
		for range 3 {
			w.fillPool(t, 5)
			w.proxy.Forget()
			calls := countCalls(w.mini)
			ticket := acquire(t, w.handle)
			report(t, w.handle, ticket, engine.Failure)
			if got := calls(); got["EVALSHA"] != 2 || len(got) != 1 {
				t.Errorf("the server got %v, want two EVALSHAs", got)
			}
		}
		if n := streak(t, w.store); n != 3 {
			t.Errorf("%d failures are counted, want 3", n)
		}
	})
}

// A result is never sent again once it was written: the server may have counted it.
// An admission that may be granted a lease is not either.
func TestIdleConnections_otherSteps(t *testing.T) {
	forEachForgotten(t, func(t *testing.T, w *forgotten) {
		ticket := acquire(t, w.handle)
		w.fillPool(t, 5)
		w.proxy.Forget()
		calls := countCalls(w.mini)
		_, err := w.handle.Report(ctx, ticket, engine.Failure, 0, nil)
		wantClass(t, err, engine.ClassUnknown, "report")
		if got := calls(); len(got) != 0 {
			t.Errorf("the server got %v, want nothing", got)
		}

		tripped, _ := bind(t, w.store, opensAtOnce)
		w.fillPool(t, 5) // with the connections that are left, and new ones
		fails(t, tripped, 1)
		w.proxy.Forget()
		_, err = tripped.Acquire(ctx)
		wantClass(t, err, engine.ClassUnknown, "acquire")
	})
}

// A server that resets each connection at each command is not asked without end.
func TestIdleConnections_allReset(t *testing.T) {
	m := miniredis.RunT(t)
	p := faultproxy.Start(t, m.Addr())
	rdb := open(t, &redis.Options{Addr: p.Addr(), MaxRetries: -1})
	s := newUnlisted(t, rdb)
	h, _ := bind(t, s, neverOpens)
	acquire(t, h)
	w := &forgotten{client: rdb, proxy: p}
	w.fillPool(t, 5)
	sent := 0
	rdb.AddHook(processHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
		if cmd.Name() == "evalsha" {
			sent++
			p.Set(faultproxy.CutReply(0))
		}
		return next(ctx, cmd)
	}))
	_, err := h.Acquire(ctx)
	wantClass(t, err, engine.ClassUnknown, "acquire")
	if sent < 2 || sent > 8 {
		t.Errorf("the admission was sent %d times, want at most twice more than there are connections", sent)
	}
}

// A hook that sends a command again does not have a result counted twice.
func TestOnce_hookSendsAgain(t *testing.T) {
	for what, newClient := range clients {
		t.Run(what, func(t *testing.T) {
			m := miniredis.RunT(t)
			p := faultproxy.Start(t, m.Addr())
			rdb := newClient(m, through(p))
			t.Cleanup(func() { _ = rdb.Close() })
			must(t, rdb.ScriptLoad(ctx, scripts.Step.Source).Err())
			h, _ := bind(t, newUnlisted(t, rdb), neverOpens)
			report(t, h, acquire(t, h), engine.Failure)
			rdb.AddHook(processHook(func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
				err := next(ctx, cmd)
				for range 3 {
					if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
						err = next(ctx, cmd)
					}
				}
				return err
			}))
			ticket, calls := acquire(t, h), countCalls(m)
			p.Set(faultproxy.CutReply(0))
			_, err := h.Report(ctx, ticket, engine.Failure, 0, nil)
			wantClass(t, err, engine.ClassUnknown, "report")
			wantSays(t, err, "a hook of the client sent a step again", "NoRetry")
			if got := calls(); got["EVALSHA"] != 1 || len(got) != 1 {
				t.Errorf("the server got %v, want one EVALSHA", got)
			}
		})
	}
}

// ---- helpers ----

// forgotten is a server behind a balancer.
type forgotten struct {
	mini   *miniredis.Miniredis
	proxy  *faultproxy.Proxy
	client redis.UniversalClient
	store  engine.Storage
	handle engine.Handle
}

func forEachForgotten(t *testing.T, test func(t *testing.T, w *forgotten)) {
	for what, newClient := range clients {
		t.Run(what, func(t *testing.T) {
			w := &forgotten{mini: miniredis.RunT(t)}
			w.proxy = faultproxy.Start(t, w.mini.Addr())
			w.client = newClient(w.mini, through(w.proxy))
			t.Cleanup(func() { _ = w.client.Close() })
			must(t, w.client.ScriptLoad(ctx, scripts.Step.Source).Err())
			w.store = newUnlisted(t, w.client)
			w.handle, _ = bind(t, w.store, neverOpens)
			acquire(t, w.handle)
			test(t, w)
		})
	}
}

// fillPool leaves at least n connections in the client's pool, all idle.
func (w *forgotten) fillPool(t *testing.T, n int) {
	t.Helper()
	w.proxy.Set(faultproxy.DropReplies())
	var all sync.WaitGroup
	for range n {
		all.Add(1)
		go func() {
			defer all.Done()
			_ = w.client.Ping(ctx).Err()
		}()
	}
	eventually(t, "each command has a connection", func() bool { return int(w.client.PoolStats().TotalConns) >= n })
	w.proxy.Set(faultproxy.Pass())
	all.Wait()
}

// processHook is a client's hook around single commands.
type processHook func(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error

func (processHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h processHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return h(ctx, cmd, next) }
}

func (processHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
