//go:build go1.25

package storage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// Examine compares the timeout with the distance, exactly.
func TestExamine_distance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFarBubble(t, 100*time.Millisecond, redis.Options{Username: "default", Password: "secret"}, 250*time.Millisecond)
		w.reach(t, 10*time.Second)
		found, err := w.store.Examine(ctx)
		must(t, err)
		const want = "warning: distance: a round trip takes 100ms, the timeout is 250ms; use WithTimeout of at least three round trips, 300ms"
		if got := found[len(found)-1].String(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}
