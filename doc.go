// Package redbreaker is a circuit breaker. All processes of a fleet share its
// state through Redis, or the goroutines of one process share it in memory.
//
// A breaker protects the calls to one dependency. While the dependency works, the
// circuit is closed: calls pass and are counted. When the dependency fails, the
// circuit opens: calls are rejected at once, in all processes, so that the
// dependency can recover and its callers do not wait. After the open period the
// circuit is half-open: a few calls pass as probes, and their results close the
// circuit or open it again. A probe occupies one of few slots, by a lease that ends
// by time. Each decision is one atomic step in the storage, by the storage's clock.
//
// # Quick start
//
//	payments, err := redbreaker.New("payments", redbreaker.Policy{
//		ConsecutiveFailures: 5,
//		OpenFor:             time.Minute,
//	})
//	...
//	err = payments.Do(ctx, func(ctx context.Context) error { return charge(ctx) })
//	if errors.Is(err, redbreaker.ErrRejected) {
//		return cachedAnswer() // the call was not made
//	}
//
// This breaker shares its circuit only with code that uses the same *Breaker: two
// calls of New("payments") share nothing. A fleet shares the circuit through Redis:
//
//	store, err := storage.NewRedis(rdb, storage.WithNamespace("shop"))
//	payments, err := redbreaker.New("payments", policy, redbreaker.WithStorage(store))
//	err = payments.Ping(ctx) // optional: finds a wrong password at start
//
// A cluster of which rdb is given one address, or its configuration endpoint, needs
// IsClusterMode: true in redis.UniversalOptions.
//
// [New] does no I/O. [Call] is Do for functions with a result. [CallCheck] also
// judges results, such as a 503 with a nil error. [Breaker.Acquire] returns a
// [Permit] for code that a function cannot wrap, such as a stream. [Breaker.Wait]
// returns when a call may be admitted, for consumers that pause. A [Registry]
// makes breakers by name, for example one for each host. Package storage is
// separate: a program that imports only this package links no Redis client.
//
// # Policy
//
// The zero value of every field has a meaning, and the zero [Policy] is usable.
// Durations are rounded up to whole milliseconds, rates to 1/10 000.
//
//	field                     zero means            meaning
//	ConsecutiveFailures       5 if no rule is set,  open after this many failures in a row
//	                          else no such rule
//	Window.Calls              not count-based       judge the last so many calls (to 10 000)
//	Window.Period             not time-based        judge the calls of this period, in ten buckets
//	Window.FailureRate        no such rule          open at this share of failures, above 0 to 1
//	Window.FailureCount       no such rule          open at this many failures
//	Window.SlowCallRate       no such rule          open at this share of slow calls
//	Window.SlowCallDuration   no call is slow       a call is slow from this duration on
//	Window.MinCalls           10, at most Calls     calls in the window before rates are judged
//	OpenFor                   1 minute              how long calls are rejected
//	Backoff.Multiplier        1                     lengthens OpenFor with each open in a row
//	Backoff.Max               1 hour, or OpenFor    the longest open period
//	Backoff.Jitter            none                  shortens an open period by up to this share
//	HalfOpen.Probes           Successes, or 1       the most probes of one round, fleet-wide
//	HalfOpen.Successes        1                     successful probes that close the circuit
//	HalfOpen.Lease            30 s, or OpenFor      how long a probe occupies its slot
//	HalfOpen.AllowSlow        slow is a failure     a slow success counts as a success of the round
//	Ramp.Over                 no ramp               how long recovery admits only a share of calls
//	Ramp.From                 0.1                   the share with which the ramp begins
//	Initial.State             closed                the state of a new circuit
//	Initial.Mode              auto                  the mode of a new circuit, such as shadow
//	MinReporters              1, as in memory       hosts that must have reported failures (to 16)
//	IdleTTL                   24 hours              the storage keeps an unused record for half of it to all
//
// The circuit opens if any rule applies. Rules are judged after a failure or a
// slow call, never after a fast success. A window has either Calls or Period, and
// at least one of FailureRate, FailureCount and SlowCallRate.
//
// # What a call returns
//
// Do, Call and CallCheck return the function's results unchanged. If the function
// was not called, they return the error of a context that was already done, a
// *[RejectedError], or [ErrStopped]. Every *RejectedError matches [ErrRejected]
// and has the breaker's name, state and mode, the reason, and in RetryAfter how
// long to wait. These functions never return an error of the storage.
// [Breaker.Inspect], [Breaker.Control] and [Breaker.Ping] do: a *[StorageError].
//
// # What counts
//
// A nil error is a success. If the caller cancelled its context, the call is ignored,
// whatever its error. So is a rejection by another breaker inside the call. Every
// other error is a failure, context.DeadlineExceeded included. A panic and a
// runtime.Goexit are failures too, and continue. A [Classifier] changes these
// rules. [RetryAfterError] gives a failure an open time of its own. [TripError]
// opens the circuit at once, such as for a 429 with a Retry-After, and counts even if
// the caller cancelled. The storage gets only the type of an error, unless
// [WithErrorText] is set.
//
// A result counts only in the period that admitted its call: a result that arrives
// after a transition changes nothing. In half-open, the result of a probe counts once,
// even after its lease has ended.
//
// # Modes
//
// With [Breaker.Control] an operator overrides the circuit for the whole fleet:
// force open (reject all calls), force closed (admit all, count nothing), shadow
// (admit all and count, to try a policy), or release. Other commands trip, probe or
// reset the circuit once. A mode may have an end. [Breaker.Status] returns what
// this process knows, without I/O. [Breaker.Inspect] reads the storage, with the
// last 16 transitions and their causes.
//
// # When the storage fails
//
// The fallback of [WithFallback] decides. [FallbackLocal], the default, continues
// with a breaker of this process that starts in the last known shared state, if this
// process learned it within the last 5 minutes.
// [FallbackAllow] admits calls uncounted. [FallbackDeny] rejects them. Hooks are
// called at the start and the end of an outage; without such hooks, both are logged
// to slog.Default, once for all breakers of a storage. An outage never changes what a
// call that was made returns. In memory nothing fails.
//
// # Bounded staleness
//
// By default the storage decides about each call. With [WithMaxStaleness] a process
// decides by what the storage said at most d before, at in-process speed, and sends
// outcomes in bunches within d. If a process trips the circuit by its own outcomes, its
// next call is rejected. Probes are always decided by the storage. Fleets should use a
// time window, because streaks and count windows judge outcomes in bunches.
//
// # Hooks
//
// [Hooks] are called for transitions, calls, rejections, outages and anomalies.
// [LogHooks] logs transitions, outages and anomalies. Use OnTransition for logs and
// counters: it is called in the process that made the transition and, with
// storage.WithWatch, in all others, where Own is false. Local marks transitions of the
// fallback. Use OnStatus for gauges: it is called in every process that learns of
// another state or mode. OnCall and OnReject run on the caller's goroutine, so they must
// be quick. The others may be slow; [Breaker.Shutdown] waits for them at the end of a
// program. All may panic or call the breaker.
//
// # Testing
//
// A breaker in memory needs only this package. In a testing/synctest bubble it
// uses the bubble's clock, and while it is idle it has no goroutine. Elsewhere,
// engine.NewMemory(engine.WithClock(now)) uses a clock of the test; pass it to
// [WithStorage].
//
// # Promises
//
// Each decision is one atomic step; with [WithMaxStaleness], calls are decided by what a
// step returned at most d before. At most HalfOpen.Probes probes hold a lease at any time
// in the whole fleet. A result changes the state only in its own period, and counts at
// most once. Every open, half-open and ramping state has an exit by time or by its
// results: a probe that never ends delays recovery by one lease. A record that is lost or
// damaged is replaced, with an event. An outage of the storage delays a call by at most
// twice the storage's timeout. Nothing grows without a limit, and after [Breaker.Stop]
// only hooks that already run remain.
//
// Not promised: that writes survive a failover of Redis, which replicates
// asynchronously; protection from clients that write the keys themselves; an exact
// open period if the server's clock jumps.
package redbreaker
