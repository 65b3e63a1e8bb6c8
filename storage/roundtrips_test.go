package storage_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// What a protected call costs in round trips, and in what commands: the contract
// of design and README. Each operation is one EVALSHA.
func TestRoundTrips(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		sent := &commands{}
		rdb.AddHook(sent)
		b, err := redbreaker.New(name, redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Millisecond},
			redbreaker.WithStorage(newUnlisted(t, rdb)))
		must(t, err)
		t.Cleanup(b.Stop)
		succeed := func(context.Context) error { return nil }
		fail := func(context.Context) error { return errors.New("503") }
		must(t, b.Do(ctx, succeed)) // the script is loaded

		cost := func(what string, want int, call func()) {
			t.Helper()
			sent.list = nil
			call()
			if diff := cmp.Diff(repeat("evalsha", want), sent.list); diff != "" {
				t.Errorf("%s sent (-want +got):\n%s", what, diff)
			}
		}
		cost("a success while closed", 2, func() { must(t, b.Do(ctx, succeed)) })
		cost("an ignored call", 1, func() {
			over, cancel := context.WithCancel(ctx)
			_ = b.Do(over, func(ctx context.Context) error { cancel(); return ctx.Err() })
		})
		cost("the failure that opens", 2, func() { _ = b.Do(ctx, fail) })
		time.Sleep(5 * time.Millisecond)
		cost("the probe that closes", 2, func() { must(t, b.Do(ctx, succeed)) })

		_, err = b.Control(ctx, redbreaker.Command{Action: redbreaker.ActionTrip, For: time.Hour})
		must(t, err)
		cost("a rejection", 1, func() {
			if err := b.Do(ctx, succeed); !errors.Is(err, redbreaker.ErrRejected) {
				t.Errorf("got %v, want a rejection", err)
			}
		})
		_, err = b.Control(ctx, redbreaker.Command{Action: redbreaker.ActionForceClosed})
		must(t, err)
		cost("a call that is not counted", 1, func() { must(t, b.Do(ctx, succeed)) })
		cost("what was last heard", 0, func() { b.Status() })
	})
}

// P10: every command names one key, so it is in one slot, and no argument is a time
// of this process, so the clocks of hosts do not matter.
func TestArguments_haveOneKeyAndNoTime(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		sent := &commands{}
		rdb.AddHook(sent)
		s := newUnlisted(t, rdb)
		h, _ := bind(t, s, opensAtOnce)
		if _, err := h.Step(ctx, engine.Batch{
			Results:  []engine.Result{{Ticket: acquire(t, h), Runs: []engine.Run{{Outcome: engine.Failure, N: 1}}}},
			Reporter: "web-1", Detail: engine.Detail{OpenFor: time.Second, Text: "503"},
		}); err != nil {
			t.Fatal(err)
		}
		command(t, h, engine.Command{Action: engine.ActionTrip, For: time.Minute, Reason: "drill", Actor: "ops"})
		inspect(t, s)
		for _, args := range sent.args {
			if args[0] != "evalsha" {
				continue
			}
			if args[2] != 1 || args[3] != key {
				t.Errorf("%v names more than one key, or another", args)
			}
			for _, arg := range args[4:] {
				for _, n := range numbers(arg) {
					now := time.Now()
					for _, unit := range []int64{now.Unix(), now.UnixMilli(), now.UnixMicro(), now.UnixNano()} {
						// An epoch, 1024 times the server's ms, is 2.4 % from the time in us.
						if n > unit-unit/100 && n < unit+unit/100 {
							t.Errorf("the argument %v looks like a time of day", arg)
						}
					}
				}
			}
		}
	})
}

// ---- helpers ----

// commands is a client's hook that keeps the commands sent, but not those about
// connections. Not for concurrent use.
type commands struct {
	list []string
	args [][]any
}

func (c *commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.list = append(c.list, cmd.Name())
		c.args = append(c.args, cmd.Args())
		return next(ctx, cmd)
	}
}

func (c *commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// numbers returns every number in an argument.
func numbers(arg any) []int64 {
	var list []int64
	for _, digits := range regexp.MustCompile(`\d+`).FindAllString(fmt.Sprint(arg), -1) {
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			list = append(list, n)
		}
	}
	return list
}

func repeat(command string, n int) []string {
	var list []string
	for range n {
		list = append(list, command)
	}
	return list
}
