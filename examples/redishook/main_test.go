package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
)

func protect(t *testing.T, failures int) (*miniredis.Miniredis, *redis.Client, *Hook) {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = rdb.Close() })
	h, err := NewHook("cache", redbreaker.Policy{ConsecutiveFailures: failures, OpenFor: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	rdb.AddHook(h)
	return m, rdb, h
}

// A rejection is the error of the command, of each command of a pipeline, and of the
// call.
func TestHook_rejects(t *testing.T) {
	m, rdb, h := protect(t, 1)
	ctx := t.Context()
	if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	m.SetError("LOADING Redis is loading the dataset in memory")
	if err := rdb.Get(ctx, "k").Err(); err == nil || h.breaker.State() != redbreaker.StateOpen {
		t.Fatalf("%v, the circuit is %v", err, h.breaker.State())
	}
	m.SetError("")
	if err := rdb.Get(ctx, "k").Err(); !errors.Is(err, redbreaker.ErrRejected) {
		t.Errorf("a command: %v", err)
	}
	for what, pipelined := range map[string]func(context.Context, func(redis.Pipeliner) error) ([]redis.Cmder, error){
		"pipeline": rdb.Pipelined, "transaction": rdb.TxPipelined,
	} {
		cmds, err := pipelined(ctx, func(p redis.Pipeliner) error {
			p.Get(ctx, "k")
			p.Get(ctx, "other")
			return nil
		})
		if !errors.Is(err, redbreaker.ErrRejected) || len(cmds) < 2 {
			t.Errorf("%s: %v", what, err)
		}
		for _, cmd := range cmds {
			if !errors.Is(cmd.Err(), redbreaker.ErrRejected) {
				t.Errorf("%s: %v has the error %v", what, cmd, cmd.Err())
			}
		}
	}
}

// Answers of the server are successes, refusals because of its state are not.
func TestJudge(t *testing.T) {
	m, rdb, h := protect(t, 1)
	ctx := t.Context()
	m.Lpush("list", "x")
	_ = rdb.Get(ctx, "absent").Err()
	_ = rdb.Get(ctx, "list").Err()
	_ = rdb.Do(ctx, "nonsense").Err()
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error { return p.Get(ctx, "absent").Err() })
	if h.breaker.State() != redbreaker.StateClosed {
		t.Fatalf("answers opened the circuit: %v", h.breaker.State())
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_ = rdb.Get(cancelled, "absent").Err()
	if h.breaker.State() != redbreaker.StateClosed {
		t.Fatal("a caller's cancellation opened the circuit")
	}
	for _, text := range []string{
		"READONLY You can't write against a read only replica.", "OOM command not allowed when used memory > 'maxmemory'.",
		"CLUSTERDOWN Hash slot not served", "MASTERDOWN Link with MASTER is down", "ERR max number of clients reached",
	} {
		m, rdb, h := protect(t, 1)
		m.SetError(text)
		_ = rdb.Set(ctx, "k", "v", 0).Err()
		if h.breaker.State() != redbreaker.StateOpen {
			t.Errorf("%s: the circuit is %v, want open", text, h.breaker.State())
		}
	}
}
