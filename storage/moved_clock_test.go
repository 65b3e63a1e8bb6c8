package storage_test

import (
	"context"
	"encoding"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/internal/scenario"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// A real server's clock cannot be moved, so these scripts read another one: a key of
// the namespace. The client replaces the scripts as it sends them; storage and server
// are as they always are. A TTL runs in real time, in which a slow machine could miss an
// instant. So these scripts set each TTL a century further ahead, and the clock removes
// a record at its due time. TestRedis_conformance covers TIME and PEXPIRE.

// TestRedis_conformanceOnMovedClock runs the suite at exact instants on a real server.
func TestRedis_conformanceOnMovedClock(t *testing.T) {
	o := redis.Options{Addr: redistest.Addr(t)} // skips here, once, if there is no server
	moved := newMovedScripts(t)
	storagetest.Run(t, func(t testing.TB) storagetest.Harness { return openMoved(t, o, moved) })
}

// openMoved gives a part of the shared server, with a clock of its own that the suite
// moves.
func openMoved(t testing.TB, o redis.Options, moved movedScripts) storagetest.Harness {
	c := &movedClock{t: t, rdb: open(t, &o), namespace: redistest.Namespace(t)}
	c.set(time.Now().UnixMilli())
	h := harness(t, o, c.namespace, moved)
	h.Advance = c.advance
	return h
}

// movedClock is the clock of a namespace.
type movedClock struct {
	t         testing.TB
	rdb       *redis.Client
	namespace string
	now       int64 // in ms
}

func (c *movedClock) set(now int64) {
	c.t.Helper()
	c.now = now
	must(c.t, c.rdb.Set(ctx, c.namespace+":clock", now, 0).Err())
}

// advance moves the clock, and removes the records whose time is over by then.
func (c *movedClock) advance(d time.Duration) {
	c.t.Helper()
	if d%time.Millisecond != 0 {
		c.t.Fatalf("the clock ticks in ms, and cannot advance by %v", d)
	}
	c.set(c.now + d.Milliseconds())
	keys, err := c.rdb.Keys(ctx, c.namespace+":{*").Result()
	must(c.t, err)
	for _, key := range keys {
		expires, err := c.rdb.PExpireTime(ctx, key).Result()
		must(c.t, err)
		if expires > 0 && expires.Milliseconds()-ttlAheadMS <= c.now {
			must(c.t, c.rdb.Del(ctx, key).Err())
		}
	}
}

// movedScripts is a hook that replaces the scripts by those on a moved clock. Keys are
// the texts that a command names a script by: its hash and its source.
type movedScripts map[string]string

// ttlAheadMS is how far ahead the TTL of a record lies on a moved clock: a century.
const ttlAheadMS = 100 * 365 * 24 * 60 * 60 * 1000

// movedClockText is lib/clock.lua on a moved clock.
const movedClockText = `
local function clock()
  return redis.call('GET', KEYS[1]:sub(1, KEYS[1]:find(':{', 1, true)) .. 'clock') + 0
end
`

func newMovedScripts(t testing.TB) movedScripts {
	t.Helper()
	files := scenario.Files(scripts.Files)
	files["lib/clock.lua"].Data = []byte(movedClockText)
	codec := files["lib/codec.lua"]
	const inTime = `redis.call('PEXPIRE', KEYS[1], string.format('%d', m.pexpire))`
	if n := strings.Count(string(codec.Data), inTime); n != 1 {
		t.Fatalf("codec.lua sets the TTL %d times by %s, want 1", n, inTime)
	}
	ahead := fmt.Sprintf(`redis.call('PEXPIREAT', KEYS[1], string.format('%%d', m.now + m.pexpire + %d))`, int64(ttlAheadMS))
	codec.Data = []byte(strings.Replace(string(codec.Data), inTime, ahead, 1))

	moved := movedScripts{}
	for _, s := range []*scripts.Script{scripts.Step, scripts.Control, scripts.Inspect, scripts.Since, scripts.Enrol} {
		other, err := scripts.Assemble(files, s.Name)
		must(t, err)
		if other.SHA == s.SHA {
			t.Fatalf("%s.lua does not read the clock", s.Name)
		}
		moved[s.SHA], moved[s.Source] = other.SHA, other.Source
	}
	return moved
}

// replace replaces the script of a command.
func (m movedScripts) replace(cmd redis.Cmder) {
	args := cmd.Args()
	switch cmd.Name() {
	case "evalsha", "eval":
		if other, known := m[fmt.Sprint(args[1])]; known {
			args[1] = movedScript{args[1].(encoding.BinaryMarshaler), other}
		}
	case "script":
		if other, known := m[fmt.Sprint(args[2])]; known {
			args[2] = other
		}
	}
}

// movedScript is the argument of an attempt, which learns from it that the command is
// written, with another text.
type movedScript struct {
	attempt encoding.BinaryMarshaler
	text    string
}

func (s movedScript) MarshalBinary() ([]byte, error) {
	_, err := s.attempt.MarshalBinary()
	return []byte(s.text), err
}

func (s movedScript) String() string { return s.text }

func (m movedScripts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m movedScripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		m.replace(cmd)
		return next(ctx, cmd)
	}
}

func (m movedScripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			m.replace(cmd)
		}
		return next(ctx, cmds)
	}
}
