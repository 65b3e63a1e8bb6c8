package transport

import (
	"errors"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// attempt is one operation's way to the server. It answers the one question that
// an error leaves open: can the server have executed the operation?
//
// go-redis does not say whether it wrote a command before it failed. But it asks
// an argument for its bytes at the moment when it writes the command to a
// connection, and not before. So an attempt is the first argument of each of its
// commands, and each request for its bytes is recorded. This also keeps a
// command whose caller has left from being written.
//
// The states are:
//
//	waiting  nothing was written that the server has not answered
//	claimed  a pipeline has taken the command and will write it
//	sent     the command was written; its reply may have been lost
//	left     the caller has its answer
//
// An attempt by itself goes from waiting to sent, when it is written, to left.
// The caller may leave at any time. If it leaves while waiting, the command is
// never written and was not executed. If it leaves after that, its fate is
// unknown.
//
// In a pipeline, one command that refuses to be written would keep all others
// from the server. So the pipeline claims each attempt, which fails if its caller
// has left; from then on the command is written whether or not the caller leaves,
// and counts as possibly executed. When the pipeline is done, what it did not come
// to write goes back to waiting.
//
// When the server answers that it did not execute the command (NOSCRIPT, MOVED),
// a sent attempt goes back to waiting, for the next command.
type attempt struct {
	state     atomic.Int32
	pipelined bool       // its command is part of a pipeline
	cmd       *redis.Cmd // the command that is sent
}

// The states of an attempt, see there.
const (
	waiting int32 = iota
	claimed
	sent
	left
)

// retry makes the attempt ready for its next command, after the server answered
// that it did not execute the last one.
func (a *attempt) retry() {
	a.pipelined = false
	a.state.CompareAndSwap(sent, waiting)
}

// claim takes the attempt into a pipeline. It returns false if the caller has
// left.
func (a *attempt) claim() bool {
	a.pipelined = true
	return a.state.CompareAndSwap(waiting, claimed)
}

// isInFlight reports whether a command was written or is about to be.
func (a *attempt) isInFlight() bool {
	state := a.state.Load()
	return state == claimed || state == sent
}

// unclaim is called when the pipeline is done: what it did not write was not
// sent.
func (a *attempt) unclaim() { a.state.CompareAndSwap(claimed, waiting) }

// leave ends the attempt. It reports whether the last command can have been
// executed.
func (a *attempt) leave() (executable bool) {
	before := a.state.Swap(left)
	return before == sent || before == claimed
}

// errCallerLeft keeps a command from being written.
var errCallerLeft = errors.New("redbreaker: caller gave up before the command was sent")

// scriptArg is a script's hash or source, as the argument of one attempt.
type scriptArg struct {
	*attempt
	text string
}

// MarshalBinary is called when go-redis writes the command, once more if a
// cluster redirects it.
func (a scriptArg) MarshalBinary() ([]byte, error) {
	// In a pipeline go-redis keeps a redirection as the error of a command that it
	// then sends to the other node, even if that reply is lost. Without this line
	// the command would count as not executed.
	a.cmd.SetErr(nil)
	if a.state.CompareAndSwap(waiting, sent) || a.state.CompareAndSwap(claimed, sent) {
		return []byte(a.text), nil
	}
	if a.state.Load() == left && !a.pipelined {
		return nil, errCallerLeft
	}
	return []byte(a.text), nil
}

// String returns the argument as a client's hooks print it.
func (a scriptArg) String() string { return a.text }

// command is a script call that go-redis must not send twice: the first may have
// been executed though its reply was lost.
type command struct{ *redis.Cmd }

// NoRetry makes go-redis send the command once.
func (c command) NoRetry() bool { return true }

// Clone keeps NoRetry where go-redis copies the command.
func (c command) Clone() redis.Cmder {
	return command{c.Cmd.Clone().(*redis.Cmd)}
}
