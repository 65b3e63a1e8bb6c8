// Package follow decides which transitions of a record a process delivers, in
// which order, and when the record has to be read.
//
// A process learns of transitions in three ways: from events that Redis
// publishes, from replies to its own steps, and by reading the record. None of
// them is complete. Events are lost, delayed and reordered while a connection
// works; replies arrive after the event of the same step, or never; a read
// record may have been flushed or rolled back by a failover since the last one.
//
// A [Follower] puts them together for one record. It follows a chain of epochs:
// an event names the epoch before its transition, and the event that names the
// follower's own epoch is the next one. The number of a transition identifies
// nothing, since it restarts with the record; it only counts what was missed.
// Whatever does not chain makes the follower read the record.
//
// The owner of a Follower gives it all that arrives: events by Push, own steps by
// BeginStep, Reply and EndStep, results by Read and Polled, and the time by Tick. What
// follows from an input is in an [Output]: events for hooks, a state for Status, and
// signs that events do not arrive. What the owner has to do is asked with ReadDue,
// NeedsPoll, PollDue and SignDue.
//
// Three rules are easily broken, and the mutants of the test each break one. Only an
// epoch above all earlier ones is delivered: after a failover, a slow clock gives out
// epochs that lie below. Nothing is delivered before a baseline is known: else a
// process that starts would get the whole log as news. And an event waits for the own
// steps that were in flight when it came: only their replies show that it is own.
//
// The package does no I/O and owns no goroutine. Time is an argument: the
// monotonic time since an arbitrary start, above 0. Nothing in it is safe for
// concurrent use.
package follow
