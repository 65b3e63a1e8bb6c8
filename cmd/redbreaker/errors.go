package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/doctor"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// The exit codes, which exitCodesHelp documents.
const (
	exitFailure = 1
	exitUsage   = 2
	exitAbsent  = 3
	exitRefused = 4
	exitWarning = 5
)

// commandPrefix begins each line of an error, as it does in the library's errors.
const commandPrefix = "redbreaker: "

// usageError is an error about the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// absentError is the error of a name without a breaker.
type absentError struct{ name, namespace, key, similar string }

func newAbsentError(ctx context.Context, name string, s *session) error {
	key, err := s.keys.Key(name)
	if err != nil {
		return err
	}
	return &absentError{name, s.namespace, key, s.similarName(ctx, name)}
}

func (e *absentError) Error() string {
	advice := "check the name and --namespace; a breaker appears with its first call"
	if e.similar != "" {
		advice = fmt.Sprintf("did you mean %s?", plaintext.Quote(e.similar))
	}
	return fmt.Sprintf("there is no breaker %s in namespace %s (key %s): %s",
		plaintext.Quote(e.name), plaintext.Quote(e.namespace), plaintext.Quote(e.key), advice)
}

// exitCode returns the exit code of a command that ended with err.
func exitCode(err error) int {
	var usage *usageError
	var absent *absentError
	var failure *redbreaker.StorageError
	var existing *existingError
	var findings *findingsError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &findings) && findings.worst == doctor.Warning:
		return exitWarning
	case errors.As(err, &failure): // also if another name is absent
		return exitFailure
	case errors.As(err, &usage), errors.Is(err, redbreaker.ErrInvalid):
		return exitUsage
	case errors.As(err, &absent):
		return exitAbsent
	case errors.Is(err, redbreaker.ErrConflict), errors.Is(err, redbreaker.ErrForced), errors.Is(err, errDeclined), errors.As(err, &existing):
		return exitRefused
	}
	return exitFailure
}

// isUsage reports whether the command line is wrong.
func isUsage(err error) bool { return err != nil && exitCode(err) == exitUsage }

// explainErrors explains each of the errors that were joined.
func explainErrors(err error, s *session) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return explainError(err, s)
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, explainErrors(e, s))
	}
	return errors.Join(all...)
}

// explainError says for an operator where an error occurred, what to do about it, and
// whether something may have changed. The cause stays in its chain.
func explainError(err error, s *session) error {
	var failure *redbreaker.StorageError
	if err == nil {
		return nil
	}
	if errors.As(err, &failure) {
		return &explainedError{explainFailure(failure, s), err}
	}
	if advice := adviceFor(err, s); advice != "" {
		return &explainedError{fmt.Sprintf("%s: %v: %s", s.where(), err, advice), err}
	}
	return err
}

// explainedError is an error with another text.
type explainedError struct {
	text  string
	cause error
}

func (e *explainedError) Error() string { return e.text }
func (e *explainedError) Unwrap() error { return e.cause }

func explainFailure(failure *redbreaker.StorageError, s *session) string {
	cause := trimSentinel(failure.Err)
	if failure.Class == redbreaker.ClassForeign {
		return fmt.Sprintf("breaker %s in namespace %s: %s", plaintext.Quote(failure.Name), plaintext.Quote(s.namespace), cause)
	}
	text := s.where() + ": " + cause
	if advice := adviceFor(failure.Err, s); advice != "" && failure.Op != "ping" { // Ping gives its own
		text += ": " + advice
	}
	if failure.Class == redbreaker.ClassUnknown && failure.Op == "control" {
		text += "; the command may have been carried out, check with get"
	}
	return text
}

// trimSentinel returns the error's text without the prefix of the library's sentinel
// errors in it, since the command's own prefix precedes the text.
func trimSentinel(err error) string {
	text := strings.TrimPrefix(err.Error(), commandPrefix)
	for _, sentinel := range []error{redbreaker.ErrForeignKey, redbreaker.ErrNewerLayout, redbreaker.ErrConflict, redbreaker.ErrForced, redbreaker.ErrStopped} {
		if errors.Is(err, sentinel) {
			text = strings.Replace(text, sentinel.Error(), strings.TrimPrefix(sentinel.Error(), commandPrefix), 1)
		}
	}
	return text
}

// adviceFor returns what an operator can do about an error of the client or the
// server; "" if there is nothing to add.
func adviceFor(err error, s *session) string {
	for _, a := range serverAdvice {
		if redis.HasErrorPrefix(err, a.prefix) && strings.Contains(err.Error(), a.contains) {
			return strings.ReplaceAll(a.advice, "NAMESPACE", s.namespace)
		}
	}
	var answer redis.Error
	if errors.As(err, &answer) {
		return ""
	}
	if advice := adviceForCluster(err, s); advice != "" {
		return advice
	}
	return adviceForNetwork(err)
}

// adviceForCluster returns what to do about a node of a cluster that does not answer. One
// address of a cluster is enough, so the node may be another one than the user named.
func adviceForCluster(err error, s *session) string {
	switch {
	case !s.server.IsCluster():
		return ""
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "check the addresses and whether the servers use TLS; a cluster redirects to those that CLUSTER NODES shows, so make each reachable from here, or raise --timeout"
	}
	return ""
}

// serverAdvice is the advice for errors that a server answers, by their beginning and
// a part of them.
var serverAdvice = []struct{ prefix, contains, advice string }{
	{"NOAUTH", "", "check the user and the password"},
	{"WRONGPASS", "", "check the user and the password"},
	{"invalid password", "", "check the password"},
	{"NOPERM", " key", "the user may not use the keys of this namespace; check --namespace, or grant ~NAMESPACE:*"},
	{"NOPERM", "", "grant the user the rights that docs/operations.md lists"},
	{"READONLY", "", "the server is a replica; use the address of its primary"},
	{"DB index is out of range", "", "the server has no database of that number; correct the end of the URL"},
	{"MOVED", "", "the server belongs to a cluster; give several of its addresses, as in a:6379,b:6379"},
	{"unknown command", "", "the server runs no scripts; use Redis 6.0 or later, or Valkey"},
}

// adviceForNetwork returns what to do about a connection that failed.
func adviceForNetwork(err error) string {
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var resolver *net.DNSError
	switch {
	case errors.As(err, &record), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return "the server does not use TLS; use redis:// and no TLS options"
	case errors.As(err, &certificate):
		return "check the host name; --cacert names the authorities that signed the certificate"
	case errors.As(err, &resolver):
		return "check the host name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "check the address, and whether a Redis runs there"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the server closed the connection; if it uses TLS, use rediss:// or --tls"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "check the address and whether the server uses TLS, or raise --timeout"
	}
	return ""
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// errorText returns the text that the command prints for an error: a line for each
// error that was joined.
func errorText(err error) string {
	lines := strings.Split(trimSentinel(err), "\n")
	for i, line := range lines {
		lines[i] = commandPrefix + plaintext.Replace(strings.TrimPrefix(line, commandPrefix))
	}
	return strings.Join(lines, "\n")
}
