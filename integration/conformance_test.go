package integration_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/integration/servers"
	"github.com/redbreaker/redbreaker/storage"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// images returns the server images of make server-images, or those that run.sh found.
func images(t *testing.T) []string {
	t.Helper()
	if found := os.Getenv("REDBREAKER_IMAGES"); found != "" {
		return strings.Fields(found)
	}
	out, err := exec.Command("./images.sh", "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// eachServer runs a test on each image, or without Docker on the server of this
// machine.
func eachServer(t *testing.T, images []string, test func(*testing.T, *servers.Node)) {
	t.Helper()
	if !servers.UsesDocker(t) {
		t.Log("not run without Docker: " + strings.Join(images, ", "))
		test(t, servers.Standalone(t))
		return
	}
	for _, image := range images {
		t.Run(image, func(t *testing.T) { test(t, servers.Standalone(t, servers.Image(image))) })
	}
}

// conformance runs the conformance suite over clients that open returns.
func conformance(t *testing.T, open func(testing.TB) redis.UniversalClient) {
	t.Helper()
	storagetest.Run(t, func(t testing.TB) storagetest.Harness {
		ns := namespace()
		keys, err := cluster.New(ns)
		check(t, err)
		store := func(reporter string) *storage.Redis {
			s, err := storage.NewRedis(open(t), storage.WithNamespace(ns), storage.WithReporter(reporter), storage.WithTimeout(20*time.Second))
			check(t, err)
			return s
		}
		rdb := open(t)
		onKey := func(name string, f func(key string) error) {
			key, err := keys.Key(name)
			check(t, err)
			check(t, f(key))
		}
		return storagetest.Harness{
			A: store("web-1"), B: store("web-2"),
			Lose: func(name string) {
				onKey(name, func(key string) error { return rdb.Del(context.Background(), key).Err() })
			},
			Corrupt: func(name, field, text string) {
				onKey(name, func(key string) error { return rdb.HSet(context.Background(), key, field, text).Err() })
			},
			Reporters: true,
			Expires:   true,
		}
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance_standalone(t *testing.T) {
	eachServer(t, images(t), func(t *testing.T, n *servers.Node) {
		conformance(t, func(testing.TB) redis.UniversalClient { return n.Client(nil) })
	})
}

// Protocol 2 selects RESP2; all other tests here use RESP3.
func TestConformance_resp2(t *testing.T) {
	t.Parallel()
	n := servers.Standalone(t)
	conformance(t, func(testing.TB) redis.UniversalClient {
		return n.Client(func(o *redis.Options) { o.Protocol = 2 })
	})
}

func TestConformance_cluster(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	conformance(t, func(testing.TB) redis.UniversalClient { return c.Client(nil) })
}

func TestConformance_sentinel(t *testing.T) {
	t.Parallel()
	s := servers.Sentinel(t)
	conformance(t, func(testing.TB) redis.UniversalClient { return s.Client(nil) })
}

// The twin tests of package engine pass on the newest servers.
func TestTwins(t *testing.T) {
	var newest []string
	for _, image := range images(t) {
		if strings.HasSuffix(image, "redis:8.0") || strings.Contains(image, "valkey") {
			newest = append(newest, image)
		}
	}
	eachServer(t, newest, func(t *testing.T, n *servers.Node) {
		c := exec.Command("go", "test", "-count=1", "-run", "TestTwins_redis", "./engine")
		c.Dir = ".."
		c.Env = append(os.Environ(), "REDBREAKER_REDIS="+n.Addr(), "REDBREAKER_REQUIRE_REDIS=1")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("the twins on %s: %v\n%s", n.Version(), err, out)
		}
		t.Logf("the twins on %s: %s", n.Version(), out)
	})
}
