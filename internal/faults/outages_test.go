//go:build go1.25

package faults_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
)

// outage is a fault that keeps the storage from answering, until it is healed.
type outage struct {
	id, what     string
	place        place
	inject, heal func(w *world)
	class        redbreaker.Class
	says         string
	ping         string // what Ping says meanwhile, if it matters
	// cold: the fault is there before the process is, so no connection is.
	cold bool
	// admits: calls are still let through, and only their results are refused.
	admits bool
}

func network(f faultproxy.Fault) func(w *world) { return func(w *world) { w.net.Set(f) } }
func saying(text string) func(w *world)         { return func(w *world) { w.mini.SetError(text) } }
func command(args ...any) func(w *world)        { return func(w *world) { w.do(args...) } }
func writing(write func(c *server.Peer)) func(w *world) {
	return func(w *world) { w.answers(write) }
}

var (
	healNetwork = network(faultproxy.Pass())
	healError   = saying("")
	healAnswers = writing(nil)
	healRights  = command("acl", "setuser", "breaker", "+@all", "allkeys", "resetpass", ">secret")
)

const (
	notExecuted = redbreaker.ClassNotExecuted
	unknown     = redbreaker.ClassUnknown
	refused     = redbreaker.ClassRefused
	ours        = redbreaker.ClassForeign
)

// outages are drilled all in the same way.
var outages = []outage{
	{id: "F1", what: "connections are refused", place: bubble, inject: network(faultproxy.Refuse()), heal: healNetwork,
		class: notExecuted, cold: true},
	{id: "F1", what: "the server is killed and comes back", place: onServer(), class: notExecuted,
		inject: func(w *world) { w.server.Kill(); w.net.Set(faultproxy.Refuse()) },
		heal: func(w *world) {
			w.server.Restart()
			w.do("acl", "setuser", "breaker", "on", ">secret", "~*", "&*", "+@all")
			w.net.Set(faultproxy.Pass())
		}},
	{id: "F2", what: "packets vanish", place: bubble, inject: network(faultproxy.Blackhole()), heal: healNetwork,
		class: unknown, says: "no answer within"},
	{id: "F2", what: "packets vanish, before there is a connection", place: bubble, inject: network(faultproxy.Blackhole()), heal: healNetwork,
		class: notExecuted, says: "no answer within", cold: true},
	{id: "F2", what: "packets vanish, real sockets", place: sockets, inject: network(faultproxy.Blackhole()), heal: healNetwork,
		class: unknown, says: "no answer within"},
	{id: "F3", what: "replies are slower than the bound", place: bubble, inject: network(faultproxy.Delay(200 * time.Millisecond)), heal: healNetwork,
		class: unknown, says: "no answer within"},
	{id: "F3", what: "the server hangs, and executes later", place: onServer(), class: unknown, says: "no answer within",
		inject: func(w *world) { w.server.Pause() }, heal: func(w *world) { w.server.Resume() }},
	{id: "F7", what: "others hold all connections", place: sockets, class: notExecuted,
		inject: func(w *world) {
			for _, m := range w.members {
				go func() { m.client.BLPop(ctx, time.Minute, "list") }()
				w.until(time.Second, "connections to be taken", func() bool { return m.client.PoolStats().IdleConns == 0 })
			}
		},
		heal: func(w *world) { _, err := w.mini.Push("list", "1", "2", "3"); w.must(err) }},
	{id: "F10", what: "requests pass, replies do not", place: bubble, inject: network(faultproxy.DropReplies()), heal: healNetwork,
		class: unknown, says: "no answer within"},

	{id: "F14", what: "OOM", place: bubble, inject: saying("OOM command not allowed when used memory > 'maxmemory'."), heal: healError, class: refused, says: "OOM"},
	{id: "F14", what: "OOM, maxmemory 1", place: onServer(), inject: command("config", "set", "maxmemory", "1"), heal: command("config", "set", "maxmemory", "0"),
		class: refused, says: "OOM", admits: true},
	{id: "F15", what: "READONLY", place: bubble, inject: saying("READONLY You can't write against a read only replica."), heal: healError, class: refused, says: "READONLY"},
	{id: "F15", what: "the master was demoted", place: onServer(), inject: command("replicaof", "127.0.0.1", "1"), heal: command("replicaof", "no", "one"),
		class: refused, says: "READONLY", admits: true},
	{id: "F16", what: "LOADING", place: bubble, inject: saying("LOADING Redis is loading the dataset in memory"), heal: healError, class: refused, says: "LOADING"},
	{id: "F16", what: "MASTERDOWN", place: bubble, inject: saying("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), heal: healError, class: refused, says: "MASTERDOWN"},
	{id: "F16", what: "a replica without its master", place: onServer("--replica-serve-stale-data", "no"), inject: command("replicaof", "127.0.0.1", "1"),
		heal: command("replicaof", "no", "one"), class: refused, says: "MASTERDOWN"},
	{id: "F16", what: "MISCONF", place: bubble, inject: saying("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."), heal: healError, class: refused, says: "MISCONF"},
	{id: "F16", what: "NOREPLICAS", place: bubble, inject: saying("NOREPLICAS Not enough good replicas to write."), heal: healError, class: refused, says: "NOREPLICAS"},
	{id: "F16", what: "NOREPLICAS, min-replicas-to-write 1", place: onServer(), inject: command("config", "set", "min-replicas-to-write", "1"),
		heal: command("config", "set", "min-replicas-to-write", "0"), class: refused, says: "NOREPLICAS", admits: true},
	{id: "F16", what: "CLUSTERDOWN", place: bubble, inject: saying("CLUSTERDOWN Hash slot not served"), heal: healError, class: refused, says: "CLUSTERDOWN"},
	{id: "F16", what: "too many clients", place: bubble, inject: saying("ERR max number of clients reached"), heal: healError, class: refused, says: "max number of clients"},
	{id: "F17", what: "BUSY", place: bubble, inject: saying("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."), heal: healError, class: refused, says: "BUSY"},
	{id: "F17", what: "somebody's script loops", place: onServer("--lua-time-limit", "50"), class: refused, says: "BUSY",
		inject: func(w *world) {
			loop := w.server.Client()
			go func() { loop.Eval(ctx, "while true do end", nil) }()
			w.until(5*time.Second, "BUSY", func() bool { return redis.HasErrorPrefix(w.admin.Ping(ctx).Err(), "BUSY") })
		},
		heal: command("script", "kill")},
	{id: "F18", what: "CLIENT PAUSE WRITE", place: onServer(), inject: command("client", "pause", "60000", "write"), heal: command("client", "unpause"),
		class: unknown, says: "no answer within"},
	{id: "F19", what: "another type is at the key", place: bubble, class: ours, says: "a string: redbreaker: the key holds another type",
		inject: func(w *world) { w.mini.Del(key); w.must(w.mini.Set(key, "theirs")) },
		heal: func(w *world) {
			if got, err := w.mini.Get(key); got != "theirs" || err != nil {
				w.Errorf("their value became %q, %v", got, err)
			}
			w.mini.Del(key)
		}},
	{id: "F50", what: "a newer release wrote the record", place: bubble, class: ours, says: "upgrade this process",
		inject: func(w *world) { w.mini.Del(key); w.mini.HSet(key, "head", "2 ajar auto epoch=1 what=ever") },
		heal:   func(w *world) { w.mini.Del(key) }},
	{id: "F51", what: "the user may not run EVAL and EVALSHA", place: onServer(), inject: command("acl", "setuser", "breaker", "-eval", "-evalsha"), heal: healRights,
		class: refused, says: "NOPERM", ping: "EVALSHA, EVAL and SCRIPT LOAD"},
	{id: "F51", what: "the same, from the start", place: onServer(), inject: command("acl", "setuser", "breaker", "-eval", "-evalsha"), heal: healRights,
		class: refused, says: "NOPERM", ping: "EVALSHA, EVAL and SCRIPT LOAD", cold: true},
	{id: "F51", what: "the user may run no scripts at all", place: onServer(), inject: command("acl", "setuser", "breaker", "-@scripting"), heal: healRights,
		class: refused, says: "NOPERM"},
	{id: "F51", what: "the key is outside the user's pattern", place: onServer(), inject: command("acl", "setuser", "breaker", "resetkeys", "~theirs:*"), heal: healRights,
		class: refused, says: "NOPERM", ping: "docs/operations.md"},
	{id: "F51", what: "the scripts may not write", place: onServer(), inject: command("acl", "setuser", "breaker", "-hset"), heal: healRights,
		class: unknown, admits: true, ping: "HSET"},
	{id: "F52", what: "the password was changed", place: onServer(), class: refused, says: "WRONGPASS", ping: "check the user and the password",
		inject: func(w *world) {
			w.do("acl", "setuser", "breaker", "resetpass", ">other")
			w.do("client", "kill", "user", "breaker")
			time.Sleep(50 * time.Millisecond) // until the clients' kernels know
		},
		heal: healRights},
	{id: "F52", what: "the client wants TLS, the server speaks none", place: onServer(), class: notExecuted, cold: true, ping: "whether it wants TLS",
		inject: func(w *world) { w.options.Dialer = tlsUntilHealed(w) },
		heal:   func(w *world) { w.plain.Store(true) }},
	{id: "F53", what: "a reply of another product", place: bubble, inject: writing(func(c *server.Peer) { c.WriteBulk("hello") }), heal: healAnswers, class: unknown, says: "a reply that no script gives"},
	{id: "F53", what: "a reply that is null", place: bubble, inject: writing(func(c *server.Peer) { c.WriteNull() }), heal: healAnswers, class: unknown, says: "a reply that no script gives"},
	{id: "F53", what: "a reply that is a map", place: bubble, inject: writing(func(c *server.Peer) { c.WriteMapLen(1); c.WriteBulk("a"); c.WriteBulk("b") }), heal: healAnswers, class: unknown},
}

// tlsUntilHealed stands in for a configuration that is corrected.
func tlsUntilHealed(w *world) dialer {
	plain := w.options.Dialer
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := plain(ctx, network, addr)
		if err != nil || w.plain.Load() {
			return c, err
		}
		encrypted := tls.Client(c, &tls.Config{ServerName: "redis.example"})
		if err := encrypted.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return encrypted, nil
	}
}

// In every outage, three processes decide as each was told to, pay no more than
// the bound and soon nothing, tell of it once, and come back to the shared record.
func TestOutages(t *testing.T) {
	for _, o := range outages {
		t.Run(o.id+" "+o.what, func(t *testing.T) { o.place(t, o.drill) })
	}
}

func (o *outage) drill(w *world) {
	if o.id == "F7" {
		w.options.PoolSize = 1
	}
	if o.cold {
		o.inject(w)
	}
	for _, kind := range []redbreaker.Fallback{redbreaker.FallbackLocal, redbreaker.FallbackAllow, redbreaker.FallbackDeny} {
		m := w.member(policy, redbreaker.WithFallback(kind))
		m.kind = kind
		w.members = append(w.members, m)
	}
	if !o.cold {
		for _, m := range w.members {
			w.must(m.Ping(ctx)) // connects, without the guard
			m.runs(succeed)
			m.undisturbed()
		}
		o.inject(w)
	}

	var all sync.WaitGroup
	for _, m := range w.members {
		all.Go(func() { o.endure(m) })
	}
	all.Wait()
	if o.ping != "" {
		if err := w.members[0].Ping(ctx); err == nil || !strings.Contains(err.Error(), o.ping) {
			w.Errorf("Ping says %v, want %q", err, o.ping)
		}
	}
	o.heal(w)
	healed := time.Now()
	for _, m := range w.members {
		op := "acquire"
		if o.admits {
			op = "report"
		}
		m.wantDegraded(o.class, op, o.says)
	}
	for _, m := range w.members {
		all.Go(func() { m.recovers(guardMax + calm + w.bound) })
	}
	all.Wait()
	w.Logf("%-4s %s: restored %v after it; told: %.200v", o.id, o.what, time.Since(healed).Round(10*time.Millisecond),
		w.members[0].heard(redbreaker.EventDegraded)[0].Err)

	// The shared record decides again, for all.
	for range threshold {
		w.members[0].runs(fail)
	}
	for _, m := range w.members {
		m.rejects(redbreaker.ReasonOpen)
	}
	w.members[0].wantState(redbreaker.StateOpen)
}

// endure makes calls during the outage.
func (o *outage) endure(m *member) {
	// What the storage admits before its first refusal of a result is not local.
	local, cost := threshold, m.w.bound
	if o.admits {
		local, cost = threshold+1, 2*m.w.bound
	}
	for i := range 3 * threshold {
		start := time.Now()
		switch {
		case m.kind == redbreaker.FallbackDeny && !o.admits:
			r := m.rejects(redbreaker.ReasonUnavailable)
			if r.Err == nil || !strings.Contains(r.Error(), "redbreaker: acquire dep: storage error") {
				m.w.Errorf("the rejection does not tell why: %v", r)
			}
		case m.kind == redbreaker.FallbackLocal && i >= local:
			m.rejects(redbreaker.ReasonOpen)
		default:
			m.runs(fail)
		}
		took := time.Since(start)
		if took > cost+m.w.slack {
			m.w.Errorf("%v: call %d took %v, the bound is %v", m.kind, i+1, took, m.w.bound)
		}
		if i >= 3 && m.w.slack == 0 && took != 0 { // the guard's threshold
			m.w.Errorf("%v: call %d waited %v for a storage that does not answer", m.kind, i+1, took)
		}
	}
}
