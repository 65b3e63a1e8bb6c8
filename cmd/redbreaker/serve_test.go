package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// startServe runs the command on a free port until the test ends, and returns its URL.
func (s server) startServe(t *testing.T, args ...string) string {
	t.Helper()
	serving, cancel := context.WithCancel(ctx)
	var out lockedBuffer
	root := newRoot()
	root.SetArgs(append([]string{"serve", "--listen", "127.0.0.1:0", "--redis", s.addr, "--namespace", s.namespace}, args...))
	root.SetOut(&out)
	root.SetErr(&out)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(serving) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("an interrupted serve ends with %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if url := regexp.MustCompile(`http://\S+`).FindString(out.String()); url != "" {
			return url
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("it ended with %v: %s", err, out.String())
		default:
		}
	}
	t.Fatal("it names no URL: ", out.String())
	return ""
}

func TestServe(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "payments", "--create", "--reason", "drill")
		url := s.startServe(t, "--prefix", "/ops")
		if !strings.HasSuffix(url, "/ops/") {
			t.Errorf("the URL is %s", url)
		}
		response, err := http.Post(url+"api/breakers/payments/force-open", "application/json", strings.NewReader(`{"for":"10m","reason":"maintenance"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var after struct{ Mode string }
		if err := json.NewDecoder(response.Body).Decode(&after); err != nil || response.StatusCode != 200 || after.Mode != "forced_open" {
			t.Errorf("status %d, %+v, %v", response.StatusCode, after, err)
		}
		if got := s.must(t, "get", "payments"); !strings.Contains(got, "by panel: maintenance") {
			t.Errorf("the breaker afterwards:\n%s", got)
		}
	})
}

func TestServe_refused(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args []string
		says string
	}{
		{nil, []string{"--listen", ":0"}, "other machines could overrule breakers"},
		{nil, []string{"--listen", "x"}, "--listen"},
		{nil, []string{"--prefix", "x/"}, "Prefix"},
		{map[string]string{envPanelUser: "ann"}, nil, "set both or none"},
		{nil, []string{"argument"}, "takes no argument"},
	} {
		t.Run(c.says, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			onServers(t, func(t *testing.T, s server) {
				_, err := s.run(append([]string{"serve"}, c.args...)...)
				var usage *usageError
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("it ends with %v, want a usage error with %q", err, c.says)
				}
			})
		})
	}
}

func TestServe_password(t *testing.T) {
	t.Setenv(envPanelUser, "ann")
	t.Setenv(envPanelPassword, "secret")
	onServers(t, func(t *testing.T, s server) {
		url := s.startServe(t)
		for address, want := range map[string]int{url: 401, strings.Replace(url, "http://", "http://ann:secret@", 1): 200, url + "metrics": 401, url + "healthz": 200} {
			response, err := http.Get(address)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s: status %d, want %d", address, response.StatusCode, want)
			}
		}
	})
}
