package storage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// userCode is code of a user that a client runs: hooks, a dialer, a credentials
// provider. pause is called wherever it runs.
type userCode struct {
	mu    sync.Mutex
	pause func()
}

func (u *userCode) set(pause func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pause = pause
}

func (u *userCode) run() {
	u.mu.Lock()
	pause := u.pause
	u.mu.Unlock()
	if pause != nil {
		pause()
	}
}

// A client may hang in any of these places.
var hangingPlaces = map[string]func(*redis.Options, *userCode){
	"credentials provider": func(o *redis.Options, u *userCode) {
		o.CredentialsProvider = func() (string, string) { u.run(); return "", "" }
	},
	"credentials provider with context": func(o *redis.Options, u *userCode) {
		o.CredentialsProviderContext = func(context.Context) (string, string, error) { u.run(); return "", "", nil }
	},
	"OnConnect": func(o *redis.Options, u *userCode) {
		o.OnConnect = func(context.Context, *redis.Conn) error { u.run(); return nil }
	},
	"limiter": func(o *redis.Options, u *userCode) { o.Limiter = limiter{u} },
	"hook":    func(*redis.Options, *userCode) {},
}

type limiter struct{ u *userCode }

func (l limiter) Allow() error     { l.u.run(); return nil }
func (limiter) ReportResult(error) {}

// hooks runs the user's code in every hook.
type hooks struct{ u *userCode }

func (h hooks) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		h.u.run()
		return next(ctx, network, addr)
	}
}

func (h hooks) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.u.run()
		err := next(ctx, cmd)
		h.u.run()
		return err
	}
}

func (h hooks) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.u.run()
		return next(ctx, cmds)
	}
}

// callEverywhere has n callers on one breaker and n on breakers of their own at
// the same time, none of which may take longer than that.
func callEverywhere(t *testing.T, s *storage.Redis, n int, longest time.Duration) {
	t.Helper()
	shared, _ := bind(t, s, neverOpens)
	var all sync.WaitGroup
	for i := range 2 * n {
		h := shared
		if i%2 == 1 {
			var err error
			h, err = s.Bind(fmt.Sprint(name, i), neverOpens, nil)
			must(t, err)
		}
		all.Add(1)
		go func() {
			defer all.Done()
			start := time.Now()
			ticket, err := h.Acquire(ctx)
			if took := time.Since(start); took > longest {
				t.Errorf("Acquire took %v", took)
			}
			if err != nil {
				return
			}
			start = time.Now()
			_, _ = h.Report(ctx, ticket, engine.Success, 0, nil)
			if took := time.Since(start); took > longest {
				t.Errorf("Report took %v", took)
			}
		}()
	}
	all.Wait()
}

// P5 as a property: whatever the user's code does, no call takes longer than the
// timeout, but for the time that a busy machine takes to schedule it.
func TestHangingClient_property(t *testing.T) {
	const (
		timeout    = 40 * time.Millisecond
		scheduling = 20 * time.Second
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random, dice := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
	var u userCode
	m, _ := redistest.Mini(t)
	o := redis.Options{
		Addr: m.Addr(), ContextTimeoutEnabled: random.IntN(2) == 0,
		MaxRetries: random.IntN(3), PoolSize: 2 + random.IntN(20), PoolTimeout: time.Second, ReadTimeout: time.Second,
	}
	for _, place := range []string{"credentials provider", "OnConnect", "limiter"} {
		hangingPlaces[place](&o, &u)
	}
	rdb := open(t, &o)
	rdb.AddHook(hooks{&u})
	s := newStorage(t, rdb, storage.WithTimeout(timeout))
	goOn := make(chan struct{})
	var mu sync.Mutex
	u.set(func() {
		mu.Lock()
		n := dice.IntN(1000)
		mu.Unlock()
		switch {
		case n < 900:
		case n < 980:
			time.Sleep(time.Duration(n-900) * time.Millisecond)
		case n < 995:
			time.Sleep(time.Duration(n-900) * 5 * time.Millisecond)
		default:
			<-goOn
		}
	})
	for range 30 {
		callEverywhere(t, s, 10, timeout+scheduling)
		time.Sleep(timeout / 2)
	}
	u.set(nil)
	close(goOn)
	h, _ := bind(t, s, neverOpens)
	eventually(t, "the server is reached again", func() bool {
		_, err := h.Acquire(ctx)
		return err == nil
	})
}
