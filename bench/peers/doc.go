// Package peers measures other circuit breakers beside this one: in process
// (BenchmarkPeers), and shared through one Redis (BenchmarkShared). It is a
// module of its own, so that nobody who imports redbreaker inherits them.
//
// # In process
//
// All are told the same as nearly as they can be, and each is called through the
// function that its documentation shows, with a function that does nothing. A
// breaker that is to stay closed opens at [never] failures in a row, or at half of
// its window; one that is to open, at five in a row, or at half of ten. Once open
// it stays so for an hour.
//
//	breaker         rule         as                                   what differs
//	redbreaker      consecutive  ConsecutiveFailures
//	                count        FailureRate of Calls: 1000
//	                time         FailureRate of Period: 10 s          ten buckets
//	gobreaker       consecutive  ReadyToTrip
//	                time         BucketPeriod 1 s, Interval 10 s      has no count window
//	failsafe-go     consecutive  WithFailureThreshold                 1000 in a row at most: it keeps as many bits
//	                count        WithFailureThresholdRatio            500 of 1000, once there are 500
//	                time         WithFailureRateThreshold             ten buckets
//	failsafe-go-run the same     failsafe.With(breaker).Run           failsafe-go above is TryAcquirePermit and Record
//	go-resiliency   consecutive  New                                  counts no success: failures add up until an hour has none
//	mercari         consecutive  NewTripFuncConsecutiveFailures
//	                time         NewTripFuncFailureRate               counters are zeroed each 10 s: nothing slides
//	rubyist         consecutive  NewConsecutiveBreaker                counts in its window of 10 s as well
//	                time         RateTripFunc                         ten buckets
//	bytedance       consecutive  ConsecutiveTripFunc                  counts in its window of 10 s as well; finds the breaker
//	                time         RateTripFunc                         by name on each call; 100 buckets, sharded (EnableShardP)
//	cep21           consecutive  simplelogic.ConsecutiveErrOpener     no time limit, no limit of concurrency
//	                time         hystrix.Opener                       the same
//	hystrix-go      time         ErrorPercentThreshold                each call runs in a goroutine of its own, with a timer;
//	                                                                  outcomes are counted later, or dropped if they are many;
//	                                                                  places for 65 536 calls, since they are given back late
//	go-zero         time         (it has no settings)                 rejects by chance, the likelier the more fails (Google's
//	                                                                  client-side throttling), in 40 buckets of 10 s
//	aegis           time         WithSuccess(0.5), WithRequest(10)    rejects by chance, as go-zero; Allow and Mark
//
// Left out is exaring/hoglet: the module proxy does not give it.
//
// What rejects by chance lets some calls through while it is open: their share is
// what rejected-% lacks of a hundred.
//
// # Shared
//
// gobreaker's DistributedCircuitBreaker is given a store like the one that it had:
// GET, SET, and a lock by redsync. Its callers have an instance, a store and a
// client each, as the processes of a fleet do, and so have redbreaker's; for
// breaker=redbreaker-process all goroutines call one instance, as those of one
// process do. (gobreaker's goroutines that share one instance would share its
// lock's bookkeeping too, which nothing guards.) On the path called failures every
// call fails, and nothing opens the circuit.
//
// lost-failures-% is how many of the failures that callers were told of are not in
// the shared state afterwards. gave-up-% is how many calls were not made because
// the breaker failed. commands/call is what the server executed, what scripts call
// included; round-trips/call is how often a client waited for it, which BenchmarkTrips
// tells for each kind of call.
package peers
