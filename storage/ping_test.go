package storage_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

func TestPing(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		m, rdb := redistest.Mini(t)
		must(t, newStorage(t, rdb).Ping(ctx))
		if keys := m.Keys(); len(keys) != 1 || m.TTL(keys[0]) <= 0 {
			t.Errorf("it left %q, want one key that expires", keys)
		}
	})
	t.Run("server", func(t *testing.T) { must(t, newStorage(t, redistest.Start(t).Client()).Ping(ctx)) })
}

// Ping names each way in which a server is unsuitable, and what to change.
func TestPing_rights(t *testing.T) {
	addr := redistest.Start(t).Addr()
	for rights, words := range map[string][]string{
		everything + " -time":             {"may not run TIME", "docs/operations.md"},
		everything + " -hmget":            {"may not run HMGET"},
		everything + " -hset":             {"may not run HSET"},
		everything + " -pexpire":          {"may not run PEXPIRE"},
		everything + " -persist -publish": {"may not run PERSIST, PUBLISH"},
		"~* +@all":                        {"may not run PUBLISH"},
		"~* &other:* +@all":               {"may not run PUBLISH"},
		"~other:* &* +@all":               {"NOPERM", "grant its keys", "docs/operations.md"},
		"~* &* +@all -@scripting":         {"NOPERM", "EVALSHA, EVAL and SCRIPT LOAD"},
		"~* &* -@all":                     {"NOPERM", "EVALSHA, EVAL and SCRIPT LOAD"},
	} {
		t.Run(rights, func(t *testing.T) {
			err := newStorage(t, user(t, addr, rights)).Ping(ctx)
			wantSays(t, wantClass(t, err, engine.ClassRefused, "ping"), words...)
		})
	}
}

func TestPing_passwords(t *testing.T) {
	addr := redistest.Start(t, "--requirepass", "right").Addr()
	for what, test := range map[string]struct {
		user, password string
		words          []string
	}{
		"wrong password": {"", "wrong", []string{"WRONGPASS", "check the user and the password"}},
		"wrong user":     {"stranger", "right", []string{"WRONGPASS", "check the user and the password"}},
		"no password":    {"", "", []string{"NOAUTH", "check the user and the password"}},
	} {
		t.Run(what, func(t *testing.T) {
			for _, inline := range []bool{true, false} {
				rdb := open(t, &redis.Options{Addr: addr, Username: test.user, Password: test.password, ContextTimeoutEnabled: inline})
				err := newStorage(t, rdb).Ping(ctx)
				wantSays(t, wantClass(t, err, engine.ClassRefused, "ping"), test.words...)
			}
		})
	}
	must(t, newStorage(t, open(t, &redis.Options{Addr: addr, Password: "right"})).Ping(ctx))
}

func TestPing_version(t *testing.T) {
	for version, want := range map[string]string{
		"redis_version:5.0.14":                         "the server is version 5.0.14, use 6.0 or later",
		"redis_version:2.8":                            "the server is version 2.8",
		"redis_version:6.0.0":                          "",
		"redis_version:255.1":                          "", // a build of its unstable branch
		"redis_version:new":                            "",
		"redis_version:4.0.0\r\nkvrocks_version:2.9.0": "",
		"server_name:another":                          "",
		"-ERR no version":                              "",
	} {
		m, rdb := redistest.Mini(t)
		m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
			if cmd != "INFO" {
				return false
			}
			if said, isError := strings.CutPrefix(version, "-"); isError {
				c.WriteError(said)
			} else {
				c.WriteBulk("# Server\r\n" + version + "\r\nos:Linux\r\n")
			}
			return true
		})
		err := newStorage(t, rdb).Ping(ctx)
		if want == "" {
			must(t, err)
		} else {
			wantSays(t, wantClass(t, err, engine.ClassRefused, "ping"), want)
		}
	}
}

// A server whose clock no step can calculate with is refused. One that runs scripts
// and does not answer TIME outside of them, as behind a proxy, is not.
func TestPing_clock(t *testing.T) {
	for now, works := range map[int64]bool{0: false, 1: true, 1<<42 - 1: true, 1 << 42: false} {
		m, rdb := redistest.Mini(t)
		m.SetTime(time.UnixMilli(now))
		s := newStorage(t, rdb)
		h, _ := bind(t, s, neverOpens)
		if _, err := h.Acquire(ctx); (err == nil) != works {
			t.Errorf("a step at %d ms: %v", now, err)
		}
		err := s.Ping(ctx)
		if works {
			must(t, err)
			continue
		}
		wantSays(t, wantClass(t, err, engine.ClassRefused, "ping"), fmt.Sprintf("at %d ms", now), "clock is out of range, set it to the time of day")
	}

	m, rdb := redistest.Mini(t)
	var asked atomic.Int32 // the first time by the script
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd != "TIME" || asked.Add(1) == 1 {
			return false
		}
		c.WriteError("ERR unsupported command")
		return true
	})
	must(t, newStorage(t, rdb).Ping(ctx))
	if n := asked.Load(); n != 2 {
		t.Errorf("the server was asked for its time %d times, want 2", n)
	}
}

// A server without scripts says so in its own words.
func TestPing_noScripts(t *testing.T) {
	m, rdb := redistest.Mini(t)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" {
			c.WriteError("ERR unknown command 'EVALSHA', with args beginning with: ")
		}
		return cmd == "EVALSHA"
	})
	err := newStorage(t, rdb).Ping(ctx)
	wantSays(t, wantClass(t, err, engine.ClassRefused, "ping"), "unknown command", "runs no scripts", "Redis 6.0 or later")
}

// F52 and worse: what answers is not a Redis, or not in the way it is asked.
func TestPing_notARedis(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	m := miniredis.RunT(t)
	for what, test := range map[string]struct {
		addr  string
		tls   *tls.Config
		words []string
	}{
		"nothing listens":   {closedPort(t), nil, []string{"connection refused", "check the address, whether a Redis runs there"}},
		"a web server":      {web.Listener.Addr().String(), nil, []string{"check the address"}},
		"a mail server":     {greeter(t, "220 mail.example ESMTP\r\n"), nil, []string{"check the address"}},
		"one that hangs up": {greeter(t, ""), nil, []string{"check the address"}},
		"TLS is expected":   {secure.Listener.Addr().String(), nil, []string{"whether it wants TLS"}},
		"TLS is not spoken": {m.Addr(), &tls.Config{ServerName: "redis.example"}, []string{"whether it wants TLS"}},
		"the wrong server":  {secure.Listener.Addr().String(), &tls.Config{ServerName: "redis.example"}, []string{"certificate", "server name", "TLS settings"}},
	} {
		t.Run(what, func(t *testing.T) {
			rdb := open(t, &redis.Options{Addr: test.addr, TLSConfig: test.tls, MaxRetries: -1, DialerRetries: 1})
			err := newStorage(t, rdb).Ping(ctx)
			e := wantClass(t, err, engine.ClassNotExecuted, "ping")
			wantSays(t, e, test.words...)
		})
	}
}

// F67: a client of single servers on a node of a cluster. Ping says which client to
// use, whichever node has its own key and whatever the user may do; so does the error
// of each call whose key is on another node.
func TestPing_nodeOfACluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	for i, node := range nodes {
		must(t, node.Admin().Do(ctx, "acl", "setuser", "breaker", "on", ">pass", "~*", "&*", "+@all", "-info", "-cluster", "-hello").Err())
		for what, change := range map[string]func(*redis.Options){
			"":                func(*redis.Options) {},
			"RESP2":           func(o *redis.Options) { o.Protocol = 2 },
			"few rights":      func(o *redis.Options) { o.Username, o.Password = "breaker", "pass" },
			"database number": func(o *redis.Options) { o.DB = 1 },
		} {
			t.Run(fmt.Sprintf("node %d %s", i, what), func(t *testing.T) {
				o := &redis.Options{Addr: node.Addr()}
				change(o)
				wantNeedsClusterClient(t, newStorage(t, open(t, o)).Ping(ctx))
				wantNeedsClusterClient(t, newStorage(t, openTracer{tracer{open(t, o)}}).Ping(ctx))
			})
		}
	}

	s := newStorage(t, nodes[0].Client())
	names, redirected := []string{"a", "b", "c", "d", "e", "f", "g", "h"}, 0
	for _, name := range names {
		h, err := s.Bind(name, neverOpens, nil)
		must(t, err)
		_, acquired := h.Acquire(ctx)
		_, inspected := s.Inspect(ctx, name)
		_, many := s.InspectMany(ctx, []string{name})
		if acquired == nil {
			must(t, errors.Join(inspected, many))
			continue
		}
		redirected++
		for _, err := range []error{acquired, inspected, many} {
			wantNeedsClusterClient(t, err)
			wantSays(t, err, "MOVED")
		}
	}
	if redirected == 0 || redirected == len(names) {
		t.Errorf("%d of %d breakers are on other nodes", redirected, len(names))
	}

	cluster := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{nodes[0].Addr()}, IsClusterMode: true})
	t.Cleanup(func() { _ = cluster.Close() })
	must(t, newStorage(t, cluster).Ping(ctx))
	must(t, newStorage(t, tracer{cluster}).Ping(ctx))
}

func wantNeedsClusterClient(t testing.TB, err error) {
	t.Helper()
	var e *engine.StorageError
	if !errors.As(err, &e) || strings.Contains(err.Error(), "TLS") {
		t.Errorf("got %T %v, want a storage error that does not blame TLS", err, err)
	}
	wantSays(t, err, "redis.NewClusterClient", "IsClusterMode: true in redis.UniversalOptions")
}

// A redirect of a client that knows the cluster, or may know it, is no reason to use
// another client.
func TestPing_redirected(t *testing.T) {
	m, rdb := redistest.Mini(t)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "EVALSHA" {
			c.WriteError("MOVED 1 " + m.Addr())
		}
		return cmd == "EVALSHA"
	})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"shard": m.Addr()}})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{m.Addr()}, MaxRedirects: -1})
	t.Cleanup(func() { _, _ = ring.Close(), cluster.Close() })
	for what, test := range map[string]struct {
		client redis.UniversalClient
		blamed bool
	}{
		"client":           {rdb, true},
		"ring":             {ring, true},
		"cluster client":   {cluster, false},
		"hidden by a type": {tracer{cluster}, false},
	} {
		err := newStorage(t, test.client, storage.WithTimeout(500*time.Millisecond)).Ping(ctx)
		// A cluster client is redirected until the timeout ends the call, in a pause or while
		// a command is in flight, whose fate is then unknown.
		if c := classOf(err); c != engine.ClassNotExecuted && (c != engine.ClassUnknown || test.blamed) {
			t.Errorf("%s: class %v of %v", what, c, err)
		}
		wantSays(t, err, "MOVED 1 ")
		if strings.Contains(err.Error(), "DialerRetries") {
			t.Errorf("%s: the error blames the dialer: %v", what, err)
		}
		if blamed := strings.Contains(err.Error(), "IsClusterMode"); blamed != test.blamed || blamed && strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A server that does not say its mode is a single one.
func TestPing_modeUnknown(t *testing.T) {
	for _, reply := range []string{"-ERR unknown command 'HELLO'", "text", ""} {
		m := miniredis.RunT(t)
		rdb := open(t, &redis.Options{Addr: m.Addr()})
		var connected sync.Map
		m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
			if cmd != "HELLO" {
				return false
			}
			_, again := connected.LoadOrStore(c, true)
			switch text, isError := strings.CutPrefix(reply, "-"); {
			case !again: // the client makes the connection
				return false
			case isError:
				c.WriteError(text)
			default:
				c.WriteBulk(text)
			}
			return true
		})
		if err := newStorage(t, rdb).Ping(ctx); err != nil {
			t.Errorf("HELLO answered with %q: %v", reply, err)
		}
	}
}

// ---- helpers ----

// open returns a client that is patient unless the options say otherwise: the timeout
// of go-redis, 3 s, may pass on a busy machine.
func open(t testing.TB, o *redis.Options) *redis.Client {
	t.Helper()
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 20 * time.Second
	}
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// closedPort is an address on which nothing listened just now.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// greeter is a server that says the same to each line it hears; with nothing to
// say, it hangs up.
func greeter(t testing.TB, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done, stop := context.WithCancel(ctx)
	t.Cleanup(func() { stop(); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(done, func() { c.Close() })
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan() && text != ""; {
					fmt.Fprint(c, text)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// The error of a refused connection has the dial error, or says how to get it.
func TestStorageError_refusedConnection(t *testing.T) {
	for retries, want := range map[int]string{
		1: "(not executed): dial tcp 127.0.0.1:1: connect: connection refused",
		0: "(not executed): no connection to the server, a client with DialerRetries 1 returns the dial error: no answer within 250ms: context deadline exceeded",
	} {
		for _, enabled := range []bool{false, true} {
			s := newStorage(t, open(t, &redis.Options{Addr: "127.0.0.1:1", DialerRetries: retries, ContextTimeoutEnabled: enabled}), storage.WithTimeout(storage.DefaultTimeout))
			if _, err := s.Inspect(ctx, name); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("DialerRetries %d: %v, want %q", retries, err, want)
			}
		}
	}
}

// A server that takes connections and answers nothing has no dial error, so the error of a
// client that dials once does not ask for that.
func TestStorageError_connectedWithoutAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	for retries, want := range map[int]string{
		1: "no connection to the server: no answer within 50ms",
		2: "no connection to the server, a client with DialerRetries 1 returns the dial error: no answer within 50ms",
	} {
		s := newStorage(t, open(t, &redis.Options{Addr: l.Addr().String(), DialerRetries: retries, ContextTimeoutEnabled: true, ReadTimeout: 100 * time.Millisecond}),
			storage.WithTimeout(50*time.Millisecond))
		_, err := s.Inspect(ctx, name)
		wantSays(t, wantClass(t, err, engine.ClassNotExecuted, "inspect"), want)
	}
}

// A client that is closed too early is named as such, and neither the address nor TLS
// is blamed.
func TestPing_closedClient(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: closedPort(t)})
	s := newStorage(t, rdb)
	must(t, rdb.Close())
	err := s.Ping(ctx)
	wantSays(t, wantClass(t, err, engine.ClassNotExecuted, "ping"), "client is closed, stop the breakers and close the storage before the client")
	if strings.Contains(err.Error(), "TLS") {
		t.Errorf("%v blames the address", err)
	}
}

// A replica, a database number and a namespace are named as such, and not taken for a
// missing right or for TLS.
func TestPing_advice(t *testing.T) {
	server, replica := redistest.Start(t), redistest.Start(t)
	host, port, err := net.SplitHostPort(server.Addr())
	must(t, err)
	must(t, replica.Admin().ReplicaOf(ctx, host, port).Err())
	for says, rdb := range map[string]*redis.Client{
		"use the address of its primary":                   replica.Client(),
		"use the number of a database that the server has": open(t, &redis.Options{Addr: server.Addr(), DB: 99}),
		"check the namespace":                              user(t, server.Addr(), "~other:* &* +@all"),
	} {
		err := newStorage(t, rdb).Ping(ctx)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "TLS") || strings.Contains(err.Error(), "may not run") {
			t.Errorf("Ping: %v, want %q", err, says)
		}
	}
}
