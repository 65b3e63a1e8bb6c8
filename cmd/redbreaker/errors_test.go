package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

func TestBadInput(t *testing.T) {
	t.Setenv(envRedis, "127.0.0.1:1")
	const url = "; use host:port, or a URL such as redis://user:password@host:6379/0"
	for _, tt := range []struct {
		args, want string
		code       int
	}{
		{"frobnicate", `redbreaker: unknown command "frobnicate"; "redbreaker help" lists the commands`, exitUsage},
		{"gett", `redbreaker: unknown command "gett"; did you mean "get"?`, exitUsage},
		{"get", "redbreaker: give the name of a breaker: redbreaker get NAME... [flags]", exitUsage},
		{"trip", "redbreaker: give the name of one breaker: redbreaker trip NAME [flags]", exitUsage},
		{"trip a b", "redbreaker: give the name of one breaker: redbreaker trip NAME [flags]", exitUsage},
		{"version 2", `redbreaker: redbreaker version takes no argument, it got "2"`, exitUsage},
		{"demo fast", `redbreaker: redbreaker demo takes no argument, it got "fast"`, exitUsage},
		{"get a --colour", "redbreaker: unknown flag: --colour", exitUsage},
		{"get a -o yaml", `redbreaker: invalid argument "yaml" for "-o, --output" flag: use text or json`, exitUsage},
		{"get a --namespace {x}", `redbreaker: namespace "{x}": use printable characters other than braces and spaces: invalid argument`, exitUsage},
		{"get a --timeout 0s", "redbreaker: --timeout is 0s, use above 0 to 1m0s", exitUsage},
		{"get a --timeout soon", `redbreaker: invalid argument "soon" for "--timeout" flag: time: invalid duration "soon"`, exitUsage},
		{"get a --redis http://x", "redbreaker: the address of the Redis: invalid URL scheme: http" + url, exitUsage},
		{"get a --redis redis://x/zero", `redbreaker: the address of the Redis: invalid database number: "zero"` + url, exitUsage},
		{"get a --redis redis://:pa#ss@x", "redbreaker: the address of the Redis: it is not a valid URL (write special characters of a password as %XX)" + url, exitUsage},
		{"get a --redis a:1,b:2/3", "redbreaker: the address of the Redis: a cluster has database 0 only" + url, exitUsage},
		{"get a --cacert none.pem", "redbreaker: open none.pem: no such file or directory", exitUsage},
		{"get a --cert none.pem", "redbreaker: --cert and --key: use both or none", exitUsage},
		{"get a", "redbreaker: redis at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused: check the address, and whether a Redis runs there", exitFailure},
		{"reset a --redis 127.0.0.1:2", "redbreaker: redis at 127.0.0.1:2: dial tcp 127.0.0.1:2: connect: connection refused: check the address, and whether a Redis runs there", exitFailure},
		{"force-open a", "redbreaker: give the duration: either --for, such as --for 10m, or --until-released", exitUsage},
		{"force-closed a", "redbreaker: give the duration: either --for, such as --for 10m, or --until-released", exitUsage},
		{"shadow a --for 1h --until-released", "redbreaker: give the duration: either --for, such as --for 10m, or --until-released", exitUsage},
		{"shadow a --for 0s", "redbreaker: --for is 0s, use a duration above 0, at most 366d", exitUsage},
		{"trip a --for -1s", "redbreaker: --for is -1s, use a duration above 0, at most 366d", exitUsage},
		{"trip a --for 367d", "redbreaker: --for is 8808h0m0s, use a duration above 0, at most 366d", exitUsage},
		{"trip a --for soon", `redbreaker: invalid argument "soon" for "--for" flag: use a number with a unit, such as 30s, 10m, 2h or 1d`, exitUsage},
		{"trip a --until-released", "redbreaker: unknown flag: --until-released", exitUsage},
		{"reset a --for 1s", "redbreaker: unknown flag: --for", exitUsage},
		{"trip a --if-epoch -2", "redbreaker: --if-epoch is -2, use the epoch that get shows, or -1", exitUsage},
		{"trip a --if-epoch x", `redbreaker: invalid argument "x" for "--if-epoch" flag: strconv.ParseInt: parsing "x": invalid syntax`, exitUsage},
		{"demo --replicas 0", "redbreaker: --replicas is 0, use 1 to 32", exitUsage},
		{"demo --rate 1001 --failing 0s", "redbreaker: --rate is 1001, use 1 to 1000\nredbreaker: --failing is 0s, use above 0 to 1h0m0s", exitUsage},
		{"demo --healthy -1s --recovered 2h", "redbreaker: --healthy is -1s, use above 0 to 1h0m0s\nredbreaker: --recovered is 2h0m0s, use above 0 to 1h0m0s", exitUsage},
		{"demo --probes 1 --successes 2", "redbreaker: --successes is 2, more than --probes (1): the circuit could never close", exitUsage},
		{"demo --open-for 5s --max-open-for 2s", "redbreaker: --max-open-for is 2s, less than --open-for (5s)", exitUsage},
		{"demo --multiplier 0.5 --consecutive-failures 0", "redbreaker: --consecutive-failures is 0, use 1 to 1000\nredbreaker: --multiplier is 0.5, use 1 to 10", exitUsage},
		{"demo --redis http://x", "redbreaker: the address of the Redis: invalid URL scheme: http" + url, exitUsage},
		{"demo --redis 127.0.0.1:1", "redbreaker: redis at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused: check the address, and whether a Redis runs there", exitFailure},
		{"demo --namespace {x}", `redbreaker: namespace "{x}": use printable characters other than braces and spaces: invalid argument`, exitUsage},
	} {
		t.Run(tt.args, func(t *testing.T) {
			_, err := execute(strings.Fields(tt.args)...)
			if err == nil {
				t.Fatal("no error")
			}
			if got := errorText(err); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if got := exitCode(err); got != tt.code {
				t.Errorf("the exit code is %d, want %d", got, tt.code)
			}
		})
	}
}

func TestBadInput_emptyName(t *testing.T) {
	_, err := execute("get", "")
	if err == nil || errorText(err) != "redbreaker: the name of a breaker is empty" || exitCode(err) != exitUsage {
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
				!strings.HasSuffix(err.Error(), ": check the user and the password") {
				t.Errorf("%s of %s: %v", command, tt.url, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in the error: %v", err)
			}
		}
	}
	if _, err := execute("reset", "dep", "--create", "--redis", "redis://:secret@"+m.Addr()); err != nil {
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
		want := fmt.Sprintf("breaker %q in namespace %q: a string: the key holds other data, choose another namespace", "dep", s.namespace)
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

// A node of a cluster that does not answer may be one to which another node redirects.
func TestAdviceFor_cluster(t *testing.T) {
	for servers, want := range map[string]string{
		"127.0.0.1:1":             "check the address",
		"127.0.0.1:1,127.0.0.1:2": "check the addresses and whether the servers use TLS; a cluster redirects to those that CLUSTER NODES shows, so make each reachable",
	} {
		r := redisFlags{}
		server, err := r.parse(servers)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{syscall.ECONNREFUSED, fmt.Errorf("no answer within 2s: %w", context.DeadlineExceeded)} {
			if got := adviceFor(err, &session{server: server}); !strings.HasPrefix(got, want) {
				t.Errorf("%s, %v: advises %q", servers, err, got)
			}
		}
	}
}

// An error of a command that may have been carried out says so.
func TestExplainError_unknown(t *testing.T) {
	where, err := target.Parse("10.0.0.1:6379", target.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	at := &session{server: where, namespace: "shop"}
	failure := &redbreaker.StorageError{Class: redbreaker.ClassUnknown, Op: "control", Name: "dep", Err: errors.New("broken")}
	got := explainError(failure, at).Error()
	if want := "redis at 10.0.0.1:6379: broken; the command may have been carried out, check with get"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	failure.Op = "inspect"
	if got, want := explainError(failure, at).Error(), "redis at 10.0.0.1:6379: broken"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunCommand_exitCodes(t *testing.T) {
	m, _ := redistest.Mini(t)
	redisFlag := " --redis " + m.Addr()
	for _, tt := range []struct {
		args     string
		code     int
		out, err string // prefixes; empty: nothing is printed
	}{
		{"version", 0, "redbreaker ", ""},
		{"trip", exitUsage, "", "redbreaker: give the name"},
		{"get dep --redis 127.0.0.1:1", exitFailure, "", "redbreaker: redis at 127.0.0.1:1"},
		{"get dep" + redisFlag, exitAbsent, "", "redbreaker: there is no breaker"},
		{"reset dep" + redisFlag, exitAbsent, "", "redbreaker: there is no breaker"},
		{"reset dep --create" + redisFlag, 0, "reset: ", ""},
		{"reset dep --if-epoch 1" + redisFlag, exitRefused, "", "redbreaker: the record has moved on"},
		{"force-open dep --for 1m" + redisFlag, 0, "force-open: ", ""},
		{"trip dep" + redisFlag, exitRefused, "", "redbreaker: the breaker is in a forced mode"},
	} {
		var out, errs bytes.Buffer
		code := runCommand(strings.Fields(tt.args), &out, &errs)
		if code != tt.code || !startsWith(out.String(), tt.out) || !startsWith(errs.String(), tt.err) {
			t.Errorf("%s: exits with %d, prints %q and %q", tt.args, code, out.String(), errs.String())
		}
	}
}

// startsWith reports whether text has the prefix, or is empty if the prefix is.
func startsWith(text, prefix string) bool {
	return strings.HasPrefix(text, prefix) && (text == "") == (prefix == "")
}
