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

// outage is a fault that makes every storage step fail until it is healed.
type outage struct {
	id, what     string
	environment  environment
	inject, heal func(bed *testbed)
	class        redbreaker.Class
	says         string
	ping         string // text that Ping must contain meanwhile; empty: not checked
	// cold: the fault precedes the process, which therefore has no connection.
	cold bool
	// admits: the server still admits calls and refuses only their results.
	admits bool
}

func setFault(f faultproxy.Fault) func(bed *testbed) { return func(bed *testbed) { bed.net.Set(f) } }
func setError(text string) func(bed *testbed)        { return func(bed *testbed) { bed.mini.SetError(text) } }
func runAdmin(args ...any) func(bed *testbed)        { return func(bed *testbed) { bed.mustDo(args...) } }
func setReply(write func(c *server.Peer)) func(bed *testbed) {
	return func(bed *testbed) { bed.setAnswers(write) }
}

var (
	healNetwork = setFault(faultproxy.Pass())
	healError   = setError("")
	healAnswers = setReply(nil)
	healRights  = runAdmin("acl", "setuser", "breaker", "+@all", "allkeys", "resetpass", ">secret")
)

const (
	notExecuted = redbreaker.ClassNotExecuted
	unknown     = redbreaker.ClassUnknown
	refused     = redbreaker.ClassRefused
	foreign     = redbreaker.ClassForeign
)

// outages are the faults that TestOutages drills, all in the same way.
var outages = []outage{
	{id: "F1", what: "connections are refused", environment: inBubble, inject: setFault(faultproxy.Refuse()), heal: healNetwork,
		class: notExecuted, cold: true},
	{id: "F1", what: "the server is killed and comes back", environment: onServer(), class: notExecuted,
		inject: func(bed *testbed) { bed.server.Kill(); bed.net.Set(faultproxy.Refuse()) },
		heal: func(bed *testbed) {
			bed.server.Restart()
			bed.mustDo("acl", "setuser", "breaker", "on", ">secret", "~*", "&*", "+@all")
			bed.net.Set(faultproxy.Pass())
		}},
	{id: "F2", what: "packets vanish", environment: inBubble, inject: setFault(faultproxy.Blackhole()), heal: healNetwork,
		class: unknown, says: "no answer within"},
	{id: "F2", what: "packets vanish, before there is a connection", environment: inBubble, inject: setFault(faultproxy.Blackhole()), heal: healNetwork,
		class: notExecuted, says: "no answer within", cold: true},
	{id: "F2", what: "packets vanish, real sockets", environment: onSockets, inject: setFault(faultproxy.Blackhole()), heal: healNetwork,
		class: unknown, says: "no answer within"},
	{id: "F3", what: "replies are slower than the timeout", environment: inBubble,
		inject: setFault(faultproxy.Delay(200 * time.Millisecond)), heal: healNetwork,
		class: unknown, says: "no answer within"},
	{id: "F3", what: "the server hangs, and executes later", environment: onServer(), class: unknown, says: "no answer within",
		inject: func(bed *testbed) { bed.server.Pause() }, heal: func(bed *testbed) { bed.server.Resume() }},
	{id: "F7", what: "others hold all connections", environment: onSockets, class: notExecuted,
		inject: func(bed *testbed) {
			for _, m := range bed.members {
				go func() { m.client.BLPop(ctx, time.Minute, "list") }()
				bed.waitUntil(time.Second, "connections to be taken", func() bool { return m.client.PoolStats().IdleConns == 0 })
			}
		},
		heal: func(bed *testbed) { _, err := bed.mini.Push("list", "1", "2", "3"); bed.must(err) }},
	{id: "F10", what: "requests pass, replies do not", environment: inBubble, inject: setFault(faultproxy.DropReplies()), heal: healNetwork,
		class: unknown, says: "no answer within"},

	{id: "F14", what: "OOM", environment: inBubble, inject: setError("OOM command not allowed when used memory > 'maxmemory'."), heal: healError,
		class: refused, says: "OOM"},
	{id: "F14", what: "OOM, maxmemory 1", environment: onServer(),
		inject: runAdmin("config", "set", "maxmemory", "1"), heal: runAdmin("config", "set", "maxmemory", "0"),
		class: refused, says: "OOM", admits: true},
	{id: "F15", what: "READONLY", environment: inBubble, inject: setError("READONLY You can't write against a read only replica."), heal: healError,
		class: refused, says: "READONLY"},
	{id: "F15", what: "the master was demoted", environment: onServer(),
		inject: runAdmin("replicaof", "127.0.0.1", "1"), heal: runAdmin("replicaof", "no", "one"),
		class: refused, says: "READONLY", admits: true},
	{id: "F16", what: "LOADING", environment: inBubble, inject: setError("LOADING Redis is loading the dataset in memory"), heal: healError,
		class: refused, says: "LOADING"},
	{id: "F16", what: "MASTERDOWN", environment: inBubble,
		inject: setError("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), heal: healError,
		class: refused, says: "MASTERDOWN"},
	{id: "F16", what: "a replica without its master", environment: onServer("--replica-serve-stale-data", "no"),
		inject: runAdmin("replicaof", "127.0.0.1", "1"),
		heal:   runAdmin("replicaof", "no", "one"), class: refused, says: "MASTERDOWN"},
	{id: "F16", what: "MISCONF", environment: inBubble,
		inject: setError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."), heal: healError,
		class: refused, says: "MISCONF"},
	{id: "F16", what: "NOREPLICAS", environment: inBubble, inject: setError("NOREPLICAS Not enough good replicas to write."), heal: healError,
		class: refused, says: "NOREPLICAS"},
	{id: "F16", what: "NOREPLICAS, min-replicas-to-write 1", environment: onServer(), inject: runAdmin("config", "set", "min-replicas-to-write", "1"),
		heal: runAdmin("config", "set", "min-replicas-to-write", "0"), class: refused, says: "NOREPLICAS", admits: true},
	{id: "F16", what: "CLUSTERDOWN", environment: inBubble, inject: setError("CLUSTERDOWN Hash slot not served"), heal: healError,
		class: refused, says: "CLUSTERDOWN"},
	{id: "F16", what: "too many clients", environment: inBubble, inject: setError("ERR max number of clients reached"), heal: healError,
		class: refused, says: "max number of clients"},
	{id: "F17", what: "BUSY", environment: inBubble,
		inject: setError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."), heal: healError,
		class: refused, says: "BUSY"},
	{id: "F17", what: "another script loops", environment: onServer("--lua-time-limit", "50"), class: refused, says: "BUSY",
		inject: func(bed *testbed) {
			loop := bed.server.Client()
			go func() { loop.Eval(ctx, "while true do end", nil) }()
			bed.waitUntil(5*time.Second, "BUSY", func() bool { return redis.HasErrorPrefix(bed.admin.Ping(ctx).Err(), "BUSY") })
		},
		heal: runAdmin("script", "kill")},
	{id: "F18", what: "CLIENT PAUSE WRITE", environment: onServer(),
		inject: runAdmin("client", "pause", "60000", "write"), heal: runAdmin("client", "unpause"),
		class: unknown, says: "no answer within"},
	{id: "F19", what: "another type is at the key", environment: inBubble, class: foreign, says: "a string: redbreaker: the key holds other data",
		inject: func(bed *testbed) { bed.mini.Del(key); bed.must(bed.mini.Set(key, "theirs")) },
		heal: func(bed *testbed) {
			if got, err := bed.mini.Get(key); got != "theirs" || err != nil {
				bed.Errorf("their value became %q, %v", got, err)
			}
			bed.mini.Del(key)
		}},
	{id: "F50", what: "a newer release wrote the record", environment: inBubble, class: foreign, says: "upgrade this process",
		inject: func(bed *testbed) { bed.mini.Del(key); bed.mini.HSet(key, "head", "2 ajar auto epoch=1 what=ever") },
		heal:   func(bed *testbed) { bed.mini.Del(key) }},
	{id: "F51", what: "the user may not run EVAL and EVALSHA", environment: onServer(),
		inject: runAdmin("acl", "setuser", "breaker", "-eval", "-evalsha"), heal: healRights,
		class: refused, says: "NOPERM", ping: "EVALSHA, EVAL and SCRIPT LOAD"},
	{id: "F51", what: "the same, from the start", environment: onServer(),
		inject: runAdmin("acl", "setuser", "breaker", "-eval", "-evalsha"), heal: healRights,
		class: refused, says: "NOPERM", ping: "EVALSHA, EVAL and SCRIPT LOAD", cold: true},
	{id: "F51", what: "the user may run no scripts at all", environment: onServer(),
		inject: runAdmin("acl", "setuser", "breaker", "-@scripting"), heal: healRights,
		class: refused, says: "NOPERM"},
	{id: "F51", what: "the key is outside the user's pattern", environment: onServer(),
		inject: runAdmin("acl", "setuser", "breaker", "resetkeys", "~theirs:*"), heal: healRights,
		class: refused, says: "NOPERM", ping: "docs/operations.md"},
	{id: "F51", what: "the scripts may not write", environment: onServer(), inject: runAdmin("acl", "setuser", "breaker", "-hset"), heal: healRights,
		class: unknown, admits: true, ping: "HSET"},
	{id: "F52", what: "the password was changed", environment: onServer(), class: refused, says: "WRONGPASS", ping: "check the user and the password",
		inject: func(bed *testbed) {
			bed.mustDo("acl", "setuser", "breaker", "resetpass", ">other")
			bed.mustDo("client", "kill", "user", "breaker")
			time.Sleep(50 * time.Millisecond) // the clients' kernels learn of it
		},
		heal: healRights},
	{id: "F52", what: "the client wants TLS, the server speaks none", environment: onServer(),
		class: notExecuted, cold: true, ping: "whether it wants TLS",
		inject: func(bed *testbed) { bed.options.Dialer = tlsUntilHealed(bed) },
		heal:   func(bed *testbed) { bed.plain.Store(true) }},
	{id: "F53", what: "a reply of another product", environment: inBubble,
		inject: setReply(func(c *server.Peer) { c.WriteBulk("hello") }), heal: healAnswers,
		class: unknown, says: "a reply that no script gives"},
	{id: "F53", what: "a reply that is null", environment: inBubble, inject: setReply(func(c *server.Peer) { c.WriteNull() }), heal: healAnswers,
		class: unknown, says: "a reply that no script gives"},
	{id: "F53", what: "a reply that is a map", environment: inBubble,
		inject: setReply(func(c *server.Peer) { c.WriteMapLen(1); c.WriteBulk("a"); c.WriteBulk("b") }), heal: healAnswers,
		class: unknown},
}

// tlsUntilHealed dials with TLS until the fault is healed, as a client does
// whose wrong configuration is corrected.
func tlsUntilHealed(bed *testbed) dialer {
	plain := bed.options.Dialer
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := plain(ctx, network, addr)
		if err != nil || bed.plain.Load() {
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

// TestOutages drills every outage: three processes decide by their fallbacks, wait
// at most the timeout and soon not at all, report the outage once, and return to
// the shared record.
func TestOutages(t *testing.T) {
	for _, o := range outages {
		t.Run(o.id+" "+o.what, func(t *testing.T) { o.environment(t, o.drill) })
	}
}

func (o *outage) drill(bed *testbed) {
	if o.id == "F7" {
		bed.options.PoolSize = 1
	}
	if o.cold {
		o.inject(bed)
	}
	for _, kind := range []redbreaker.Fallback{redbreaker.FallbackLocal, redbreaker.FallbackAllow, redbreaker.FallbackDeny} {
		m := bed.addMember(policy, redbreaker.WithFallback(kind))
		m.kind = kind
		bed.members = append(bed.members, m)
	}
	if !o.cold {
		for _, m := range bed.members {
			bed.must(m.Ping(ctx)) // connects without the guard
			m.mustRun(succeed)
			m.wantNoOutage()
		}
		o.inject(bed)
	}

	var all sync.WaitGroup
	for _, m := range bed.members {
		all.Go(func() { o.callDuring(m) })
	}
	all.Wait()
	if o.ping != "" {
		if err := bed.members[0].Ping(ctx); err == nil || !strings.Contains(err.Error(), o.ping) {
			bed.Errorf("Ping says %v, want %q", err, o.ping)
		}
	}
	o.heal(bed)
	healed := time.Now()
	for _, m := range bed.members {
		op := "acquire"
		if o.admits {
			op = "report"
		}
		m.wantDegraded(o.class, op, o.says)
	}
	for _, m := range bed.members {
		all.Go(func() { m.mustRecover(guardMax + quietTime + bed.timeout) })
	}
	all.Wait()
	if bed.Failed() {
		return
	}
	bed.Logf("%-4s %s: restored after %v; error: %.200v", o.id, o.what, time.Since(healed).Round(10*time.Millisecond),
		bed.members[0].eventsOf(redbreaker.EventDegraded)[0].Err)

	// The shared record decides again for all processes.
	for range threshold {
		bed.members[0].mustRun(fail)
	}
	for _, m := range bed.members {
		m.mustReject(redbreaker.ReasonOpen)
	}
	bed.members[0].wantState(redbreaker.StateOpen)
}

// callDuring makes calls during the outage.
func (o *outage) callDuring(m *member) {
	// The storage admits calls until it first refuses a result; the local breaker
	// counts from then on.
	local, cost := threshold, m.bed.timeout
	if o.admits {
		local, cost = threshold+1, 2*m.bed.timeout
	}
	for i := range 3 * threshold {
		start := time.Now()
		switch {
		case m.kind == redbreaker.FallbackDeny && !o.admits:
			r := m.mustReject(redbreaker.ReasonUnavailable)
			if r.Err == nil || !strings.Contains(r.Error(), "redbreaker: acquire dep: storage error") {
				m.bed.Errorf("the rejection has no cause: %v", r)
			}
		case m.kind == redbreaker.FallbackLocal && i >= local:
			m.mustReject(redbreaker.ReasonOpen)
		default:
			m.mustRun(fail)
		}
		took := time.Since(start)
		if took > cost+m.bed.slack {
			m.bed.Errorf("%v: call %d took %v, the timeout is %v", m.kind, i+1, took, m.bed.timeout)
		}
		if i >= 3 && m.bed.slack == 0 && took != 0 { // the guard trips after three errors
			m.bed.Errorf("%v: call %d waited %v for a storage that does not answer", m.kind, i+1, took)
		}
	}
}
