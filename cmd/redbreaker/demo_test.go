package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// short is a demo of a second and a half.
var short = []string{
	"demo", "--replicas", "3", "--rate", "8", "--healthy", "200ms", "--failing", "700ms", "--recovered", "600ms",
	"--consecutive-failures", "3", "--open-for", "100ms", "--max-open-for", "150ms",
}

func TestDemo_embedded(t *testing.T) {
	out, err := execute(short...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"of an embedded miniredis\n",
		"How the dependency was spared\n",
		"- Open: no call was admitted, by any of 3 replicas.\n",
		"- One log: all 3 replicas, each through its own client, read these transitions:\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("plain output holds escape sequences")
	}
}

func TestDemo_leavesNothingBehind(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		out, err := s.run(short...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if want := "Nothing is left in namespace \"" + s.namespace + "\" of " + s.addr + ".\n"; !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
		if n := s.rdb.Exists(ctx, s.namespace+":{dependency}").Val(); n != 0 {
			t.Error("the record is left")
		}
	})
}

// The demo refuses a breaker that exists: it would open its circuit and remove it.
func TestDemo_refusesExistingBreaker(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "reset", "payments", "--create")
		before := s.inspect(t, "payments").Epoch
		_, err := s.run(append(short, "--name", "payments")...)
		if err == nil || !strings.HasPrefix(err.Error(), `there is a breaker "payments" in namespace`) {
			t.Errorf("got %v", err)
		}
		if got := s.inspect(t, "payments").Epoch; got != before {
			t.Error("it changed the breaker")
		}
	})
}

func TestOpenScreen_noTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if openScreen(f) != nil || openScreen(&strings.Builder{}) != nil {
		t.Error("a file is taken for a terminal")
	}
}

// --open-for alone raises the longest open period.
func TestDemo_openForAlone(t *testing.T) {
	out, err := execute("demo", "--replicas", "1", "--rate", "5", "--healthy", "50ms", "--failing", "50ms", "--recovered", "50ms", "--open-for", "5s")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The panel is served while the demo plays, and shows its breaker.
func TestDemo_panel(t *testing.T) {
	playing, cancel := context.WithCancel(ctx)
	var out lockedBuffer
	root := newRoot()
	root.SetArgs(append(short, "--recovered", "1h", "--panel"))
	root.SetOut(&out)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(playing) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
		http.DefaultClient.CloseIdleConnections()
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		url := regexp.MustCompile(`panel: (http://\S+)`).FindStringSubmatch(out.String())
		if url != nil && strings.Contains(get(url[1]+"api/breakers/dependency"), `"name":"dependency"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the panel shows no breaker:\n%s", out.String())
		}
	}
}

// get returns the body of a page, or its error.
func get(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
