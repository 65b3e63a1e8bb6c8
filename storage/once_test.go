package storage_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/scripts"
)

// These tests show P4 on the wire: a script whose reply is lost is not sent
// again, though go-redis by default sends a command up to four times.

// clients are the kinds of client, each over a connection that dial makes.
var clients = map[string]func(m *miniredis.Miniredis, dial dialer) redis.UniversalClient{
	"client": func(m *miniredis.Miniredis, dial dialer) redis.UniversalClient {
		return redis.NewClient(&redis.Options{Addr: m.Addr(), Dialer: dial})
	},
	"client, context timeouts": func(m *miniredis.Miniredis, dial dialer) redis.UniversalClient {
		return redis.NewClient(&redis.Options{Addr: m.Addr(), Dialer: dial, ContextTimeoutEnabled: true})
	},
	"cluster client": func(m *miniredis.Miniredis, dial dialer) redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}, Dialer: dial})
	},
	"cluster client, context timeouts": func(m *miniredis.Miniredis, dial dialer) redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}, Dialer: dial, ContextTimeoutEnabled: true})
	},
	"ring": func(m *miniredis.Miniredis, dial dialer) redis.UniversalClient {
		return redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": m.Addr()}, Dialer: dial})
	},
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// F4, F5: the reply is cut before its first byte, after it, and in its middle.
func TestOnce_replyCut(t *testing.T) {
	for what, newClient := range clients {
		for _, after := range []int{0, 1, 9} {
			t.Run(what, func(t *testing.T) {
				m := miniredis.RunT(t)
				p := faultproxy.Start(t, m.Addr())
				rdb := newClient(m, through(p))
				t.Cleanup(func() { _ = rdb.Close() })
				// The server knows the script: on a cluster, its way to the other
				// nodes would be more traffic.
				must(t, rdb.ScriptLoad(ctx, scripts.Step.Source).Err())
				s := newUnlisted(t, rdb)
				h, _ := bind(t, s, neverOpens)
				ticket := acquire(t, h)
				report(t, h, ticket, engine.Failure)
				calls := countCalls(m)

				p.Set(faultproxy.CutReply(after))
				_, err := h.Report(ctx, ticket, engine.Failure, 0, nil)
				wantClass(t, err, engine.ClassUnknown, "report")
				if got := calls(); got["EVALSHA"] != 1 || len(got) != 1 {
					t.Errorf("cut after %d bytes: the server got %v, want one EVALSHA", after, got)
				}
				if n := streak(t, s); n != 2 {
					t.Errorf("cut after %d bytes: %d failures are counted, want 2", after, n)
				}
				// The next replies are the next calls'.
				for range 3 {
					if got := acquire(t, h); got != ticket {
						t.Errorf("the next call got %v, want %v", got, ticket)
					}
				}
			})
		}
	}
}

// The test above would see a second sending: a command of the user's is sent twice.
func TestOnce_othersAreSentAgain(t *testing.T) {
	for what, newClient := range clients {
		t.Run(what, func(t *testing.T) {
			m := miniredis.RunT(t)
			p := faultproxy.Start(t, m.Addr())
			rdb := newClient(m, through(p))
			t.Cleanup(func() { _ = rdb.Close() })
			must(t, rdb.Set(ctx, "n", 0, 0).Err())
			p.Set(faultproxy.CutReply(0))
			if n, err := rdb.Incr(ctx, "n").Result(); err != nil || n != 2 {
				t.Errorf("INCR whose reply was lost gave %d, %v", n, err)
			}
		})
	}
}

// A connection that is dead before the call: nothing was executed, and the next
// call has a new one.
func TestOnce_connectionDead(t *testing.T) {
	for what, newClient := range clients {
		t.Run(what, func(t *testing.T) {
			m := miniredis.RunT(t)
			p := faultproxy.Start(t, m.Addr())
			rdb := newClient(m, through(p))
			t.Cleanup(func() { _ = rdb.Close() })
			s := newUnlisted(t, rdb)
			h, _ := bind(t, s, neverOpens)
			ticket := acquire(t, h)
			p.Reset()
			reported := int64(0)
			if _, err := h.Report(ctx, ticket, engine.Failure, 0, nil); err == nil {
				reported = 1 // the client noticed in time
			}
			if n := streak(t, s); n != reported {
				t.Errorf("%d failures are counted, want %d", n, reported)
			}
			acquire(t, h)
		})
	}
}

// A slot that has moved: the old owner did nothing, the new one does it once, and
// is given the script that it does not know.
func TestOnce_slotMoved(t *testing.T) {
	for _, redirection := range []string{"MOVED", "ASK"} {
		t.Run(redirection, func(t *testing.T) {
			old, owner := miniredis.RunT(t), miniredis.RunT(t)
			oldAddr, ownerAddr := old.Addr(), owner.Addr() // go-redis asks once more when all is over
			rdb := redis.NewClusterClient(&redis.ClusterOptions{ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
				return []redis.ClusterSlot{
					{Start: 0, End: 16382, Nodes: []redis.ClusterNode{{Addr: oldAddr}}},
					{Start: 16383, End: 16383, Nodes: []redis.ClusterNode{{Addr: ownerAddr}}},
				}, nil
			}})
			t.Cleanup(func() { _ = rdb.Close() })
			s := newStorage(t, rdb)
			h, _ := bind(t, s, neverOpens)
			must(t, owner.Server().Register("ASKING", func(c *server.Peer, _ string, _ []string) { c.WriteOK() }))
			old.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
				if cmd == "EVALSHA" || cmd == "EVAL" {
					c.WriteError(redirection + " 42 " + ownerAddr)
					return true
				}
				return false
			})
			fails(t, h, 3)
			if n := streak(t, s); n != 3 {
				t.Errorf("%d failures are counted, want 3", n)
			}
			if old.Exists(key) || !owner.Exists(key) {
				t.Errorf("the record is at the old owner: %v, at the new one: %v", old.Exists(key), owner.Exists(key))
			}
		})
	}
}

// A hook of the user's may print commands and copy them: it sees the script's
// name, and what was not sent is still known not to have been.
func TestOnce_hooksLookOn(t *testing.T) {
	m := miniredis.RunT(t)
	p := faultproxy.Start(t, m.Addr())
	rdb := open(t, &redis.Options{Addr: p.Addr(), DialerRetries: 1})
	var seen printer
	rdb.AddHook(&seen)
	h, _ := bind(t, newStorage(t, rdb), neverOpens)
	p.Set(faultproxy.Refuse())
	_, err := h.Acquire(ctx)
	wantClass(t, err, engine.ClassNotExecuted, "acquire")
	if !strings.HasPrefix(seen.text, "evalsha "+scripts.Step.SHA+" 1 "+key+" ") {
		t.Errorf("the hook saw %q", seen.text)
	}
	if !seen.noRetry {
		t.Error("a copy of the command may be sent again")
	}
}

// printer is a client's hook that looks at commands in every way there is.
type printer struct {
	text    string
	noRetry bool
}

func (p *printer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (p *printer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		p.text, p.noRetry = cmd.String(), cmd.Clone().NoRetry()
		return next(ctx, cmd)
	}
}

func (p *printer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ---- helpers ----

// through sends every connection to the proxy, whatever node is meant.
func through(p *faultproxy.Proxy) dialer {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.Addr())
	}
}

// countCalls counts the script commands that reach a miniredis, SCRIPT LOAD
// included.
func countCalls(m *miniredis.Miniredis) func() map[string]int {
	var mu sync.Mutex
	calls := map[string]int{}
	m.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		switch cmd {
		case "EVALSHA", "EVAL":
		case "SCRIPT":
			cmd += " " + strings.ToUpper(args[0])
		default:
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		calls[cmd]++
		return false
	})
	return func() map[string]int {
		m.Server().SetPreHook(nil)
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
}
