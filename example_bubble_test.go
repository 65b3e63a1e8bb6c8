//go:build go1.25

package redbreaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker"
)

// How to test code that uses a breaker: in a synctest bubble an hour passes at
// once. The breaker needs no fake clock and no change for it.
func TestExample_recoversAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		payments, err := redbreaker.New("payments", redbreaker.Policy{ConsecutiveFailures: 2, OpenFor: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		var outage error
		pay := func() error {
			return payments.Do(context.Background(), func(context.Context) error { return outage })
		}

		outage = errors.New("503")
		_, _ = pay(), pay()
		if err := pay(); !errors.Is(err, redbreaker.ErrRejected) {
			t.Errorf("after two failures: %v, want a rejection", err)
		}

		outage = nil
		time.Sleep(time.Minute)
		if err := pay(); err != nil {
			t.Errorf("the probe: %v", err)
		}
		if got := payments.State(); got != redbreaker.StateClosed {
			t.Errorf("state is %v, want closed", got)
		}
	})
}
