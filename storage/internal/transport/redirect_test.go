package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// The timeout of a call that was redirected until then names the last redirect, and says
// what to do.
func TestRedirectedError(t *testing.T) {
	err := error(redirectedError{context.DeadlineExceeded, "MOVED 1 10.0.0.1:6379"})
	for _, want := range []string{"the servers redirect", "MOVED 1 10.0.0.1:6379", "redis.NewClusterClient", "CLUSTER NODES"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("it is no timeout")
	}
}
