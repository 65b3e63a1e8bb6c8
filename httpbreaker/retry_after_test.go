package httpbreaker_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/httpbreaker"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	const date = "Sat, 28 Nov 2026 12:02:00 GMT"
	for _, c := range []struct {
		text, date string
		want       time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"120", "", 2 * time.Minute},
		{" 120 ", "", 2 * time.Minute},
		{"0.5", "", 500 * time.Millisecond},
		{"-1", "", 0},
		{"+1", "", 0},
		{"soon", "", 0},
		{"inf", "", 0},
		{"NaN", "", 0},
		{"12 s", "", 0},
		{"1e300", "", math.MaxInt64},
		{"99999999999999999999", "", math.MaxInt64},
		{date, "", 2 * time.Minute},
		{"Saturday, 28-Nov-26 12:02:00 GMT", "", 2 * time.Minute},
		{"Sat Nov 28 12:02:00 2026", "", 2 * time.Minute},
		{"Sat, 28 Nov 2026 11:00:00 GMT", "", 0},
		// The clock of the server is an hour ahead, or behind.
		{date, "Sat, 28 Nov 2026 12:01:00 GMT", time.Minute},
		{"Sat, 28 Nov 2026 11:02:00 GMT", "Sat, 28 Nov 2026 11:00:00 GMT", 2 * time.Minute},
		{date, "nonsense", 2 * time.Minute},
		{"120", "Sat, 28 Nov 2026 11:00:00 GMT", 2 * time.Minute},
	} {
		h := http.Header{}
		if c.text != "" {
			h.Set("Retry-After", c.text)
		}
		if c.date != "" {
			h.Set("Date", c.date)
		}
		if got := httpbreaker.RetryAfter(h, noon); got != c.want {
			t.Errorf("%q at %q: %v, want %v", c.text, c.date, got, c.want)
		}
	}
	if got := httpbreaker.RetryAfter(nil, noon); got != 0 {
		t.Errorf("without headers: %v", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Sat, 28 Nov 2026 12:02:00 GMT", "Sat, 28 Nov 2026 12:01:00 GMT")
	f.Fuzz(func(t *testing.T, text, date string) {
		for _, name := range []string{"Retry-After", "Retry-After-Ms", "X-Ratelimit-Reset", "X-Ratelimit-Reset-Tokens", "Anthropic-Ratelimit-Tokens-Reset"} {
			h := http.Header{name: {text}, "Date": {date}}
			if d := httpbreaker.RetryAfter(h, noon); d < 0 {
				t.Errorf("%v: %v", h, d)
			}
			if d := httpbreaker.VendorRetryAfter(http.StatusTooManyRequests, h, noon); d < 0 {
				t.Errorf("%v: %v", h, d)
			}
		}
	})
}

func TestVendorRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header map[string]string
		want   time.Duration
	}{
		{"none", 429, nil, 0},
		{"standard", 503, map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{"milliseconds first", 429, map[string]string{"Retry-After": "7", "Retry-After-Ms": "6500"}, 6500 * time.Millisecond},
		{"Azure", 429, map[string]string{"X-Ms-Retry-After-Ms": "150"}, 150 * time.Millisecond},
		{"milliseconds of 0", 429, map[string]string{"Retry-After": "7", "Retry-After-Ms": "0"}, 7 * time.Second},
		{"the one that is spent", 429, map[string]string{
			"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "1s",
			"X-Ratelimit-Remaining-Tokens": "9000", "X-Ratelimit-Reset-Tokens": "6m0s",
		}, time.Second},
		{"both spent", 429, map[string]string{
			"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "1s",
			"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "6m0s",
		}, 6 * time.Minute},
		{"none said to be spent", 429, map[string]string{
			"X-Ratelimit-Remaining-Requests": "3", "X-Ratelimit-Reset-Requests": "1m30s", "X-Ratelimit-Reset-Tokens": "250ms",
		}, 250 * time.Millisecond},
		{"not a 429", 500, map[string]string{"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "1s"}, 0},
		{"Anthropic", 429, map[string]string{
			"Anthropic-Ratelimit-Requests-Remaining": "10", "Anthropic-Ratelimit-Requests-Reset": "2026-11-28T12:00:01Z",
			"Anthropic-Ratelimit-Input-Tokens-Remaining": "0", "Anthropic-Ratelimit-Input-Tokens-Reset": "2026-11-28T12:00:45Z",
		}, 45 * time.Second},
		{"the server's date", 429, map[string]string{
			"Anthropic-Ratelimit-Tokens-Reset": "2026-11-28T13:00:45Z", "Date": "Sat, 28 Nov 2026 13:00:00 GMT",
		}, 45 * time.Second},
		{"standard before limits", 429, map[string]string{"Retry-After": "7", "Anthropic-Ratelimit-Tokens-Reset": "2026-11-28T12:00:45Z"}, 7 * time.Second},
		{"seconds to wait", 429, map[string]string{"X-Ratelimit-Reset": "30"}, 30 * time.Second},
		{"Unix time", 429, map[string]string{"X-Ratelimit-Reset": "1795867260"}, time.Minute},
		{"Unix time in ms", 429, map[string]string{"X-Ratelimit-Reset": "1795867200500"}, 500 * time.Millisecond},
		{"over", 429, map[string]string{"X-Ratelimit-Reset": "1795867100"}, 0},
		{"another header", 429, map[string]string{"X-Ratelimit-Resetting": "30", "X-Ratelimit-Limit": "30"}, 0},
		{"unreadable", 429, map[string]string{"X-Ratelimit-Reset": "soon"}, 0},
	} {
		h := http.Header{}
		for name, value := range c.header {
			h.Set(name, value)
		}
		if got := httpbreaker.VendorRetryAfter(c.status, h, noon); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
