//go:build go1.25

package docs

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

func TestRecipe_throughRedisInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		mini.ClockTTL(true)
		defer mini.Close()
		rdb := redis.NewClient(&redis.Options{
			Addr:   "192.0.2.1:6379", // an address: a host name would leave the bubble
			Dialer: func(context.Context, string, string) (net.Conn, error) { return mini.Dial() },
		})
		defer rdb.Close()
		store, err := storage.NewRedis(rdb)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute},
			redbreaker.WithStorage(store))
		if err != nil {
			t.Fatal(err)
		}
		defer payments.Stop()

		var outage error
		pay := func() error {
			return payments.Do(t.Context(), func(context.Context) error { return outage })
		}
		outage = errors.New("503")
		_, _ = pay(), pay()
		if err := pay(); !errors.Is(err, redbreaker.ErrRejected) {
			t.Errorf("after two failures: %v, want a rejection", err)
		}
		outage = nil
		time.Sleep(time.Minute) // takes no time in the bubble
		if err := pay(); err != nil {
			t.Errorf("the probe: %v", err)
		}
	})
}
