package httpbreaker

import (
	"fmt"
	"net/http"
)

// StatusError is the failure that [JudgeStatus] makes of a status code. Callers
// never get it: they get the response. A [redbreaker.Classifier] and the hooks of
// the breaker do.
type StatusError struct {
	StatusCode int
}

// Error returns the code and its text, such as 503 Service Unavailable.
func (e *StatusError) Error() string {
	text := http.StatusText(e.StatusCode)
	if text == "" {
		text = "unknown status"
	}
	return fmt.Sprintf("redbreaker: HTTP status %d %s", e.StatusCode, text)
}

// JudgeStatus is the rule for responses to a client: a *[StatusError] for 429 and
// for every status of 500 or more, nil for all others. 501 and 505 are no failures:
// a server that does not implement a method works.
func JudgeStatus(r *http.Response) error {
	if r.StatusCode == http.StatusTooManyRequests {
		return &StatusError{r.StatusCode}
	}
	return judgeServerStatus(r.StatusCode)
}

// judgeServerStatus is the rule for a server's own responses. It has no 429: with
// that, a server limits one client, and is well.
func judgeServerStatus(code int) error {
	if code < 500 || code == http.StatusNotImplemented || code == http.StatusHTTPVersionNotSupported {
		return nil
	}
	return &StatusError{code}
}
