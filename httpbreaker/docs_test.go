package httpbreaker_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

// TestDocs_statusCodes compares the table of docs/middleware.md with the rules.
func TestDocs_statusCodes(t *testing.T) {
	page, err := os.ReadFile("../docs/middleware.md")
	if err != nil {
		t.Fatal(err)
	}
	atClient, atServer := map[int]string{}, map[int]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d{3})(-(\d{3})?)? \| ([a-z -]+) \| ([a-z -]+) \|`).FindAllStringSubmatch(string(page), -1) {
		var first, last int
		_, _ = fmt.Sscan(row[1], &first)
		switch {
		case row[3] != "":
			_, _ = fmt.Sscan(row[3], &last)
		case row[2] != "": // 600-
			last = 999
		default:
			last = first
		}
		for code := first; code <= last; code++ {
			if code != http.StatusSwitchingProtocols || last == code { // a row of its own, within 100-199
				atClient[code], atServer[code] = row[4], row[5]
			}
		}
	}
	for code := 200; code <= 999; code++ {
		client, server := "by the body", "success"
		if httpbreaker.JudgeStatus(&http.Response{StatusCode: code}) != nil {
			client = "failure"
		}
		b, o := newBreaker(t, neverOpens)
		serve(newHandler(t, httpbreaker.One(b), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }, httpbreaker.HandlerConfig{}),
			httptest.NewRequest(http.MethodGet, "/", nil))
		if o.count(redbreaker.Failure) == 1 {
			server = "failure"
		}
		if atClient[code] != client || atServer[code] != server {
			t.Errorf("%d: the page has %q and %q, want %q and %q", code, atClient[code], atServer[code], client, server)
		}
	}
	if atClient[101] != "success" || atClient[103] != "-" {
		t.Errorf("101 is %q, 103 %q", atClient[101], atClient[103])
	}
}
