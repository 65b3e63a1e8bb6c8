package integration_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/integration/servers"
	"github.com/redbreaker/redbreaker/storage"
)

// viewerRights returns the ACL rules that docs/operations.md documents for a user who
// lists and watches, for a namespace: of a single server, or of a cluster.
func viewerRights(t *testing.T, namespace string, ofCluster bool) []any {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	check(t, err)
	var all []any
	for what, pattern := range map[string]string{
		"listing":    "`ACL SETUSER viewer on >secret ([^`]*)`",
		"watching":   `rights of a \[viewer\]\(#listing\) and ` + "`([^`]*)`",
		"on cluster": "On a cluster add `([^`]*)`",
	} {
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("docs/operations.md has no rights for %s", what)
		}
		if what == "on cluster" && !ofCluster {
			continue
		}
		for _, right := range strings.Fields(strings.ReplaceAll(string(found[1]), "shop:", namespace+":")) {
			all = append(all, right)
		}
	}
	return all
}

// A viewer with the documented rights lists, inspects and watches on a cluster, and may
// change nothing.
func TestACL_viewer(t *testing.T) {
	for what, start := range map[string]func() ([]*servers.Node, func(user, password string) redis.UniversalClient){
		"single server": func() ([]*servers.Node, func(string, string) redis.UniversalClient) {
			n := servers.Standalone(t, servers.Args("--maxclients", "1000"))
			return []*servers.Node{n}, func(user, password string) redis.UniversalClient {
				return n.Client(func(o *redis.Options) { o.Username, o.Password = user, password })
			}
		},
		"cluster": func() ([]*servers.Node, func(string, string) redis.UniversalClient) {
			c := servers.Cluster(t)
			return c.Nodes, func(user, password string) redis.UniversalClient {
				return c.Client(func(o *redis.ClusterOptions) { o.Username, o.Password = user, password })
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			nodes, client := start()
			ns := namespace()
			for _, n := range nodes {
				line := viewerRights(t, ns, len(nodes) > 1)
				n.Do(append([]any{"acl", "setuser", "viewer", "reset", "on", ">secret"}, line...)...)
			}
			ctx := context.Background()
			owner, err := storage.NewRedis(client("", ""), storage.WithNamespace(ns), storage.WithTimeout(5*time.Second))
			check(t, err)
			defer owner.Close()
			viewer, err := storage.NewRedis(client("viewer", "secret"), storage.WithNamespace(ns), storage.WithTimeout(5*time.Second))
			check(t, err)
			defer viewer.Close()
			names := breakerNames(breakers)
			for _, name := range names {
				_, err := owner.Control(ctx, name, engine.Command{Action: engine.ActionReset})
				check(t, err)
			}
			await(t, "the viewer lists all breakers", time.Minute, func() bool {
				n := 0
				for _, err := range viewer.Names(ctx) {
					check(t, err)
					n++
				}
				return n == len(names)
			})
			if _, err := viewer.InspectMany(ctx, names); err != nil {
				t.Errorf("the viewer inspects: %v", err)
			}
			mustDeliver(t, owner, viewer, names)
			if _, err := viewer.Control(ctx, names[0], engine.Command{Action: engine.ActionTrip}); err == nil {
				t.Error("the viewer may open a breaker")
			}
		})
	}
}

// mustDeliver makes a transition of each breaker, which Watch of the viewer must deliver.
func mustDeliver(t *testing.T, owner, viewer *storage.Redis, names []string) {
	t.Helper()
	watching, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready, seen := make(chan struct{}), make(chan string, 10*len(names))
	ended := make(chan error, 1)
	go func() {
		ended <- viewer.Watch(watching, func(e engine.Event) {
			switch {
			case e.Kind == engine.EventReady:
				close(ready)
			case e.Kind == engine.EventTransition && e.Transition.To == engine.StateOpen:
				seen <- e.Name
			}
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("Watch ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("Watch does not begin")
	}
	for _, name := range names {
		_, err := owner.Control(watching, name, engine.Command{Action: engine.ActionTrip})
		check(t, err)
	}
	missing := map[string]bool{}
	for _, name := range names {
		missing[name] = true
	}
	for deadline := time.After(time.Minute); len(missing) > 0; {
		select {
		case name := <-seen:
			delete(missing, name)
		case <-deadline:
			t.Fatalf("the transitions of these are not delivered: %v", missing)
		}
	}
}
