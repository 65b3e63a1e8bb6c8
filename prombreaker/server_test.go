package prombreaker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// server is a Prometheus in a process of its own.
type server struct {
	t      *testing.T
	addr   string
	client *http.Client
}

// watcher kills the program that it becomes once its input ends: so Prometheus does not
// outlive the tests, however they end.
const watcher = `exec 3<&0 </dev/null
(trap '' HUP INT TERM; read -r _ <&3; kill -9 $$) >/dev/null 2>&1 &
exec "$@" 3<&-`

// startPrometheus starts a Prometheus that scrapes the targets, by name, and evaluates
// the alert rules of docs. Without the program the test is skipped, unless
// REDBREAKER_REQUIRE_PROMETHEUS is set.
func startPrometheus(t *testing.T, targets map[string]string) *server {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("REDBREAKER_REQUIRE_PROMETHEUS") != "" {
			t.Fatalf("install Prometheus, such as Debian's package prometheus: %v", err)
		}
		t.Skipf("no real Prometheus is tested: %v", err)
	}
	dir := t.TempDir()
	rules, err := filepath.Abs("../docs/alerts.yml")
	must(t, err)
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [" + rules + "]\nscrape_configs:\n"
	for name, addr := range targets {
		config += fmt.Sprintf("- {job_name: %s, static_configs: [{targets: ['%s']}]}\n", name, addr)
	}
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	for range 5 { // another process may take the port before Prometheus does
		s := &server{t: t, addr: freeAddress(t), client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
		if s.start(program, dir) {
			return s
		}
	}
	t.Fatal("Prometheus does not start")
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start returns false if the program ended before it was ready.
func (s *server) start(program, dir string) bool {
	s.t.Helper()
	cmd := exec.Command("sh", "-c", watcher, "sh", program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data-"+strconv.Itoa(os.Getpid())+s.addr), "--web.listen-address="+s.addr, "--log.level=error")
	in, err := cmd.StdinPipe()
	must(s.t, err)
	cmd.Stderr = os.Stderr
	must(s.t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.t.Cleanup(func() {
		_ = in.Close()
		<-ended
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			return false
		default:
		}
		if r, err := s.client.Get("http://" + s.addr + "/-/ready"); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return true
			}
		}
	}
	return false
}

// get returns the data that the API answers.
func (s *server) get(path string, params url.Values, data any) {
	s.t.Helper()
	r, err := s.client.Get("http://" + s.addr + "/api/v1/" + path + "?" + params.Encode())
	must(s.t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(s.t, err)
	var answer struct {
		Status string
		Error  string
		Data   json.RawMessage
	}
	must(s.t, json.Unmarshal(text, &answer))
	if answer.Status != "success" {
		s.t.Fatalf("%s %v: %s", path, params, answer.Error)
	}
	must(s.t, json.Unmarshal(answer.Data, data))
}

// sample is one element of a query's result.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and text
}

func (s sample) number(t *testing.T) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s.Value[1].(string), 64)
	must(t, err)
	return v
}

// query returns the result of a query, now or at a time in s.
func (s *server) query(expression string, at ...float64) []sample {
	s.t.Helper()
	params := url.Values{"query": {expression}}
	if len(at) > 0 {
		params.Set("time", strconv.FormatFloat(at[0], 'f', 3, 64))
	}
	var result struct{ Result []sample }
	s.get("query", params, &result)
	return result.Result
}

// await waits until a query has one result, the number.
func (s *server) await(expression string, want float64) {
	s.t.Helper()
	var got []sample
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got = s.query(expression)
		if len(got) == 1 && got[0].number(s.t) == want {
			return
		}
	}
	s.t.Fatalf("%s is %v, want %v", strings.TrimSpace(expression), got, want)
}
