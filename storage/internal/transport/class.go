package transport

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
)

// meaning is how the transport reads a server's error.
type meaning struct {
	prefix string
	class  engine.Class
	// oneSlot: it concerns the keys of one slot, the others may be well.
	oneSlot bool
	// staleMap: the client asked a node that no longer serves the key.
	staleMap bool
}

// meanings has the server's errors that we know. Those of class not executed
// mean: not here, not now. Those of class refused mean: not as things are. The
// server checks the latter before the script starts or at its first write, so
// nothing was executed either, but to ask again at once would not help.
var meanings = []meaning{
	{prefix: "NOSCRIPT", class: engine.ClassNotExecuted},
	// A client follows MOVED and ASK by itself, up to its MaxRedirects. One key
	// cannot be torn apart by a migration, so TRYAGAIN comes only from proxies.
	{prefix: "MOVED", class: engine.ClassNotExecuted, oneSlot: true, staleMap: true},
	{prefix: "ASK", class: engine.ClassNotExecuted, oneSlot: true, staleMap: true},
	{prefix: "TRYAGAIN", class: engine.ClassNotExecuted, oneSlot: true},
	{prefix: "CLUSTERDOWN", class: engine.ClassRefused, oneSlot: true},
	{prefix: "CROSSSLOT", class: engine.ClassRefused, oneSlot: true},
	{prefix: "READONLY", class: engine.ClassRefused, staleMap: true},
	{prefix: "LOADING", class: engine.ClassRefused},
	{prefix: "MASTERDOWN", class: engine.ClassRefused},
	{prefix: "BUSY", class: engine.ClassRefused},
	{prefix: "MISCONF", class: engine.ClassRefused},
	{prefix: "NOREPLICAS", class: engine.ClassRefused},
	{prefix: "OOM", class: engine.ClassRefused},
	{prefix: "max number of clients", class: engine.ClassRefused},
	{prefix: "NOAUTH", class: engine.ClassRefused},
	{prefix: "WRONGPASS", class: engine.ClassRefused},
	{prefix: "NOPERM", class: engine.ClassRefused},
	{prefix: "unknown command", class: engine.ClassRefused},
}

// meaningOf looks an error up by its prefix: the rest of the text differs between
// servers. An error of no server has no meaning.
func meaningOf(err error) meaning {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return meaning{}
	}
	text := unwrapScriptError(answer.Error())
	for _, m := range meanings {
		if strings.HasPrefix(text, m.prefix) {
			return m
		}
	}
	return meaning{}
}

// unwrapScriptError returns the error of the command that failed in a script.
// Before Redis 7.0 a server wraps it:
//
//	ERR Error running script (call to f_<sha>): @user_script:12: -READONLY You can't ...
func unwrapScriptError(text string) string {
	text = strings.TrimPrefix(text, "ERR ")
	if strings.HasPrefix(text, "Error running script") {
		if _, inner, ok := strings.Cut(text, ": -"); ok {
			return strings.TrimPrefix(inner, "ERR ")
		}
	}
	return text
}

// classifyError returns what an error means for the operation. sent says whether the
// command was written to a connection.
func classifyError(err error, sent bool) engine.Class {
	switch m := meaningOf(err); {
	case m.class != 0:
		return m.class
	case !sent:
		return engine.ClassNotExecuted
	}
	return engine.ClassUnknown
}

// isConnectionLost reports whether the connection ended before the reply came.
func isConnectionLost(err error) bool {
	for _, end := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE, io.ErrClosedPipe, writtenTwiceError{}} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// isWriteFailed reports whether a command did not reach the network as a whole. A
// server does nothing for a part of a command.
func isWriteFailed(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && failed.Op == "write"
}

// isStaleMap reports whether an error may come of a slot map that is out of date:
// the node redirects, or is gone.
func isStaleMap(err error) bool {
	var answer redis.Error
	return !errors.As(err, &answer) || meaningOf(err).staleMap
}

// judgeError returns what the end of an operation says about the server as a whole.
// What concerns one slot of a cluster says nothing about it.
func judgeError(err error) engine.Outcome {
	var e *engine.StorageError
	if errors.As(err, &e) && meaningOf(e.Err).oneSlot {
		return engine.Ignored
	}
	return guard.JudgeStorage(err)
}
