// Package peers compares redbreaker with other circuit breakers: in process
// (BenchmarkPeers), and shared through one Redis (BenchmarkShared). It is a nested
// module, so that importers of redbreaker do not inherit the other libraries.
//
// # In process
//
// All have the same settings as nearly as they allow, and each is called through the
// function that its documentation shows, with a function that does nothing. A breaker
// that must stay closed opens at [never] failures in a row, or at half of its window;
// one that must open opens at five in a row, or at half of ten, for an hour.
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
//	hystrix-go      time         ErrorPercentThreshold                each call runs in its own goroutine, with a timer;
//	                                                                  outcomes are counted later, or dropped if they are many;
//	                                                                  places for 65 536 calls, since they are given back late
//	go-zero         time         (it has no settings)                 rejects by chance, the likelier the more fails (Google's
//	                                                                  client-side throttling), in 40 buckets of 10 s
//	aegis           time         WithSuccess(0.5), WithRequest(10)    rejects by chance, as go-zero; Allow and Mark
//
// exaring/hoglet is missing: the module proxy does not serve it.
//
// A library that rejects by chance admits some calls while it is open: their share is
// 100 minus rejected-%.
//
// # Shared
//
// gobreaker's DistributedCircuitBreaker has a store like the one that its project
// offered: GET, SET, and a lock by redsync. Each of its callers has an instance, a
// store and a client, as the processes of a fleet do, and so has each of redbreaker's;
// for breaker=redbreaker-process all goroutines call one instance, as those of one
// process do. (Goroutines that share one instance of gobreaker would also share the
// state of its lock, which is not synchronized.) On the path failures every call
// fails, and the circuit stays closed.
//
// lost-failures-% is the share of failures that are missing from the shared state
// afterwards. gave-up-% is the share of calls that were not made because the breaker
// failed. commands/call counts what the server executed, including the commands of
// scripts; round-trips/call counts how often a client waited for the server, which
// BenchmarkTrips reports for each kind of call.
package peers
