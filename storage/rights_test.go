package storage_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage"
)

// leastRights is all that a user of the namespace fleet needs; docs/operations.md
// says the same to operators. go-redis itself needs none of its own: HELLO and
// AUTH are free for all, and what it says about itself may be refused.
const leastRights = "~fleet:* &fleet:* +evalsha +eval +script|load +time +type +hget +hmget +hgetall +hset +hdel +persist +pexpire +publish +zadd +zrangebyscore +zrem +zscore"

// clusterRights are the rights that go-redis needs on a cluster in addition: to read
// the map and the table of commands, and to follow a slot that moves.
const clusterRights = "+cluster|slots +command +asking"

// everything lets a user do all there is.
const everything = "~* &* +@all"

// F51: with these rights, all works, from the loading of the scripts on.
func TestRights_sufficient(t *testing.T) {
	server := redistest.Start(t)
	for _, protocol := range []int{2, 3} {
		admin := server.Client()
		must(t, admin.FlushAll(ctx).Err())
		must(t, admin.ScriptFlush(ctx).Err())
		must(t, admin.Do(ctx, "acl", "log", "reset").Err())
		o := *user(t, server.Addr(), leastRights).Options()
		o.Protocol = protocol
		rdb := open(t, &o)
		must(t, useAll(newStorage(t, rdb)))
		must(t, useAll(newStorage(t, rdb, storage.WithColocation("orders"))))
		for _, denied := range denials(t, admin) {
			// go-redis sends its name and Ping asks for the version; neither is needed.
			if !strings.HasPrefix(denied, "client|") && denied != "info" {
				t.Errorf("RESP%d: the server denied %s", protocol, denied)
			}
		}
	}
}

func TestRights_cluster(t *testing.T) {
	server := redistest.Start(t, "--cluster-enabled", "yes")
	admin := server.Client()
	must(t, admin.ClusterAddSlotsRange(ctx, 0, 16383).Err())
	eventually(t, "the cluster is complete", func() bool {
		return strings.Contains(admin.ClusterInfo(ctx).Val(), "cluster_state:ok")
	})
	must(t, admin.Do(ctx, "acl", "log", "reset").Err())
	o := user(t, server.Addr(), leastRights+" "+clusterRights).Options()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}, Username: o.Username, Password: o.Password})
	t.Cleanup(func() { _ = rdb.Close() })
	must(t, useAll(newStorage(t, rdb)))
	for _, denied := range denials(t, admin) {
		if !strings.HasPrefix(denied, "client|") && denied != "info" {
			t.Errorf("the server denied %s", denied)
		}
	}
}

// viewerRights is all that a user needs who lists and inspects the breakers.
const viewerRights = "~fleet:* +zscan +hget +evalsha +eval +script|load +time +type +hgetall"

// With the viewer's rights, listing and inspecting work, and commands do not.
func TestRights_viewer(t *testing.T) {
	server := redistest.Start(t)
	whole := newStorage(t, server.Client())
	h, _ := bind(t, whole, opensAtOnce)
	fails(t, h, 1)
	awaitNames(t, whole, []string{name})
	s := newStorage(t, user(t, server.Addr(), viewerRights))
	if got := listNames(t, s); len(got) != 1 {
		t.Errorf("listed %q, want %q", got, name)
	}
	if got, err := s.InspectMany(ctx, []string{name}); err != nil || got[0].State != engine.StateOpen {
		t.Errorf("%+v, %v, want the open breaker", got, err)
	}
	if _, err := s.Control(ctx, name, engine.Command{Action: engine.ActionReset}); err == nil {
		t.Error("a viewer may reset a breaker")
	}
}

// Without the rights of the index, breakers work, and one event says why they are
// not listed.
func TestRights_noIndex(t *testing.T) {
	server := redistest.Start(t)
	s := newStorage(t, user(t, server.Addr(), strings.Replace(leastRights, "+zadd", "", 1)))
	h, e := bind(t, s, opensAtOnce)
	fails(t, h, 1)
	wantRejected(t, h, engine.ReasonOpen)
	eventually(t, "an event about the index", func() bool { return e.of(engine.EventUnlisted) == 1 })
	runtime.KeepAlive(h)
	if got := listNames(t, newStorage(t, server.Client())); len(got) != 0 {
		t.Errorf("listed %q", got)
	}
}

// Each right is needed, and Ping names a missing one. EVAL and SCRIPT LOAD replace
// each other.
func TestRights_necessary(t *testing.T) {
	server := redistest.Start(t)
	for _, right := range strings.Fields(leastRights) {
		if right == "+eval" || right == "+script|load" {
			continue
		}
		t.Run(right, func(t *testing.T) {
			s := newStorage(t, user(t, server.Addr(), strings.Replace(leastRights+" ", right+" ", "", 1)))
			e := wantClass(t, s.Ping(ctx), engine.ClassRefused, "ping")
			if command, ok := strings.CutPrefix(right, "+"); ok {
				wantSays(t, e, strings.ToUpper(command))
			}
		})
	}
}

// What the scripts call, all of them and each of them, is in the list, and Ping
// tries it.
func TestRights_areThoseOfTheScripts(t *testing.T) {
	called, tried := map[string]bool{}, map[string]bool{}
	must(t, fs.WalkDir(scripts.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(scripts.Files, path)
		into, call := called, regexp.MustCompile(`redis\.p?call\('(\w+)'`)
		if path == "ping.lua" {
			into, call = tried, regexp.MustCompile(`\btry\('(\w+)'`)
		}
		for _, found := range call.FindAllSubmatch(text, -1) {
			into["+"+strings.ToLower(string(found[1]))] = true
		}
		return err
	}))
	listed := map[string]bool{}
	for _, right := range strings.Fields(leastRights)[2:] {
		listed[right] = right != "+evalsha" && right != "+eval" && right != "+script|load"
	}
	maps.DeleteFunc(listed, func(_ string, within bool) bool { return !within })
	if diff := cmp.Diff(listed, called); diff != "" {
		t.Errorf("what the scripts call (-listed +called):\n%s", diff)
	}
	if diff := cmp.Diff(listed, tried); diff != "" {
		t.Errorf("what Ping tries (-listed +tried):\n%s", diff)
	}
}

// A missing right to publish affects no step; only the events are missing.
func TestRights_noPublish(t *testing.T) {
	server := redistest.Start(t)
	s := newStorage(t, user(t, server.Addr(), strings.ReplaceAll(leastRights, "&fleet:*", "")))
	h, e := bind(t, s, opensAtOnce)
	fails(t, h, 1)
	wantRejected(t, h, engine.ReasonOpen)
	if n := e.of(engine.EventTransition); n != 2 {
		t.Errorf("%d transition events, want created and consecutive", n)
	}
}

// A right that is lacking inside of a script stops it before it writes: reading
// comes first, and there is one writing command.
func TestRights_deniedWithin(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client()
	whole := newStorage(t, admin)
	h, _ := bind(t, whole, opensAtOnce)
	fails(t, h, 1)
	before := content(t, admin, key)
	for _, command := range []string{"time", "hmget", "hset"} {
		s := newStorage(t, user(t, server.Addr(), everything+" -"+command))
		_, err := s.Control(ctx, name, engine.Command{Action: engine.ActionReset})
		wantClass(t, err, engine.ClassUnknown, "control")
		wantSame(t, admin, key, before)
	}
}

// ---- helpers ----

// user makes a user of the server with these rights, and returns its client.
func user(t *testing.T, addr, rights string) *redis.Client {
	t.Helper()
	args := []any{"acl", "setuser", "breaker", "reset", "on", ">secret"}
	for _, right := range strings.Fields(rights) {
		args = append(args, right)
	}
	must(t, open(t, &redis.Options{Addr: addr}).Do(ctx, args...).Err())
	return open(t, &redis.Options{Addr: addr, Username: "breaker", Password: "secret"})
}

// denials returns the denied commands in the server's ACL log.
func denials(t *testing.T, admin *redis.Client) []string {
	t.Helper()
	entries, err := admin.ACLLog(ctx, 100).Result()
	must(t, err)
	var objects []string
	for _, e := range entries {
		objects = append(objects, e.Object)
	}
	return objects
}

// useAll goes with a storage through every script and every kind of field.
func useAll(s *storage.Redis) error {
	errs := []error{s.Ping(ctx)}
	then := func(err error) {
		if !errors.Is(err, engine.ErrRejected) {
			errs = append(errs, err)
		}
	}
	failing := engine.Result{Runs: []engine.Run{{Outcome: engine.Success, N: 3}, {Outcome: engine.Failure, N: 1}, {Outcome: engine.SlowFailure, N: 1}}}
	for breaker, policy := range map[string]engine.Policy{
		"consecutive": {ConsecutiveFailures: 2, OpenFor: time.Millisecond},
		"count":       {Window: engine.Window{Calls: 5, FailureCount: 2, SlowCallRate: 1, SlowCallDuration: time.Second}, OpenFor: time.Millisecond},
		"time":        {Window: engine.Window{Period: 10 * time.Millisecond, FailureRate: 0.3, MinCalls: 5}, MinReporters: 2, OpenFor: time.Millisecond},
	} {
		h, err := s.Bind(breaker, policy, nil)
		if err != nil {
			return err
		}
		for range 3 {
			ticket, err := h.Acquire(ctx)
			then(err)
			if err != nil || !ticket.Counted() {
				time.Sleep(2 * time.Millisecond)
				continue
			}
			failing.Ticket = ticket
			if ticket.Lease == 0 {
				_, err = h.Step(ctx, engine.Batch{Results: []engine.Result{failing}, Admissions: 1, Reporter: "web-1"})
			} else {
				_, err = h.Report(ctx, ticket, engine.Success, 0, nil)
			}
			then(err)
			time.Sleep(2 * time.Millisecond)
		}
		for action := engine.ActionTrip; action <= engine.ActionRelease; action++ {
			_, err = h.Control(ctx, engine.Command{Action: action})
			if !errors.Is(err, engine.ErrForced) {
				then(err)
			}
			_, err = h.Acquire(ctx)
			then(err)
		}
		_, err = s.Control(ctx, breaker, engine.Command{Action: engine.ActionReset, Reason: "drill", Actor: "ops"})
		then(err)
		_, err = s.Inspect(ctx, breaker)
		then(err)
	}
	return errors.Join(errs...)
}

// A server that refuses the connection, for a wrong password, is an error of every
// command in a pipeline.
func TestPipelines_refusedConnection(t *testing.T) {
	server := redistest.Start(t)
	o := *user(t, server.Addr(), everything).Options()
	o.Password = "wrong"
	s := newStorage(t, open(t, &o))
	_, err := s.InspectMany(ctx, []string{name, "b"})
	e := wantClass(t, err, engine.ClassRefused, "inspect")
	wantSays(t, e, "WRONGPASS")

	var all sync.WaitGroup
	for i := range 64 {
		h, err := s.Bind(fmt.Sprint("dep-", i), opensAtOnce, nil)
		must(t, err)
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := h.Acquire(ctx); err == nil || strings.Contains(err.Error(), "no script gives") {
				t.Errorf("got %v, want the server's refusal", err)
			}
		}()
	}
	all.Wait()
}
