//go:build go1.25

package storage_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// F33: a host whose clock is decades slow, as a bubble's is, sees and does the
// same as one whose clock is right: the server's clock alone counts.
func TestClocks_ofHostsDoNotMatter(t *testing.T) {
	right := lifeOfABreaker(t)
	var slow []string
	synctest.Test(t, func(t *testing.T) {
		if year := time.Now().Year(); year != 2000 {
			t.Fatalf("the bubble is in the year %d", year)
		}
		slow = lifeOfABreaker(t)
	})
	if diff := cmp.Diff(right, slow); diff != "" {
		t.Errorf("the hosts differ (-right +slow):\n%s", diff)
	}
}

// lifeOfABreaker moves a server's clock through open periods and probes, and
// returns what a client saw.
func lifeOfABreaker(t *testing.T) []string {
	t.Helper()
	m := miniredis.NewMiniRedis()
	t.Cleanup(m.Close)
	rdb := open(t, &redis.Options{Addr: "192.0.2.1:6379", Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() }})
	s := newStorage(t, rdb)
	h, _ := bind(t, s, engine.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute, HalfOpen: engine.HalfOpen{Lease: time.Minute}})

	var saw []string
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	m.SetTime(now)
	for _, do := range []struct {
		after   time.Duration
		outcome engine.Outcome // 0: none
	}{
		{0, engine.Failure}, {time.Second, engine.Failure}, // opens
		{time.Minute - time.Millisecond, 0}, {time.Millisecond, 0}, // a probe that is lost
		{time.Minute - time.Millisecond, 0}, {time.Millisecond, engine.Failure}, // the next one, which fails
		{30 * time.Second, 0}, {30 * time.Second, engine.Success}, // recovers
		{time.Hour, engine.Success},
	} {
		now = now.Add(do.after)
		m.SetTime(now)
		ticket, err := h.Acquire(ctx)
		if err == nil && do.outcome != 0 {
			report(t, h, ticket, do.outcome)
		}
		retry := time.Duration(0)
		var rejected *engine.RejectedError
		if errors.As(err, &rejected) {
			retry = rejected.RetryAfter().Round(time.Second) // what has passed since is real
		}
		r := inspect(t, s)
		saw = append(saw, fmt.Sprintf("lease %d, rejected %v for %v; %v for %v, open for %v, %d trips, %d in a row, %v",
			ticket.Lease, rejected != nil, retry, r.State, r.Age, r.RetryAfter, r.Trips, r.Streak, r.Probes))
	}
	return saw
}
