package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// said is an error as a server says it.
type said string

func (e said) Error() string { return string(e) }
func (said) RedisError()     {}

func TestClassify_whatServersSay(t *testing.T) {
	for text, want := range map[string]engine.Class{
		"NOSCRIPT No matching script. Please use EVAL.": engine.ClassNotExecuted,
		"NOSCRIPT":                  engine.ClassNotExecuted,
		"MOVED 3999 127.0.0.1:6381": engine.ClassNotExecuted,
		"ASK 3999 127.0.0.1:6381":   engine.ClassNotExecuted,
		"TRYAGAIN Multiple keys request during rehashing of slot":            engine.ClassNotExecuted,
		"READONLY You can't write against a read only replica.":              engine.ClassRefused,
		"READONLY You can't write against a read only replica. script: 12":   engine.ClassRefused,
		"LOADING Redis is loading the dataset in memory":                     engine.ClassRefused,
		"MASTERDOWN Link with MASTER is down":                                engine.ClassRefused,
		"CLUSTERDOWN Hash slot not served":                                   engine.ClassRefused,
		"BUSY Redis is busy running a script.":                               engine.ClassRefused,
		"MISCONF Redis is configured to save RDB snapshots":                  engine.ClassRefused,
		"NOREPLICAS Not enough good replicas to write.":                      engine.ClassRefused,
		"OOM command not allowed when used memory > 'maxmemory'.":            engine.ClassRefused,
		"ERR max number of clients reached":                                  engine.ClassRefused,
		"ERR max number of clients + cluster connections reached":            engine.ClassRefused,
		"max number of clients reached":                                      engine.ClassRefused,
		"NOAUTH Authentication required.":                                    engine.ClassRefused,
		"WRONGPASS invalid username-password pair or user is disabled.":      engine.ClassRefused,
		"NOPERM this user has no permissions to run the 'evalsha' command":   engine.ClassRefused,
		"CROSSSLOT Keys in request don't hash to the same slot":              engine.ClassRefused,
		"ERR The user executing the script can't run this command":           engine.ClassUnknown,
		"WRONGTYPE Operation against a key holding the wrong kind of value":  engine.ClassUnknown,
		"ERR user_script:7: attempt to index a nil value":                    engine.ClassUnknown,
		"ERR this text mentions NOSCRIPT and READONLY, but in its middle":    engine.ClassUnknown,
		"ERR unknown command 'EVALSHA', with args beginning with: 'abc' '1'": engine.ClassRefused,
		// as Redis 6.0 and 6.2 answer
		"ERR Error running script (call to f_5a09ab): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.": engine.ClassRefused,
		"ERR Error running script (call to f_5a09ab): @user_script:1: -OOM command not allowed when used memory > 'maxmemory'.":                engine.ClassRefused,
		"ERR Error running script (call to f_5a09ab): @user_script:1: -MISCONF Redis is configured to save RDB snapshots":                      engine.ClassRefused,
		"ERR Error running script (call to f_5a09ab): @user_script:7: user_script:7: attempt to index a nil value":                             engine.ClassUnknown,
		"ERR Error running script (call to f_5a09ab): @user_script:1: -WRONGTYPE Operation against a key holding the wrong kind of value":      engine.ClassUnknown,
		"": engine.ClassUnknown,
	} {
		err := error(said(text))
		if got := classifyError(err, true); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
		if got := classifyError(fmt.Errorf("while connecting: %w", err), true); got != want {
			t.Errorf("%q, wrapped, is %v, want %v", text, got, want)
		}
		// A command that was never sent had no effect; a server's refusal remains
		// one.
		unsent := engine.ClassNotExecuted
		if want == engine.ClassRefused {
			unsent = want
		}
		if got := classifyError(err, false); got != unsent {
			t.Errorf("%q before anything was sent is %v, want %v", text, got, unsent)
		}
	}
}

func TestClassify_connections(t *testing.T) {
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled,
		redis.ErrClosed, redis.ErrPoolTimeout, errors.New("read tcp: i/o timeout"),
		errors.New("NOSCRIPT, says who is not a server"),
	} {
		if got := classifyError(err, true); got != engine.ClassUnknown {
			t.Errorf("%v after sending is %v", err, got)
		}
		if got := classifyError(err, false); got != engine.ClassNotExecuted {
			t.Errorf("%v before sending is %v", err, got)
		}
	}
}

func TestGuardJudges(t *testing.T) {
	storageError := func(class engine.Class, text string) error {
		return &engine.StorageError{Class: class, Op: "step", Name: "dep", Err: said(text)}
	}
	for _, test := range []struct {
		err  error
		want engine.Outcome
	}{
		{nil, engine.Success},
		{context.Canceled, engine.Ignored},
		{engine.ErrStopped, engine.Ignored},
		{storageError(engine.ClassForeign, "another type"), engine.Success},
		{storageError(engine.ClassUnknown, "ERR script"), engine.Failure},
		{storageError(engine.ClassRefused, "READONLY"), engine.Failure},
		{storageError(engine.ClassNotExecuted, "dial tcp"), engine.Failure},
		{storageError(engine.ClassRefused, "CLUSTERDOWN Hash slot not served"), engine.Ignored},
		{storageError(engine.ClassNotExecuted, "MOVED 1 :1"), engine.Ignored},
	} {
		if got := judgeError(test.err); got != test.want {
			t.Errorf("%v is a %v, want %v", test.err, got, test.want)
		}
	}
}

// A master that has become a replica is one whose slots are elsewhere, also where
// the server wraps the error.
func TestIsStaleMap_wrapped(t *testing.T) {
	for text, want := range map[string]bool{
		"READONLY You can't write against a read only replica.":                                                               true,
		"ERR Error running script (call to f_5a09ab): @user_script:1: -READONLY You can't write against a read only replica.": true,
		"ERR Error running script (call to f_5a09ab): @user_script:1: -OOM command not allowed":                               false,
	} {
		if got := isStaleMap(said(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
