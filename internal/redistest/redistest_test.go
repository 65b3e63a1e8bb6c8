package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(envDie) != "" {
		dieWithServer()
	}
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

func TestClient_sharesOneServer(t *testing.T) {
	a, b := Client(t), Client(t)
	ns := Namespace(t)
	must(t, a.Set(ctx, ns+":{x}", "1", 0).Err())
	if got, err := b.Get(ctx, ns+":{x}").Result(); err != nil || got != "1" {
		t.Errorf("the other client reads %q, %v", got, err)
	}
}

func TestNamespace_isUnique(t *testing.T) {
	if a, b := Namespace(t), Namespace(t); a == b {
		t.Errorf("two namespaces are both %q", a)
	}
}

func TestNamespace_keysOfAGivenServerAreRemoved(t *testing.T) {
	s := Start(t)
	t.Setenv(envAddr, s.Addr())
	t.Run("user", func(t *testing.T) {
		must(t, Client(t).Set(ctx, Namespace(t)+":{x}", "1", 0).Err())
		must(t, Client(t).Set(ctx, "other:key", "1", 0).Err())
	})
	keys, err := s.Admin().Keys(ctx, "*").Result()
	if err != nil || len(keys) != 1 || keys[0] != "other:key" {
		t.Errorf("left: %q, %v; want other:key alone", keys, err)
	}
}

func TestAddr_ofAGivenServer(t *testing.T) {
	t.Setenv(envAddr, "redis.example:6379")
	t.Setenv("PATH", "")
	if got := Addr(t); got != "redis.example:6379" {
		t.Errorf("Addr = %q", got)
	}
}

func TestClient_givenServerDoesNotAnswer(t *testing.T) {
	port, err := freePort()
	must(t, err)
	t.Setenv(envAddr, fmt.Sprintf("127.0.0.1:%d", port))
	got := record(t, func(tb testing.TB) { Client(tb) })
	if !got.failed || !strings.Contains(got.text, "does not answer") {
		t.Errorf("got %+v", got)
	}
}

func TestStart_argsWin(t *testing.T) {
	rdb := Start(t, "--maxmemory", "64mb", "--appendonly", "yes").Client()
	for name, want := range map[string]string{"maxmemory": "67108864", "appendonly": "yes", "save": ""} {
		if got := rdb.ConfigGet(ctx, name).Val()[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestStart_badArgs(t *testing.T) {
	mustFindProgram(t)
	got := record(t, func(tb testing.TB) { Start(tb, "--no-such-option", "1") })
	if !got.failed || !strings.Contains(got.text, "no-such-option") {
		t.Errorf("got %+v; want a failure that shows what the server said", got)
	}
}

func TestStart_withPassword(t *testing.T) {
	s := Start(t, "--requirepass", "secret")
	if err := s.Admin().Ping(ctx).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("without the password: %v", err)
	}
}

func TestServer_killAndRestart(t *testing.T) {
	s := Start(t)
	rdb := s.Client()
	must(t, rdb.Set(ctx, "k", "v", 0).Err())
	s.Kill()
	s.Kill()
	if conn, err := net.Dial("tcp", s.Addr()); err == nil {
		conn.Close()
		t.Error("a killed server takes connections")
	}
	s.Restart()
	if err := rdb.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("after a restart: %v, want an empty server", err)
	}
}

func TestServer_stopKeepsDataOnDisk(t *testing.T) {
	s := Start(t, "--appendonly", "yes")
	rdb := s.Client()
	must(t, rdb.Set(ctx, "k", "v", 0).Err())
	s.Stop()
	s.Restart()
	s.Restart() // stops the running one itself
	if got, err := rdb.Get(ctx, "k").Result(); err != nil || got != "v" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
}

func TestServer_pauseAndResume(t *testing.T) {
	s := Start(t)
	rdb := s.Client()
	s.Pause()
	answered := make(chan error, 1)
	go func() { answered <- rdb.Ping(ctx).Err() }()
	select {
	case err := <-answered:
		t.Errorf("a paused server answered: %v", err)
	case <-time.After(20 * time.Millisecond): // no proof of silence, but a sign of it
	}
	s.Resume()
	must(t, <-answered)
	s.Pause() // a paused server can be killed, as the test's end will
}

func TestRestart_portTaken(t *testing.T) {
	s := Start(t)
	s.Kill()
	l, err := net.Listen("tcp", s.Addr())
	must(t, err)
	if err := s.p.startOnPort(); !errors.Is(err, errPortTaken) {
		t.Errorf("start on a taken port: %v", err)
	}
	must(t, l.Close())
	s.Restart()
	must(t, s.Admin().Ping(ctx).Err())
}

func TestStart_clusterNode(t *testing.T) {
	info, err := Start(t, "--cluster-enabled", "yes").Admin().ClusterInfo(ctx).Result()
	if err != nil || !strings.Contains(info, "cluster_state:") {
		t.Errorf("CLUSTER INFO: %q, %v", info, err)
	}
}

func TestMini(t *testing.T) {
	m, rdb := Mini(t)
	must(t, rdb.Set(ctx, "k", "v", 0).Err())
	if got, err := m.Get("k"); err != nil || got != "v" {
		t.Errorf("miniredis holds %q, %v", got, err)
	}
}

func TestProgram_missing(t *testing.T) {
	for name, test := range map[string]struct {
		shell   bool
		require string
		want    string
		failed  bool
	}{
		"skips and says so":     {true, "", "neither redis-server nor valkey-server on PATH", false},
		"no shell":              {false, "", "no sh on PATH", false},
		"fails where required":  {true, "1", "neither redis-server nor valkey-server on PATH", true},
		"shell fails, required": {false, "1", "no sh on PATH", true},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if test.shell {
				sh, err := exec.LookPath("sh")
				must(t, err)
				must(t, os.Symlink(sh, path+"/sh"))
			}
			t.Setenv("PATH", path)
			t.Setenv(envAddr, "")
			t.Setenv(envRequire, test.require)
			for _, ask := range []func(testing.TB){
				func(tb testing.TB) { Addr(tb) },
				func(tb testing.TB) { Client(tb) },
				func(tb testing.TB) { Start(tb) },
			} {
				got := record(t, ask)
				if got.failed != test.failed || got.skipped == test.failed || !strings.Contains(got.text, test.want) {
					t.Errorf("got %+v, want %+v", got, test)
				}
			}
		})
	}
}

// However a test binary ends, its servers end with it and leave no files.
func TestServers_endWithTheBinary(t *testing.T) {
	mustFindProgram(t)
	for _, how := range []string{"exit", "kill"} {
		t.Run(how, func(t *testing.T) {
			tmp := t.TempDir()
			self := exec.Command(os.Args[0])
			self.Env = append(os.Environ(), envDie+"="+how, envAddr+"=", "TMPDIR="+tmp)
			out, err := self.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			addrs := strings.Fields(string(out))
			if len(addrs) != 2 {
				t.Fatalf("the binary that dies wrote %q", out)
			}
			for _, addr := range addrs {
				eventually(t, "the server at "+addr+" is gone", func() bool {
					conn, err := net.Dial("tcp", addr)
					if err == nil {
						conn.Close()
					}
					return err != nil
				})
			}
			eventually(t, "its directories are gone", func() bool {
				left, err := os.ReadDir(tmp)
				return err == nil && len(left) == 0
			})
		})
	}
}

const envDie = "REDISTEST_DIE"

// dieWithServer is this test binary as TestServers_endWithTheBinary runs it.
func dieWithServer() {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		path = "valkey-server"
	}
	for range 2 {
		dir, err := os.MkdirTemp("", "redistest-")
		if err != nil {
			panic(err)
		}
		p, err := startProcess(path, dir)
		if err != nil {
			panic(err)
		}
		fmt.Println(p.addr())
		keep = append(keep, p)
	}
	if os.Getenv(envDie) == "kill" {
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			panic(err)
		}
		_ = self.Kill()
		select {}
	}
	os.Exit(0)
}

var keep []*process

// ---- helpers ----

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until done is true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTime); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

// recorder is a testing.TB that records how a test would end.
type recorder struct {
	testing.TB
	result
}

type result struct {
	failed, skipped bool
	text            string
}

type ended struct{}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed, r.text = true, fmt.Sprintf(format, args...)
	panic(ended{})
}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped, r.text = true, fmt.Sprintf(format, args...)
	panic(ended{})
}

// record returns how a test that calls f would end.
func record(t *testing.T, f func(testing.TB)) result {
	t.Helper()
	r := &recorder{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(ended{}) {
				panic(v)
			}
		}()
		f(r)
	}()
	return r.result
}
