package storage_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// documentedRights are the lines of docs/operations.md about rights, as they are printed.
type documentedRights struct {
	server, cluster string // users of breakers
	watching        string // in addition to them
	viewer          string
	viewerWatching  string // in addition to it
	viewerCluster   string
}

func readRights(t *testing.T) (r documentedRights) {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	must(t, err)
	for part, pattern := range map[*string]string{
		&r.server:         `(?m)^A single server, or Sentinel:\s+` + "```" + `\s+(ACL SETUSER .*)$`,
		&r.cluster:        `(?m)^A cluster:\s+` + "```" + `\s+(ACL SETUSER .*)$`,
		&r.watching:       "For \\[`WithWatch`\\]\\(#watching\\) add `([^`]*)`, and `[^`]*`, without which it works too",
		&r.viewer:         "`(ACL SETUSER viewer [^`]*)`",
		&r.viewerWatching: "rights of a \\[viewer\\]\\(#listing\\) and `([^`]*)`",
		&r.viewerCluster:  "On a cluster add `([^`]*)`",
	} {
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("docs/operations.md has nothing like %s", pattern)
		}
		*part = string(found[1])
	}
	return r
}

// setUser runs a documented line, with more rights, word by word as redis-cli does.
func setUser(t *testing.T, admin *redis.Client, line string) {
	t.Helper()
	var args []any
	for word := range strings.FieldsSeq(line) {
		args = append(args, word)
	}
	must(t, admin.Do(ctx, args...).Err())
}

// The rights that docs/operations.md prints are enough for what it says, on a single server
// and on a cluster: for calls, for watching without and with the right to ping, for listing
// and viewing, and for watching as a viewer. A viewer may change nothing.
func TestRights_documented(t *testing.T) {
	const namespace = "shop" // that of the documented lines
	docs := readRights(t)
	single, cluster := redistest.Start(t), redistest.StartCluster(t, 1)[0]
	for what, test := range map[string]struct {
		server          *redistest.Server
		service, viewer string
	}{
		"single server": {single, docs.server, docs.viewer},
		"cluster":       {cluster, docs.cluster, docs.viewer + " " + docs.viewerCluster},
	} {
		client := func(user string) redis.UniversalClient {
			o := redis.UniversalOptions{Addrs: []string{test.server.Addr()}, Username: user, Password: "secret", IsClusterMode: what == "cluster"}
			rdb := redis.NewUniversalClient(&o)
			t.Cleanup(func() { _ = rdb.Close() })
			return rdb
		}
		admin := test.server.Client()
		as := func(user string, opts ...storage.Option) *storage.Redis {
			return newStorage(t, client(user), append(opts, storage.WithNamespace(namespace))...)
		}
		mustAllow := func(what string) {
			t.Helper()
			for _, denied := range denials(t, admin) {
				if !strings.HasPrefix(denied, "client|") && denied != "info" {
					t.Errorf("%s: the server denied %s", what, denied)
				}
			}
			must(t, admin.Do(ctx, "acl", "log", "reset").Err())
		}
		t.Run(what, func(t *testing.T) {
			setUser(t, admin, test.service)
			must(t, useAll(as("breaker")))
			mustAllow("calling")
			for _, watching := range []string{docs.watching, docs.watching + " +ping"} {
				setUser(t, admin, strings.Replace(test.service, "on >secret", "reset on >secret", 1)+" "+watching)
				s := as("breaker", storage.WithWatch())
				must(t, s.Ping(ctx))
				h, e := bind(t, s, opensAtOnce)
				acquire(t, h)
				awaitBaseline(t, h)
				mover := as("breaker")
				_, err := mover.Control(ctx, name, engine.Command{Action: engine.ActionTrip})
				must(t, err)
				awaitState(t, h, engine.StateOpen)
				_, err = mover.Control(ctx, name, engine.Command{Action: engine.ActionReset})
				must(t, err)
				awaitState(t, h, engine.StateClosed)
				if n := e.of(engine.EventPushLost); n > 0 {
					t.Errorf("%q: %d events say that push is lost", watching, n)
				}
				must(t, mover.Close()) // which lists the breaker
				mustAllow("watching with " + watching)
			}
			setUser(t, admin, test.viewer)
			viewer := as("viewer")
			eventually(t, "the viewer to list the breaker", func() bool {
				for l, err := range viewer.Names(ctx) {
					must(t, err)
					if l.Name == name {
						return true
					}
				}
				return false
			})
			if got, err := viewer.InspectMany(ctx, []string{name}); err != nil || !got[0].Exists {
				t.Errorf("a viewer inspects %+v, %v", got, err)
			}
			mustAllow("viewing")
			if err := viewer.Watch(ctx, func(engine.Event) {}); !isRefused(err) {
				t.Errorf("a viewer without the rights watches: %v", err)
			}
			must(t, admin.Do(ctx, "acl", "log", "reset").Err())
			setUser(t, admin, test.viewer+" "+docs.viewerWatching)
			// The head of an open breaker does not say for how long, so its log is read, too.
			mover := as("breaker")
			_, err := mover.Control(ctx, name, engine.Command{Action: engine.ActionTrip})
			must(t, err)
			var reads readCounter
			watcher := client("viewer")
			watcher.AddHook(&reads)
			seen, _, _ := watchAll(t, newStorage(t, watcher, storage.WithNamespace(namespace)))
			eventually(t, "the log to be read", func() bool { return reads.n.Load() > 0 })
			_, err = mover.Control(ctx, name, engine.Command{Action: engine.ActionReset})
			must(t, err)
			eventually(t, "the viewer to see the transition", func() bool { return len(seen.transitionsOf(name)) > 0 })
			mustAllow("watching as a viewer")
			if _, err := viewer.Control(ctx, name, engine.Command{Action: engine.ActionReset}); err == nil {
				t.Error("a viewer may reset a breaker")
			}
		})
	}
}

// isRefused reports whether the server refused the operation.
func isRefused(err error) bool { return classOf(err) == engine.ClassRefused }
