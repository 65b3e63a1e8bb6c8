package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

func TestBadInput(t *testing.T) {
	t.Setenv(envRedis, "127.0.0.1:1")
	const url = "; give host:port or a URL such as redis://user:password@host:6379/0"
	for _, tt := range []struct{ args, want string }{
		{"frobnicate", `redbreaker: unknown command "frobnicate" for "redbreaker"`},
		{"get", "redbreaker: give the name of one breaker: redbreaker get NAME [flags]"},
		{"get a b", "redbreaker: give the name of one breaker: redbreaker get NAME [flags]"},
		{"trip", "redbreaker: give the name of one breaker: redbreaker trip NAME [flags]"},
		{"version 2", `redbreaker: unknown command "2" for "redbreaker version"`},
		{"demo fast", `redbreaker: unknown command "fast" for "redbreaker demo"`},
		{"get a --colour", "redbreaker: unknown flag: --colour"},
		{"get a -o yaml", `redbreaker: invalid argument "yaml" for "-o, --output" flag: use text or json`},
		{"get a --namespace {x}", `redbreaker: namespace "{x}": use printable characters other than braces and spaces: invalid argument`},
		{"get a --timeout 0s", "redbreaker: timeout 0s, use above 0 to 1m0s: invalid argument"},
		{"get a --timeout soon", `redbreaker: invalid argument "soon" for "--timeout" flag: time: invalid duration "soon"`},
		{"get a --redis http://x", "redbreaker: the address of the Redis: invalid URL scheme: http" + url},
		{"get a --redis redis://x/zero", `redbreaker: the address of the Redis: invalid database number: "zero"` + url},
		{"get a --redis redis://:pa#ss@x", "redbreaker: the address of the Redis: it does not read as a URL (in a password, write special characters as %XX)" + url},
		{"get a", "redbreaker: redis at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused: check the address, whether a Redis runs there, and whether it wants TLS"},
		{"reset a --redis 127.0.0.1:2", "redbreaker: redis at 127.0.0.1:2: dial tcp 127.0.0.1:2: connect: connection refused: check the address, whether a Redis runs there, and whether it wants TLS"},
		{"force-open a", "redbreaker: say how long: either --for, such as --for 10m, or --until-released"},
		{"force-closed a", "redbreaker: say how long: either --for, such as --for 10m, or --until-released"},
		{"shadow a --for 1h --until-released", "redbreaker: say how long: either --for, such as --for 10m, or --until-released"},
		{"shadow a --for 0s", "redbreaker: --for is 0s, use above 0 to 8784h (366 days)"},
		{"trip a --for -1s", "redbreaker: --for is -1s, use above 0 to 8784h (366 days)"},
		{"trip a --for 9000h", "redbreaker: command: For is 9000h0m0s, use 0 to 8784h0m0s (366 days): invalid argument"},
		{"trip a --until-released", "redbreaker: unknown flag: --until-released"},
		{"reset a --for 1s", "redbreaker: unknown flag: --for"},
		{"trip a --if-epoch -2", "redbreaker: command: IfEpoch is -2, use an epoch that Inspect gave, 0 for any, or -1 for no record: invalid argument"},
		{"trip a --if-epoch x", `redbreaker: invalid argument "x" for "--if-epoch" flag: strconv.ParseInt: parsing "x": invalid syntax`},
		{"demo --replicas 0", "redbreaker: --replicas is 0, use 1 to 32"},
		{"demo --rate 1001 --failing 0s", "redbreaker: --rate is 1001, use 1 to 1000\n--failing is 0s, use above 0 to 1h0m0s"},
		{"demo --healthy -1s --recovered 2h", "redbreaker: --healthy is -1s, use above 0 to 1h0m0s\n--recovered is 2h0m0s, use above 0 to 1h0m0s"},
		{"demo --probes 1 --successes 2", "redbreaker: policy: HalfOpen.Successes is 2, above Probes (1) the circuit can never close: invalid argument"},
		{"demo --redis http://x", "redbreaker: the address of the Redis: invalid URL scheme: http" + url},
		{"demo --redis 127.0.0.1:1", "redbreaker: redis at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused: check the address, whether a Redis runs there, and whether it wants TLS"},
		{"demo --namespace {x}", `redbreaker: namespace "{x}": use printable characters other than braces and spaces: invalid argument`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			_, err := execute(strings.Fields(tt.args)...)
			if err == nil {
				t.Fatal("no error")
			}
			if got := message(err); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if exitCode(err) != exitError {
				t.Errorf("exits with %d", exitCode(err))
			}
		})
	}
}

func TestBadInput_emptyName(t *testing.T) {
	_, err := execute("get", "")
	if err == nil || message(err) != "redbreaker: give the name of one breaker: redbreaker get NAME [flags]" {
		t.Errorf("got %v", err)
	}
}

func TestErrors_password(t *testing.T) {
	m, _ := redistest.Mini(t)
	m.RequireAuth("secret")
	for _, command := range []string{"get", "trip"} {
		for _, tt := range []struct{ url, want string }{
			{m.Addr(), "NOAUTH"},
			{"redis://:hunter2@" + m.Addr(), "WRONGPASS"},
		} {
			_, err := execute(command, "dep", "--redis", tt.url)
			if err == nil || !strings.HasPrefix(err.Error(), "redis at "+m.Addr()+": "+tt.want) ||
				!strings.HasSuffix(err.Error(), "check the user and the password of the client") {
				t.Errorf("%s of %s: %v", command, tt.url, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in the error: %v", err)
			}
		}
	}
	if _, err := execute("reset", "dep", "--redis", "redis://:secret@"+m.Addr()); err != nil {
		t.Errorf("with the password: %v", err)
	}
}

// A server that takes the connection and says nothing.
func TestErrors_silentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = execute("get", "dep", "--redis", l.Addr().String(), "--timeout", "50ms")
	if err == nil || !strings.HasPrefix(err.Error(), "redis at "+l.Addr().String()+": no answer within 50ms") {
		t.Errorf("got %v", err)
	}
}

func TestErrors_keyOfAnotherType(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		key := s.namespace + ":{dep}"
		if err := s.rdb.Set(ctx, key, "theirs", 0).Err(); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("breaker %q in namespace %q: a string: redbreaker: the key holds another type, choose another namespace", "dep", s.namespace)
		for _, command := range []string{"get", "trip", "reset"} {
			if _, err := s.run(command, "dep"); err == nil || err.Error() != want {
				t.Errorf("%s: got\n%v\nwant\n%s", command, err, want)
			}
		}
		if got := s.rdb.Get(ctx, key).Val(); got != "theirs" {
			t.Errorf("the key is now %q", got)
		}
	})
}

// Where a command may have had its effect, it says so.
func TestExplain_unknown(t *testing.T) {
	where, err := target.Parse("10.0.0.1:6379")
	if err != nil {
		t.Fatal(err)
	}
	failure := &redbreaker.StorageError{Class: redbreaker.ClassUnknown, Op: "control", Name: "dep", Err: errors.New("EOF")}
	got := explain(failure, where, "shop").Error()
	if want := "redis at 10.0.0.1:6379: EOF; it may have been done all the same, look with get"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	failure.Op = "inspect"
	if got, want := explain(failure, where, "shop").Error(), "redis at 10.0.0.1:6379: EOF"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRun_exitCodes(t *testing.T) {
	m, _ := redistest.Mini(t)
	for _, tt := range []struct {
		args     string
		code     int
		out, err string // how they begin
	}{
		{"version", 0, "redbreaker ", ""},
		{"trip", 1, "", "redbreaker: give the name"},
		{"get dep --redis " + m.Addr(), 3, "", "redbreaker: there is no breaker"},
		{"reset dep --redis " + m.Addr(), 0, "name ", ""},
	} {
		var out, errs bytes.Buffer
		code := run(strings.Fields(tt.args), &out, &errs)
		if code != tt.code || !begins(out.String(), tt.out) || !begins(errs.String(), tt.err) {
			t.Errorf("%s: exits with %d, prints %q and %q", tt.args, code, out.String(), errs.String())
		}
	}
}

// begins reports whether text begins so; with nothing begins only nothing.
func begins(text, with string) bool {
	return strings.HasPrefix(text, with) && (text == "") == (with == "")
}
