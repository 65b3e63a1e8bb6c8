package cluster

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// known holds slots as a server computed them.
var known = map[string]uint16{
	"":           0,
	"123456789":  0x31c3, // the check value in the cluster specification
	"foo":        12182,
	"{foo}bar":   12182,
	"bar{foo}":   12182,
	"{foo}{bar}": 12182,
	"foo{}":      5542, // an empty tag is none
	"{}":         15257,
	"foo{":       7673,
}

func TestSlot_known(t *testing.T) {
	for key, want := range known {
		if got := Slot(key); got != want {
			t.Errorf("Slot(%q) = %d, want %d", key, got, want)
		}
	}
}

// rawKeys draws keys that are not ours too, for the rules of hash tags.
func rawKeys() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[{}ab]{1,8}`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 64), func(b []byte) string { return string(b) }),
		rapid.Map(names(), func(name string) string { return "shop:{" + encodeName(name) + "}" }),
	)
}

func TestSlot_asGoRedis(t *testing.T) {
	slot := goRedisSlot(t)
	rapid.Check(t, func(t *rapid.T) {
		key := rawKeys().Draw(t, "key")
		if got, want := Slot(key), slot(key); got != want {
			t.Errorf("Slot(%q) = %d, go-redis says %d", key, got, want)
		}
	})
}

func TestSlot_asServer(t *testing.T) {
	rdb := redistest.Start(t, "--cluster-enabled", "yes").Client()
	equal := func(t rapid.TB, key string) {
		want, err := rdb.ClusterKeySlot(context.Background(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := Slot(key); int64(got) != want {
			t.Errorf("Slot(%.80q) = %d, the server says %d", key, got, want)
		}
	}
	for key := range known {
		equal(t, key)
	}
	k := keysOf(t, "shop")
	for _, name := range []string{"payments", "{", "}", "}a", "a}b", "\n", "\r\n", "\x00", "\xff", "pаyments", strings.Repeat("{", 1<<20)} {
		equal(t, keyOf(t, k, name))
		equal(t, name)
	}
	rapid.Check(t, func(t *rapid.T) { equal(t, rawKeys().Draw(t, "key")) })
}

// The breakers of a namespace spread over the slots no worse than chance does.
func TestSlot_distribution(t *testing.T) {
	const breakers, bins = 10_000, 256 // some 39 to a bin
	k := keysOf(t, "shop")
	for _, pattern := range []string{"service-%d", "%d", "https://host-%d.example/v1", "кафе {%d}"} {
		var counts [bins]int
		for i := range breakers {
			counts[Slot(keyOf(t, k, fmt.Sprintf(pattern, i)))/(Slots/bins)]++
		}
		var chi2 float64
		for _, n := range counts {
			const expected = float64(breakers) / bins
			chi2 += (float64(n) - expected) * (float64(n) - expected) / expected
		}
		// 255 degrees of freedom: by chance, above this once in 100 000.
		if chi2 > 359 {
			t.Errorf("%s: chi-squared %.0f", pattern, chi2)
		}
	}
}

// goRedisSlot returns the slot to which a ClusterClient sends a key. The client
// exports no such function, but shows the node that it would use. So one client
// gets a node for each of the slot's high bits, another one for each of the low
// bits. Nothing is dialed.
func goRedisSlot(t *testing.T) func(key string) uint16 {
	const half = 128 // the root of Slots
	client := func(node func(slot int) int) *redis.ClusterClient {
		c := redis.NewClusterClient(&redis.ClusterOptions{
			ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
				all := make([]redis.ClusterSlot, Slots)
				for i := range all {
					addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(1+node(i)))
					all[i] = redis.ClusterSlot{Start: i, End: i, Nodes: []redis.ClusterNode{{Addr: addr}}}
				}
				return all, nil
			},
		})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	high := client(func(slot int) int { return slot / half })
	low := client(func(slot int) int { return slot % half })
	part := func(c *redis.ClusterClient, key string) uint16 {
		node, err := c.MasterForKey(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(node.Options().Addr)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		return uint16(n - 1)
	}
	return func(key string) uint16 { return part(high, key)*half + part(low, key) }
}
