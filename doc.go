// Package redbreaker is a circuit breaker whose state a whole fleet shares
// through Redis, or the goroutines of one process through memory.
//
// A breaker stands before calls to one dependency. While the dependency works,
// it only counts. When the dependency fails, the circuit opens: calls are
// rejected at once, for all processes alike, so that the dependency can recover
// and its callers need not wait. After a while a few probes are let through, and
// what becomes of them closes the circuit or opens it again. Each decision is
// one atomic step in the storage, on the storage's clock.
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
// This shares the circuit within the process only, with those who hold the same
// *Breaker: two New("payments") share nothing. A fleet shares it through Redis:
//
//	store, err := storage.NewRedis(rdb, storage.WithNamespace("shop"))
//	payments, err := redbreaker.New("payments", policy, redbreaker.WithStorage(store))
//	err = payments.Ping(ctx) // optional: tells a wrong password now, not later
//
// [New] never touches the network. [Call] is Do for functions with a result,
// [CallCheck] judges results such as a 503 with a nil error, [Breaker.Acquire]
// gives a [Permit] to code that a function cannot wrap, and a [Registry] makes
// breakers by name, such as one for each host. Package storage is apart, so that
// a program which imports only this one links no Redis client.
//
// # Policy
//
// The zero value of every field has a meaning; the zero [Policy] is usable.
// Durations are used in whole milliseconds, rounded up, rates to 1/10 000.
//
//	field                     zero means            what it says
//	ConsecutiveFailures       5 if no rule is set,  open after so many failures in a row
//	                          else no such rule
//	Window.Calls              not count-based       look at the last so many calls (to 10 000)
//	Window.Period             not time-based        look at the last so long, in ten buckets
//	Window.FailureRate        no such condition     open at this share of failures, above 0 to 1
//	Window.FailureCount       no such condition     open at so many failures
//	Window.SlowCallRate       no such condition     open at this share of slow calls
//	Window.SlowCallDuration   no call is slow       slow is what took at least so long
//	Window.MinCalls           10, at most Calls     calls it takes before rates are judged
//	OpenFor                   1 minute              how long calls are rejected
//	Backoff.Multiplier        1                     lengthens OpenFor with each open in a row
//	Backoff.Max               1 hour, or OpenFor    the longest open period
//	Backoff.Jitter            none                  shortens an open period by up to this share
//	HalfOpen.Probes           Successes, or 1       calls let through to probe, fleet-wide
//	HalfOpen.Successes        1                     probes that must succeed to close
//	HalfOpen.Lease            30 s, or OpenFor      the longest a probe may take
//	StartOpen                 start closed          a new circuit must prove itself first
//	MinReporters              1, as in memory       hosts that must have seen it (to 16)
//	IdleTTL                   24 hours              how long an idle record is kept in Redis
//
// Rules are OR-ed. They are judged after a failure or a slow call, never after a
// fast success. A window takes either Calls or Period, and at least one of
// FailureRate, FailureCount and SlowCallRate.
//
// # What a call returns
//
// Do, Call and CallCheck return what the function returned, unchanged. Where the
// function was not called, they return the error of a context that was already
// done, a *[RejectedError] (matched by [ErrRejected]; it tells name, reason,
// state, mode, and by RetryAfter how long it will last), or [ErrStopped]. They
// never return an error of the storage. [Breaker.Inspect], [Breaker.Control] and
// [Breaker.Ping] do: a *[StorageError].
//
// # What counts
//
// nil is a success. Ignored are every error of a call whose caller cancelled its
// context, and a rejection by another breaker inside the call. Every other error
// is a failure, context.DeadlineExceeded included; so are a panic and a
// runtime.Goexit, which are counted and continue. A [Classifier] changes the rules for errors, and
// [RetryAfterError] gives a failure an open time of its own. Of an error, only
// its type enters the storage, unless [WithErrorText] is given.
//
// A result counts only in the period that admitted its call: what comes after
// the circuit has moved on changes nothing.
//
// # Modes
//
// By [Breaker.Control] an operator overrules the machine, for the whole fleet:
// force open (reject all), force closed (admit all, count nothing), shadow (admit
// all, count on, to try a policy), release; or trips, probes or resets it once.
// A mode may end by itself. [Breaker.Status] tells what this process last heard,
// without I/O; [Breaker.Inspect] asks the storage, and shows the last 16
// transitions with their causes.
//
// # When the storage does not answer
//
// Calls go by [WithFallback]: [FallbackLocal], the default, goes on with a breaker
// of this process that begins where the shared one was last heard to be;
// [FallbackAllow] lets calls through uncounted; [FallbackDeny] rejects them. Hooks hear of the beginning and the end
// of an outage; without such hooks they are logged to slog.Default, once each.
// A storage that fails never changes what a call returned. In memory nothing fails.
//
// # Hooks
//
// [Hooks] are told of transitions, outcomes, rejections, outages and anomalies;
// [LogHooks] logs them. They may be slow, panic, or call the breaker. Only
// OnOutcome and OnReject run on the caller's path.
//
// # Testing
//
// A breaker on memory needs nothing but this package. In a testing/synctest
// bubble it runs on the bubble's clock, and an idle one owns no goroutine.
// Elsewhere, engine.NewMemory(engine.WithClock(now)) moves its time by hand; pass
// it to [WithStorage].
//
// # Promises
//
// Each decision is one atomic step. At most HalfOpen.Probes probes are under way
// in the whole fleet. A result changes the state only in its own period, and
// counts at most once. Every open and half-open state ends by time: a probe that
// never returns delays recovery by one lease. State that is lost or unreadable
// begins anew with an event. An outage of the storage costs a call the storage's
// time bound at most, twice. Nothing grows without bound, and nothing outlives
// [Breaker.Stop] but hooks under way.
//
// Not promised: that writes survive a failover of Redis, since its replication
// is asynchronous; protection from those who may write the keys; an exact open
// period when the server's clock jumps.
package redbreaker
