package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

// eachServer runs test on a miniredis and on a real server, both the test's own.
func eachServer(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Run("miniredis", func(t *testing.T) {
		m, rdb := redistest.Mini(t)
		m.ClockTTL(true)
		test(t, rdb)
	})
	t.Run("server", func(t *testing.T) { test(t, redistest.Start(t).Client()) })
}

// F19: data of others at the key is not changed, and each operation's error names
// its type.
func TestRecord_ofAnotherType(t *testing.T) {
	fill := map[string]func(rdb *redis.Client) error{
		"string": func(rdb *redis.Client) error { return rdb.Set(ctx, key, "theirs", time.Hour).Err() },
		"list":   func(rdb *redis.Client) error { return rdb.RPush(ctx, key, "theirs").Err() },
		"zset":   func(rdb *redis.Client) error { return rdb.ZAdd(ctx, key, redis.Z{Member: "theirs"}).Err() },
		"stream": func(rdb *redis.Client) error {
			return rdb.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []string{"a", "b"}}).Err()
		},
	}
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		for kind, fill := range fill {
			must(t, rdb.Del(ctx, key).Err())
			must(t, fill(rdb))
			before := dump(t, rdb)
			for op, err := range everyError(t, rdb) {
				e := wantClass(t, err, engine.ClassForeign, op)
				wantSays(t, e, "a "+kind, "choose another namespace")
				if !errors.Is(e, engine.ErrForeignKey) {
					t.Errorf("%s over a %s: %v", op, kind, e)
				}
			}
			if after := dump(t, rdb); after != before {
				t.Errorf("the %s was %s, it is %s", kind, before, after)
			}
		}
	})
}

// F50: a record of a newer release is left as it is, fields and TTL.
func TestRecord_ofANewerSchema(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		must(t, rdb.HSet(ctx, key, "head", "2 ajar auto epoch=1 what=ever", "tally", "whatever", "doors", "3").Err())
		before := content(t, rdb, key)
		for op, err := range everyError(t, rdb) {
			e := wantClass(t, err, engine.ClassForeign, op)
			wantSays(t, e, "newer release, upgrade this process")
			if !errors.Is(e, engine.ErrNewerLayout) {
				t.Errorf("%s: %v", op, e)
			}
		}
		wantSame(t, rdb, key, before)
		if ttl := rdb.PTTL(ctx, key).Val(); ttl != -1 {
			t.Errorf("the record was given a TTL of %v", ttl)
		}
	})
}

// F53: a reply that no script gives is an error that says so, never a panic.
func TestReply_ofSurprisingShape(t *testing.T) {
	bulk := func(text string) func(*server.Peer) { return func(c *server.Peer) { c.WriteBulk(text) } }
	for what, write := range map[string]func(c *server.Peer){
		"null":          func(c *server.Peer) { c.WriteNull() },
		"number":        func(c *server.Peer) { c.WriteInt(7) },
		"status":        func(c *server.Peer) { c.WriteOK() },
		"float":         func(c *server.Peer) { c.WriteFloat(1.5) },
		"empty text":    bulk(""),
		"text":          bulk("hello\r\nworld"),
		"zero":          bulk("0"),
		"negative":      bulk("-5"),
		"beyond int64":  bulk("99999999999999999999"),
		"long text":     bulk(strings.Repeat("x", 100_000)),
		"unknown mark":  bulk("!what 1"),
		"bug mark":      bulk("!args 2"),
		"cut":           bulk("open auto epoch=17 left="),
		"too many":      bulk("closed auto epoch=17 left=0 mode_left=0 granted=99 lease=0 applied=0 stale=0 policy=12345678"),
		"bad move":      bulk("open auto epoch=17 left=1 mode_left=0 granted=0 lease=0 applied=0 stale=0 policy=12345678\nx"),
		"empty array":   func(c *server.Peer) { c.WriteLen(0) },
		"array":         func(c *server.Peer) { c.WriteLen(2); c.WriteInt(1); c.WriteNull() },
		"short array":   func(c *server.Peer) { c.WriteLen(1); c.WriteBulk("done") },
		"odd array":     func(c *server.Peer) { c.WriteLen(2); c.WriteBulk("1"); c.WriteBulk("head") },
		"unknown done":  func(c *server.Peer) { c.WriteLen(3); c.WriteBulk("perhaps"); c.WriteBulk("1"); c.WriteBulk("") },
		"no time":       func(c *server.Peer) { c.WriteLen(3); c.WriteBulk("done"); c.WriteBulk("now"); c.WriteBulk("") },
		"nested arrays": func(c *server.Peer) { c.WriteLen(1); c.WriteLen(1); c.WriteLen(0) },
		"map":           func(c *server.Peer) { c.WriteMapLen(1); c.WriteBulk("a"); c.WriteBulk("b") },
	} {
		t.Run(what, func(t *testing.T) {
			m, rdb := redistest.Mini(t)
			m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
				if cmd == "EVALSHA" {
					write(c)
				}
				return cmd == "EVALSHA"
			})
			for op, err := range everyError(t, rdb) {
				var e *engine.StorageError
				if !errors.As(err, &e) || e.Class != engine.ClassUnknown || e.Op != op || len(e.Error()) > 400 {
					t.Errorf("%s: got %.500v, want a short storage error (unknown)", op, err)
				}
			}
		})
	}
}

// ---- the record is gone ----

// F12, F13: a record that was flushed, evicted or deleted is created again. Results of
// calls in flight are stale, the epoch is new, and processes that knew the old epoch
// raise an event.
func TestRecord_goneInMidProbe(t *testing.T) {
	for how, remove := range map[string]func(rdb *redis.Client) error{
		"flushed": func(rdb *redis.Client) error { return rdb.FlushAll(ctx).Err() },
		"evicted": func(rdb *redis.Client) error { return rdb.Unlink(ctx, key).Err() },
		"expired": func(rdb *redis.Client) error { return rdb.PExpire(ctx, key, -1).Err() },
	} {
		t.Run(how, func(t *testing.T) {
			eachServer(t, func(t *testing.T, rdb *redis.Client) {
				s := newStorage(t, rdb)
				h, e := bind(t, s, engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Millisecond})
				fails(t, h, 1)
				probe := acquireProbe(t, h)
				must(t, remove(rdb))
				if stale, err := h.Report(ctx, probe, engine.Success, 0, nil); !stale || err != nil {
					t.Errorf("the late report: stale %v, %v", stale, err)
				}
				if n := e.of(engine.EventLost); n != 1 {
					t.Errorf("%d events tell that the record was lost, want 1", n)
				}
				got := inspect(t, s)
				if got.State != engine.StateClosed || got.Epoch == probe.Epoch || len(got.Log) != 1 || got.Log[0].Cause != engine.CauseCreated {
					t.Errorf("the record begins with %+v", got)
				}
				ticket := acquire(t, h)
				if ticket.Epoch != got.Epoch || ticket.Lease != 0 {
					t.Errorf("the next ticket is %+v", ticket)
				}
			})
		})
	}
}

// A record that was flushed does not repeat an epoch, though each time begins at
// the same few transitions.
func TestRecord_epochsDoNotRepeat(t *testing.T) {
	m, rdb := redistest.Mini(t)
	h, _ := bind(t, newStorage(t, rdb), opensAtOnce)
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	last := int64(0)
	for range 50 {
		now = now.Add(10 * time.Millisecond) // a transition adds at most one to the ms it is at
		m.SetTime(now)
		m.FlushAll()
		for _, action := range []engine.Action{engine.ActionReset, engine.ActionTrip, engine.ActionHalfOpen, engine.ActionReset} {
			s, err := h.Control(ctx, engine.Command{Action: action})
			must(t, err)
			if s.Epoch <= last {
				t.Fatalf("epoch %d follows %d", s.Epoch, last)
			}
			last = s.Epoch
		}
	}
}

// ---- writes ----

func TestRejection_writesNothing(t *testing.T) {
	m, rdb, h := newMini(t, opensAtOnce)
	m.SetTime(time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC))
	for what, prepare := range map[string]func(){
		"open":        func() { fails(t, h, 1) },
		"probing":     func() { command(t, h, engine.Command{Action: engine.ActionHalfOpen}); acquireProbe(t, h) },
		"forced open": func() { command(t, h, engine.Command{Action: engine.ActionForceOpen}) },
		"forced for an hour": func() {
			command(t, h, engine.Command{Action: engine.ActionForceOpen, For: time.Hour})
		},
	} {
		command(t, h, engine.Command{Action: engine.ActionRelease})
		command(t, h, engine.Command{Action: engine.ActionReset})
		prepare()
		before, ttl := content(t, rdb, key), m.TTL(key)
		var wrote []string
		m.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
			switch cmd {
			case "HSET", "HDEL", "DEL", "PERSIST", "PEXPIRE", "PUBLISH":
				wrote = append(wrote, cmd)
			}
			return false
		})
		for range 3 {
			if _, err := h.Acquire(ctx); !errors.Is(err, engine.ErrRejected) {
				t.Fatalf("%s: %v, want a rejection", what, err)
			}
		}
		m.Server().SetPreHook(nil)
		if len(wrote) > 0 {
			t.Errorf("%s: a rejection sent %q", what, wrote)
		}
		wantSame(t, rdb, key, before)
		if got := m.TTL(key); got != ttl {
			t.Errorf("%s: the TTL went from %v to %v", what, ttl, got)
		}
	}
}

// F54: a key lives as long as its record says, and always longer than what the
// record has to remember.
func TestTTL(t *testing.T) {
	brief := func(p engine.Policy) engine.Policy { p.IdleTTL = time.Millisecond; return p }
	for what, test := range map[string]struct {
		policy  engine.Policy
		command engine.Command
		atLeast time.Duration
	}{
		"closed":           {engine.Policy{}, engine.Command{Action: engine.ActionReset}, 24 * time.Hour},
		"open":             {brief(engine.Policy{OpenFor: time.Hour}), engine.Command{Action: engine.ActionTrip}, time.Hour},
		"tripped for long": {brief(engine.Policy{}), engine.Command{Action: engine.ActionTrip, For: 300 * 24 * time.Hour}, 300 * 24 * time.Hour},
		"half-open":        {brief(engine.Policy{HalfOpen: engine.HalfOpen{Lease: time.Hour}}), engine.Command{Action: engine.ActionHalfOpen}, time.Hour},
		"forced":           {brief(engine.Policy{}), engine.Command{Action: engine.ActionForceOpen, For: time.Hour}, time.Hour},
		"shadow":           {brief(engine.Policy{}), engine.Command{Action: engine.ActionShadow, For: time.Hour}, time.Hour},
		"window":           {brief(engine.Policy{Window: engine.Window{Period: time.Hour, FailureCount: 9}}), engine.Command{Action: engine.ActionReset}, time.Hour},
	} {
		t.Run(what, func(t *testing.T) {
			eachServer(t, func(t *testing.T, rdb *redis.Client) {
				h, _ := bind(t, newStorage(t, rdb), test.policy)
				start := time.Now()
				command(t, h, test.command)
				said, has := lifetimes(t, rdb)
				passed := time.Since(start).Milliseconds() + 1
				// In a miniredis, time goes on while a script runs.
				if diff := said - has; diff < -passed || diff > passed {
					t.Errorf("the record says that it lives for %d ms, the key does for %d", said, has)
				}
				if has < test.atLeast.Milliseconds()-passed {
					t.Errorf("the key lives for %d ms, want at least %v", has, test.atLeast)
				}
			})
		})
	}
}

// An operator's word without an end does not fade; when it is taken back, the
// record may.
func TestTTL_endlessModes(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		s := newStorage(t, rdb)
		h, _ := bind(t, s, opensAtOnce)
		for _, action := range []engine.Action{engine.ActionForceOpen, engine.ActionForceClosed, engine.ActionShadow} {
			command(t, h, engine.Command{Action: engine.ActionReset})
			if ttl := rdb.PTTL(ctx, key).Val(); ttl <= 0 {
				t.Errorf("before %v the TTL is %v", action, ttl)
			}
			command(t, h, engine.Command{Action: action})
			if action == engine.ActionShadow {
				fails(t, h, 1) // traffic gives it none, either
			}
			if ttl := rdb.PTTL(ctx, key).Val(); ttl != -1 {
				t.Errorf("in %v without an end the TTL is %v", action, ttl)
			}
			command(t, h, engine.Command{Action: engine.ActionRelease})
			if ttl := rdb.PTTL(ctx, key).Val(); ttl <= 0 {
				t.Errorf("after the release from %v the TTL is %v", action, ttl)
			}
		}
	})
}

// ---- helpers ----

// everyError calls each operation that must fail, each on a storage of its own:
// the guard is another matter.
func everyError(t *testing.T, rdb *redis.Client) map[string]error {
	t.Helper()
	got := map[string]error{}
	for op := range handleCalls(nil, engine.Ticket{}) {
		h, _ := bind(t, newStorage(t, rdb), opensAtOnce)
		got[op] = handleCalls(h, engine.Ticket{Epoch: 1})[op]()
	}
	_, got["inspect"] = newStorage(t, rdb).Inspect(ctx, name)
	_, err := newStorage(t, rdb).Control(ctx, name, engine.Command{Action: engine.ActionReset})
	if fmt.Sprint(err) != fmt.Sprint(got["control"]) {
		t.Errorf("control by name says %v, by handle %v", err, got["control"])
	}
	return got
}

// command gives a command that must be obeyed.
func command(t testing.TB, h engine.Handle, c engine.Command) engine.Snapshot {
	t.Helper()
	s, err := h.Control(ctx, c)
	must(t, err)
	return s
}

// acquireProbe waits for the end of the open period and returns a probe's ticket.
func acquireProbe(t testing.TB, h engine.Handle) engine.Ticket {
	t.Helper()
	for range maxRejections {
		ticket, err := h.Acquire(ctx)
		var rejected *engine.RejectedError
		if errors.As(err, &rejected) && rejected.Reason == engine.ReasonOpen {
			time.Sleep(rejected.RetryAfter())
			continue
		}
		must(t, err)
		if ticket.Lease == 0 {
			t.Fatalf("got %+v, want a probe's ticket", ticket)
		}
		return ticket
	}
	t.Fatalf("the open period was said to be over %d times and is not", maxRejections)
	return engine.Ticket{}
}

// maxRejections is how many rejections a caller accepts that waits for as long as each
// of them says. One is enough unless clocks differ, or others open the circuit again.
const maxRejections = 100

// dump is a key's type, content and TTL, whatever the type.
func dump(t testing.TB, rdb *redis.Client) string {
	t.Helper()
	kind := rdb.Type(ctx, key).Val()
	var value any
	switch kind {
	case "string":
		value = rdb.Get(ctx, key).Val()
	case "list":
		value = rdb.LRange(ctx, key, 0, -1).Val()
	case "zset":
		value = rdb.ZRangeWithScores(ctx, key, 0, -1).Val()
	case "stream":
		value = rdb.XRange(ctx, key, "-", "+").Val()
	}
	return fmt.Sprintf("%s %v, expires %v", kind, value, rdb.PTTL(ctx, key).Val() > 0)
}

// lifetimes returns for how many ms the record says that it lives, and for how
// many the key does, at one instant.
func lifetimes(t testing.TB, rdb *redis.Client) (said, has int64) {
	t.Helper()
	list, err := rdb.Eval(ctx, `
		local t = redis.call('TIME')
		local now = t[1] * 1000 + math.floor(t[2] / 1000)
		local expires = redis.call('HGET', KEYS[1], 'tally'):match('expires=(%d+)$')
		return {expires - now, redis.call('PTTL', KEYS[1])}`, []string{key}).Int64Slice()
	must(t, err)
	return list[0], list[1]
}

// A hash of another application is never touched, and every operation says so.
func TestRecord_hashOfOthers(t *testing.T) {
	for what, fields := range map[string][]string{
		"without a head": {"email", "a@b.c", "policy", "gold"},
		"with a head":    {"head", "left", "tail", "right"},
	} {
		t.Run(what, func(t *testing.T) {
			eachServer(t, func(t *testing.T, rdb *redis.Client) {
				must(t, rdb.Del(ctx, key).Err())
				must(t, rdb.HSet(ctx, key, fields).Err())
				before := content(t, rdb, key)
				s := newStorage(t, rdb)
				h, _ := bind(t, s, opensAtOnce)
				ticket := engine.Ticket{Epoch: 7}
				for op, err := range map[string]error{
					"acquire": second(h.Acquire(ctx)),
					"report":  second(h.Report(ctx, ticket, engine.Failure, 0, nil)),
					"control": second(h.Control(ctx, engine.Command{Action: engine.ActionTrip})),
					"inspect": second(s.Inspect(ctx, name)),
				} {
					if e := wantClass(t, err, engine.ClassForeign, op); !errors.Is(e, engine.ErrForeignKey) {
						t.Errorf("%s: %v", op, err)
					}
				}
				wantSame(t, rdb, key, before)
				if ttl := rdb.TTL(ctx, key).Val(); ttl >= 0 {
					t.Errorf("it got a time to live of %v", ttl)
				}
				must(t, rdb.Del(ctx, key).Err())
			})
		})
	}
}

func second[T any](_ T, err error) error { return err }
