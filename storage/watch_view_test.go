package storage_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// oldView is a breaker that decides by what it knows for longer than a test lasts: its
// first renewal comes after 26 s, and the first poll after 25 s.
type oldView struct {
	*redbreaker.Breaker
	steps stepCounter
}

// stepCounter counts the scripts that a client sends.
type stepCounter struct{ n atomic.Int64 }

func (c *stepCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *stepCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

func (c *stepCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.count(cmd)
		}
		return next(ctx, cmds)
	}
}

func (c *stepCounter) count(cmd redis.Cmder) {
	if args := cmd.Args(); cmd.Name() == "evalsha" && len(args) > 3 && args[3] == key {
		c.n.Add(1)
	}
}

func newOldView(t *testing.T, server *redistest.Server) *oldView {
	t.Helper()
	v := &oldView{}
	rdb := server.Client()
	rdb.AddHook(&v.steps)
	s := newStorage(t, rdb, storage.WithWatch())
	var err error
	v.Breaker, err = redbreaker.New(name, opensAtOnce, redbreaker.WithStorage(s), redbreaker.WithMaxStaleness(time.Minute))
	must(t, err)
	t.Cleanup(v.Stop)
	eventually(t, "a subscription", func() bool { return subscribedNode(t, []*redistest.Server{server}, nil) == 0 })
	eventually(t, "a view", func() bool { return v.decidesAlone(t) })
	return v
}

// decidesAlone reports whether the view admits calls without a step.
func (v *oldView) decidesAlone(t testing.TB) bool {
	t.Helper()
	before := v.steps.n.Load()
	for range 10 {
		must(t, v.Do(ctx, func(context.Context) error { return nil }))
	}
	return v.steps.n.Load() == before
}

// The view of a process that watches ends with the trip of another process, though it
// may be a minute old; so does one that rejects, with the reset.
func TestWatch_endsViews(t *testing.T) {
	server := redistest.Start(t)
	other, _ := bind(t, newStorage(t, server.Client()), opensAtOnce)
	acquire(t, other)
	v := newOldView(t, server)
	calls := 0
	await := func(what string, admitted bool) {
		t.Helper()
		eventually(t, what, func() bool {
			calls++
			err := v.Do(ctx, func(context.Context) error { return nil })
			var rejected *redbreaker.RejectedError
			if err != nil && !errors.As(err, &rejected) {
				t.Fatal(err)
			}
			return (err == nil) == admitted
		})
	}
	for i := range 5 {
		must(t, act(other, 2*i))
		await(fmt.Sprint("rejection ", i), false)
		must(t, act(other, 2*i+1))
		await(fmt.Sprint("admission ", i), true)
	}
	if n := v.steps.n.Load(); n > 100 {
		t.Errorf("%d steps: the process asks the storage about each call", n)
	}
	eventually(t, "a view again", func() bool { return v.decidesAlone(t) })
}

// An event with an epoch that is not known ends the view, even if it is older than the
// known one: after a failover, a slow clock gives out such epochs.
func TestWatch_olderEpochEndsViews(t *testing.T) {
	server := redistest.Start(t)
	other, _ := bind(t, newStorage(t, server.Client()), opensAtOnce)
	acquire(t, other)
	must(t, act(other, 1))
	v := newOldView(t, server)
	for _, epoch := range []int64{5, 1 << 51} {
		before := v.steps.n.Load()
		must(t, server.Admin().Publish(ctx, fleet+":events", fmt.Sprintf("%s 4 9 %d 1000 closed>open operator", key, epoch)).Err())
		eventually(t, "a call that asks the storage", func() bool {
			must(t, v.Do(ctx, func(context.Context) error { return nil }))
			return v.steps.n.Load() > before
		})
		eventually(t, "a view again", func() bool { return v.decidesAlone(t) })
	}
	if s := v.Status().State; s != engine.StateClosed {
		eventually(t, "the state of the record", func() bool { return v.Status().State == engine.StateClosed })
	}
}
