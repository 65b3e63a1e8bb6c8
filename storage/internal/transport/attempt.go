package transport

import (
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// attempt answers the one question about an operation that an error leaves open:
// can the server have executed it?
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
//	claimed  a pipeline has taken the command and may write it
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
	written   atomic.Bool  // the command was written once, see write
	since     time.Time    // when the caller came
	sentAfter atomic.Int64 // when a command was written last, in ns since then
	batch     *batch       // the round trip that the command shares; nil if it is sent by itself
	cmd       *redis.Cmd   // the command that is sent
}

// The states of an attempt, see there. A batch has all but claimed.
const (
	waiting int32 = iota
	claimed
	sent
	left
)

// retry makes the attempt ready for its next command, after the server answered
// that it did not execute the last one.
func (a *attempt) retry() {
	a.batch = nil
	a.written.Store(false)
	a.state.CompareAndSwap(sent, waiting)
}

// claim takes the attempt into a pipeline. It returns false if the caller has
// left.
func (a *attempt) claim(b *batch) bool {
	a.batch = b
	return a.state.CompareAndSwap(waiting, claimed)
}

// hasLeft reports whether the caller has its answer.
func (a *attempt) hasLeft() bool { return a.state.Load() == left }

// unclaim is called when the pipeline is done: what it did not write was not
// sent.
func (a *attempt) unclaim() { a.state.CompareAndSwap(claimed, waiting) }

// leave ends the attempt. It reports whether the last command can have been
// executed.
func (a *attempt) leave() (executable bool) {
	before := a.state.Swap(left)
	return before == sent || before == claimed
}

// leaveUnsent ends the attempt if nothing was written, and reports whether it did.
func (a *attempt) leaveUnsent() bool { return a.state.CompareAndSwap(waiting, left) }

// write records that the command is written now. It returns an error if it must not
// be: no caller waits for it, or it was written before. before is the error that the
// command has from its last writing: a cluster's client writes a command again that
// a node has refused, while a hook that sends it again after its reply was lost
// would have it executed twice.
func (a *attempt) write(before error) error {
	if a.written.Swap(true) && meaningOf(before).class == 0 {
		return writtenTwiceError{}
	}
	if !a.recordWrite() {
		return callerLeftError{}
	}
	return nil
}

// recordWrite returns false if no caller waits for the command.
func (a *attempt) recordWrite() bool {
	a.sentAfter.Store(int64(time.Since(a.since))) // before the state: who sees sent reads it
	if a.batch != nil {
		if !a.batch.writeBatch() {
			return false
		}
		a.state.CompareAndSwap(claimed, sent)
		return true
	}
	return a.state.CompareAndSwap(waiting, sent) || a.state.Load() == sent // sent: a cluster redirects it
}

// callerLeftError keeps a command from being written. To go-redis it looks like
// an answer of the server, and that is its purpose: for any other error go-redis
// would close the connection. At a distance, where a connection takes longer to
// make than the timeout allows, every connection would be closed as soon as it is
// ready, and the server never be reached.
type callerLeftError struct{}

func (callerLeftError) Error() string {
	return "redbreaker: caller gave up before the command was sent"
}

// RedisError makes it an error of the server.
func (callerLeftError) RedisError() {}

// writtenTwiceError keeps a command from being written again. It looks like an
// answer of the server for the reason that callerLeftError does.
type writtenTwiceError struct{}

func (writtenTwiceError) Error() string {
	return "redbreaker: a hook of the client sent a step again, which was not written since the first may have been executed; let the hook respect NoRetry of the command"
}

// RedisError makes it an error of the server.
func (writtenTwiceError) RedisError() {}

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
	before := a.cmd.Err()
	a.cmd.SetErr(nil)
	if err := a.write(before); err != nil {
		return nil, err
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
