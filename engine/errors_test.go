package engine_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

func TestRejectedError(t *testing.T) {
	now := int64(0)
	clock := func() int64 { return now }
	e := engine.NewRejected(engine.RejectedError{Name: "payments", Reason: engine.ReasonOpen, State: engine.StateOpen}, 5_000_000_000, clock)
	for at, want := range map[int64]time.Duration{
		0: 5 * time.Second, 1: 5 * time.Second, 4_999_000_000: time.Millisecond, 4_999_999_999: time.Millisecond,
		5_000_000_000: 0, 9_000_000_000: 0,
	} {
		now = at
		if got := e.RetryAfter(); got != want {
			t.Errorf("at %d ns: retry after %v, want %v", at, got, want)
		}
	}
	now = 1_500_000_000
	if got, want := e.Error(), "redbreaker: payments: call rejected: open, retry after 3.5s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !errors.Is(e, engine.ErrRejected) || errors.Is(e, engine.ErrStopped) || errors.Unwrap(e) != nil {
		t.Error("it is ErrRejected and nothing else")
	}
}

// TestRejectedError_noEnd: a forced mode without end, an unavailable storage, and
// an error that was not made by NewRejected have no known end.
func TestRejectedError_noEnd(t *testing.T) {
	storage := &engine.StorageError{Class: engine.ClassUnknown, Op: "acquire", Name: "payments", Err: io.ErrUnexpectedEOF}
	e := engine.NewRejected(engine.RejectedError{Name: "payments", Reason: engine.ReasonUnavailable, Err: storage}, 0, func() int64 { return 7 })
	want := "redbreaker: payments: call rejected: unavailable: redbreaker: acquire payments: storage error (unknown): unexpected EOF"
	if e.RetryAfter() != 0 || e.Error() != want {
		t.Errorf("%v after %v, want %s", e, e.RetryAfter(), want)
	}
	var as *engine.StorageError
	if !errors.Is(e, engine.ErrRejected) || !errors.Is(e, io.ErrUnexpectedEOF) || !errors.As(e, &as) || as != storage {
		t.Errorf("%v does not carry its cause", e)
	}
	if (&engine.RejectedError{Name: "x", Reason: engine.ReasonForced}).RetryAfter() != 0 {
		t.Error("an error without a clock has an end")
	}
}

func TestStorageError(t *testing.T) {
	for want, e := range map[string]*engine.StorageError{
		"redbreaker: step payments: storage error (not executed): context deadline exceeded": {
			Class: engine.ClassNotExecuted, Op: "step", Name: "payments", Err: context.DeadlineExceeded},
		"redbreaker: ping: storage error (refused): EOF":            {Class: engine.ClassRefused, Op: "ping", Err: io.EOF},
		"redbreaker: inspect a: storage error (foreign): " + ourErr: {Class: engine.ClassForeign, Op: "inspect", Name: "a", Err: engine.ErrForeignKey},
	} {
		if e.Error() != want || !errors.Is(e, e.Err) {
			t.Errorf("%v, want %s", e, want)
		}
	}
}

const ourErr = "redbreaker: the key holds other data, choose another namespace"

// A name may come from a request: it must not forge lines of a log, nor fill it.
func TestPrintableName(t *testing.T) {
	long := strings.Repeat("n", 1<<20)
	for name, want := range map[string]string{
		"payments":               "payments",
		"svc/eu-1:443":           "svc/eu-1:443",
		"two words":              `"two words"`,
		"a\r\nlevel=INFO msg=ok": `"a\r\nlevel=INFO msg=ok"`,
		"\x1b[2J":                `"\x1b[2J"`,
		`say "no"`:               `"say \"no\""`,
		strings.Repeat("n", 64):  strings.Repeat("n", 64),
		long:                     strings.Repeat("n", 64) + "...",
		"\n" + long:              `"\n` + strings.Repeat("n", 63) + `"...`,
		"\xff\xfe":               `"\xff\xfe"`,
	} {
		if got := engine.PrintableName(name); got != want {
			t.Errorf("%.80q gives %s, want %s", name, got, want)
		}
		for _, err := range []error{
			&engine.RejectedError{Name: name, Reason: engine.ReasonOpen},
			&engine.StorageError{Class: engine.ClassRefused, Op: "step", Name: name, Err: errors.New("cause")},
		} {
			if text := err.Error(); !strings.Contains(text, want) || strings.ContainsAny(text, "\r\n\x1b") || len(text) > 400 {
				t.Errorf("the error of %.80q is %.400q", name, text)
			}
		}
	}
}
