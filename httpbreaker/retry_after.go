package httpbreaker

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter returns how long the header Retry-After asks to wait: 0 if it is
// absent, unreadable or over. It reads seconds and HTTP dates. A date is compared
// with the header Date of the same response, so that the clocks of client and
// server need not agree, and with now where there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := firstValue(h, "Retry-After")
	if text == "" {
		return 0
	}
	if n, ok := parseNumber(text); ok {
		return durationOf(n, time.Second)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(serverNow(h, now)))
}

// vendorRetryAfter is RetryAfter with the headers of large APIs beside it. Exact
// ones come first. The ends of rate limits count for a 429 only, since they come
// with every response.
func vendorRetryAfter(code int, h http.Header, now time.Time) time.Duration {
	for _, name := range [...]string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if n, ok := parseNumber(firstValue(h, name)); ok && n > 0 {
			return durationOf(n, time.Millisecond)
		}
	}
	if d := RetryAfter(h, now); d > 0 || code != http.StatusTooManyRequests {
		return d
	}
	return untilLimitsEnd(h, serverNow(h, now))
}

// untilLimitsEnd returns how long the rate limits of a 429 still last: the longest
// of those whose remainder is 0. A limit may be hit with a remainder, such as of
// tokens, by a request that needs more; if no remainder is 0, the shortest counts.
func untilLimitsEnd(h http.Header, now time.Time) time.Duration {
	var spent, least time.Duration
	for name, values := range h {
		remaining, ok := remainderOf(name)
		if !ok || len(values) == 0 {
			continue
		}
		d := parseReset(strings.TrimSpace(values[0]), now)
		if d <= 0 {
			continue
		}
		if firstValue(h, remaining) == "0" {
			spent = max(spent, d)
		}
		if least == 0 || d < least {
			least = d
		}
	}
	if spent > 0 {
		return spent
	}
	return least
}

// remainderOf returns, for the header in which a rate limit says when it ends, the
// one in which it says what remains:
//
//	X-Ratelimit-Reset, X-Ratelimit-Reset-Tokens      X-Ratelimit-Remaining...
//	Anthropic-Ratelimit-Tokens-Reset                 Anthropic-Ratelimit-Tokens-Remaining
//
// Names are in the canonical form of net/http.
func remainderOf(name string) (string, bool) {
	const reset, remaining = "Reset", "Remaining"
	if rest, ok := strings.CutPrefix(name, "X-Ratelimit-"+reset); ok && (rest == "" || rest[0] == '-') {
		return "X-Ratelimit-" + remaining + rest, true
	}
	if kind, ok := strings.CutSuffix(name, "-"+reset); ok && strings.HasPrefix(name, "Anthropic-Ratelimit-") {
		return kind + "-" + remaining, true
	}
	return "", false
}

// Numbers from which on a reset is a Unix time in seconds, and in milliseconds. As
// seconds to wait they would be 31 and 3168 years.
const (
	unixSeconds = 1e9
	unixMillis  = 1e11
)

// parseReset reads the end of a rate limit in all forms that are in use: a Go
// duration (1m30s, 250ms), an RFC 3339 time, seconds to wait, and a Unix time.
func parseReset(text string, now time.Time) time.Duration {
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.Sub(now)
	}
	n, ok := parseNumber(text)
	switch {
	case !ok:
		return 0
	case n >= unixMillis:
		return durationOf(n, time.Millisecond) - time.Duration(now.UnixNano())
	case n >= unixSeconds:
		return durationOf(n, time.Second) - time.Duration(now.UnixNano())
	}
	return durationOf(n, time.Second)
}

// parseNumber reads a number that is not negative, perhaps with decimals.
func parseNumber(text string) (float64, bool) {
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil || math.IsInf(n, 1)
}

// durationOf returns n units, or the longest Duration if that is less.
func durationOf(n float64, unit time.Duration) time.Duration {
	if n >= float64(math.MaxInt64)/float64(unit) {
		return math.MaxInt64
	}
	return time.Duration(n * float64(unit))
}

// serverNow returns the time on the server's clock, by which the dates of its
// headers are meant: the header Date, or now where there is none.
func serverNow(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(firstValue(h, "Date")); err == nil {
		return date
	}
	return now
}

// firstValue returns the first value of a header, for names in canonical form.
func firstValue(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return strings.TrimSpace(values[0])
	}
	return ""
}
