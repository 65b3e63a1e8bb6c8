package main

// section is a table of bounds.
type section struct {
	title  string
	bounds []*bound
}

const (
	twoAdds = "memory Floor/do=two_adds/goroutines=1 ns/op"
	since   = "memory Floor/do=since/goroutines=1 ns/op"
)

func memorySuccess(rule, goroutines string) string {
	return "memory Memory/rule=" + rule + "/path=success/goroutines=" + goroutines + " ns/op"
}

func peerCall(breaker, rule, path, goroutines string) string {
	return "peers Peers/breaker=" + breaker + "/rule=" + rule + "/path=" + path + "/goroutines=" + goroutines + " ns/op"
}

// allocationQueries returns the queries for the allocations of every rule.
func allocationQueries(path, goroutines string) (queries []string) {
	for _, rule := range []string{"consecutive", "count", "time", "slow"} {
		queries = append(queries, "memory Memory/rule="+rule+"/path="+path+"/goroutines="+goroutines+" allocs/op")
	}
	return queries
}

// sections are all bounds, in the order of the page.
var sections = []section{
	{"In memory, a call that succeeds, one goroutine", []*bound{
		{id: "memory-allocs", work: "every rule, allocations", figures: allocationQueries("success", "1")},
		{id: "memory-consecutive", work: "consecutive rule", figures: []string{memorySuccess("consecutive", "1")},
			against: "two atomic adds", floors: []term{{1, twoAdds}}, value: slower, atMost: 1.5},
		{id: "memory-count", work: "count window", figures: []string{memorySuccess("count", "1")},
			against: "two atomic adds", floors: []term{{1, twoAdds}}, value: slower, atMost: 2},
		{id: "memory-time", work: "time window", figures: []string{memorySuccess("time", "1")},
			against: "four atomic adds and a clock read", floors: []term{{2, twoAdds}, {1, since}}, value: slower, atMost: 1},
		{id: "memory-slow", work: "time window that judges slow calls", figures: []string{memorySuccess("slow", "1")},
			against: "four atomic adds and two clock reads", floors: []term{{2, twoAdds}, {2, since}}, value: slower, atMost: 1},
		{id: "memory-eapache", work: "consecutive rule", figures: []string{peerCall("redbreaker", "consecutive", "success", "1")},
			against: "go-resiliency, which counts nothing while closed",
			floors:  []term{{1, peerCall("go-resiliency", "consecutive", "success", "1")}}, value: slower, atMost: 2},
	}},
	{"The same, 64 goroutines on one breaker", []*bound{
		{id: "crowd-allocs", work: "every rule, allocations", figures: allocationQueries("success", "64")},
		{id: "crowd-lock", work: "consecutive rule: no lock on the path", figures: []string{memorySuccess("consecutive", "64")},
			against: "locking and unlocking a mutex", floors: []term{{1, "memory Floor/do=mutex/goroutines=64 ns/op"}}, value: slower, atMost: 1},
		againstGobreaker("crowd-consecutive", "consecutive rule", "consecutive", "consecutive", "success", 30),
		againstGobreaker("crowd-count", "count window, against a rolling one", "count", "time", "success", 10),
		againstGobreaker("crowd-time", "time window", "time", "time", "success", 10),
		againstGobreaker("crowd-failures-consecutive", "consecutive rule, 1 % failures", "consecutive", "consecutive", "failures", 10),
		againstGobreaker("crowd-failures-count", "count window, 1 % failures, against a rolling one", "count", "time", "failures", 5),
		againstGobreaker("crowd-failures-time", "time window, 1 % failures", "time", "time", "failures", 5),
	}},
	{"In memory, rejected while open", []*bound{
		{id: "rejected-allocs", work: "every rule, allocations", figures: append(allocationQueries("rejected", "1"), allocationQueries("rejected", "64")...)},
		{id: "rejected-clock", work: "one clock read: costs less than two",
			figures: []string{"memory Memory/rule=consecutive/path=rejected/goroutines=1 ns/op"},
			against: "one clock read", floors: []term{{1, since}}, value: slower, atMost: 2},
		rejectedFaster("rejected-peers", "one goroutine", "1"),
		rejectedFaster("rejected-peers-crowd", "64 goroutines", "64"),
	}},
	{"`Do` compared with `Acquire` and `Success`", []*bound{
		doDistance("consecutive", "consecutive rule"), doDistance("count", "count window"),
		doDistance("time", "time window"), doDistance("slow", "time window that judges slow calls"),
	}},
	{"`step.lua`, server time against EVALSHA `return 1`", []*bound{
		scriptCost("closed_admission", "closed admission", 3.5), scriptCost("open_rejection", "open rejection", 5.5),
		scriptCost("success", "success", 7.5), scriptCost("failure", "failure", 9.5),
		scriptCost("failure_in_time_window", "failure in a time window", 12.5), scriptCost("transition", "transition", 30),
		{id: "script-batch", work: "batch of 64, each operation", figures: []string{"scripts ScriptCost/batch_of_64 x-return1/operation"}, atMost: 0.5},
	}},
	{"Strict decisions a second, one process, 256 goroutines", []*bound{
		decisionRate("decisions-1", "one breaker", "1", 10),
		decisionRate("decisions-100", "100 breakers", "100", 3),
	}},
	{"A lone caller over Redis, 50th percentile, against EVALSHA of the same script", []*bound{
		{id: "latency-acquire", work: "`Acquire`", figures: []string{"latency Latency/do=acquire x-step"}, atMost: 1.1},
		{id: "latency-do", work: "`Do`", figures: []string{"latency Latency/do=do x-step"}, atMost: 1.1},
	}},
	{"Every failure counts, and counts once", []*bound{
		{id: "lost-failures", work: "256 callers that share only Redis, % lost",
			figures: []string{"shared Shared/breaker=redbreaker/path=failures/goroutines=256 lost-failures-%"}},
	}},
	{"Round trips of a protected call", []*bound{
		roundTrips("success", "strict, closed", 2), roundTrips("rejected", "rejected", 1), roundTrips("probe", "probe that closes", 2),
	}},
	{"A trip that another process sees, against PUBLISH until a plain subscriber has it", []*bound{
		pushLatency("redis", "p50"), pushLatency("redis", "p99"), pushLatency("cluster", "p50"), pushLatency("cluster", "p99"),
	}},
	{"A storage that watches", []*bound{
		watchFigure("receive-followed", "an event of a breaker in use, processor time", "WatchReceive/key=followed/rate=full cpu-ns/event", 3000),
		watchFigure("receive-followed-allocs", "the same, allocations", "WatchReceive/key=followed/rate=full allocs/event", 14),
		watchFigure("receive-other", "an event of another breaker, processor time", "WatchReceive/key=other/rate=full cpu-ns/event", 1500),
		watchFigure("receive-other-allocs", "the same, allocations", "WatchReceive/key=other/rate=full allocs/event", 9),
		watchFigure("receive-core", "10 000 events/s, % of a core", "WatchReceive/key=followed/rate=10000 core-%", 3),
		watchFigure("goroutines", "goroutines", "WatchFootprint goroutines/storage", 1),
		watchFigure("connections", "connections", "WatchFootprint connections/storage", 1),
		watchFigure("heap", "memory in Go", "WatchFootprint B/storage", 110*kB),
		watchFigure("record", "memory in Go for each breaker", "WatchFootprint B/record", 250),
		watchFigure("subscriber", "memory in Redis", "WatchFootprint B/subscriber", 45*kB),
		watchFigure("poll", "reading 500 heads", "WatchPoll pipeline-ns", 1e6),
		watchFigure("poll-server", "the same, µs of the server for each", "WatchPoll server-us/record", 1),
		{id: "watch-read", work: "reading a record back, one entry missing, server time against `return 1`",
			figures: []string{"scripts ReadCost/one_missing x-return1"}, atMost: 8},
		{id: "watch-read-inspect", work: "the same", figures: []string{"scripts ReadCost/one_missing server-us/op"},
			against: "inspecting it", floors: []term{{1, "scripts ReadCost/inspect server-us/op"}}, value: slower, atMost: 0.5},
		watchFigure("cut", "receives again after the connection was cut", "WatchReturns/after=cut away-ns", 500e6),
		watchFigure("node-killed", "after its node of a cluster died", "WatchReturns/after=node_killed away-ns", 1e9),
		watchFigure("black-hole", "after a network that swallows packets", "WatchReturns/after=black_hole away-ns", 3e9),
		watchFigure("failover", "after a failover by sentinels", "WatchReturns/after=failover away-ns", 1.5e9),
		watchFigure("close", "Close while packets vanish, in time bounds", "WatchClose x-timeout", 1),
		watchFigure("bubble", "an hour in a synctest bubble", "WatchBubble hour-ns", 6e6),
		watchFigure("fleet", "a step beside 1 000 events/s at 300 subscribers, 99th percentile against none", "WatchFleet x-quiet", 1.5),
	}},
	{"Listing 10 000 breakers", []*bound{
		watchFigure("enrol", "entering them", "Listing enrol-ns", 100e6),
		watchFigure("enrol-server", "the same, µs of the server for each", "Listing server-us/name", 3),
		watchFigure("list", "listing them", "Listing list-ns", 50e6),
		watchFigure("list-longest", "the longest command", "Listing longest-ns", 5e6),
	}},
	{"Bounded staleness, a call through a view against one in memory", []*bound{
		{id: "stale-allocs", work: "every rule, allocations", figures: staleAllocations()},
		staleCall("consecutive", "success", "1", 1.5), staleCall("count", "success", "1", 1.5), staleCall("time", "success", "1", 1),
		staleCall("consecutive", "success", "64", 2), staleCall("count", "success", "64", 2), staleCall("time", "success", "64", 1),
		staleCall("time", "rejected", "1", 1.25), staleCall("time", "rejected", "64", 1.25),
	}},
	{"Bounded staleness of 1 s, 64 goroutines, time window, against strict mode", []*bound{
		staleRate("0", 100), staleRate("1", 50), staleRate("10", 10), staleRate("50", 5),
		staleOverhead("0", 50), staleOverhead("1", 50), staleOverhead("10", 20),
		{id: "stale-steps-full", work: "steps for 100 decisions, none fails", figures: []string{"staleness StalenessRate/failing=0/mode=view steps/100-decisions"}, atMost: 0.01},
	}},
	{"Bounded staleness, steps of one process and breaker in d, after 20 d", []*bound{
		{id: "stale-steps-healthy", work: "healthy", figures: []string{"staleness StalenessSteps/failing=0 steps/d"}, atMost: 2.5},
		{id: "stale-steps-failing", work: "half of the calls fail", figures: []string{"staleness StalenessSteps/failing=50 steps/d"}, atMost: 9},
	}},
	{"Bounded staleness, 2000 breakers of a registry, beside strict mode", []*bound{
		{id: "stale-bytes-rest", work: "memory of a breaker at rest", figures: []string{"staleness StalenessFootprint/kind=rest B/breaker"}, atMost: 128},
		{id: "stale-bytes-used", work: "memory of a breaker in use", figures: []string{"staleness StalenessFootprint/kind=used B/breaker"}, atMost: 0.8 * kB},
		{id: "stale-goroutines", work: "goroutines of all", figures: []string{"staleness StalenessFootprint/kind=used goroutines"}, atMost: 64},
	}},
	{"Growth", []*bound{
		growthRatio("growth-window", "window of 10 000 against one of 100", "Window/window=10000", "Window/window=100", 1.1),
		growthRatio("growth-breakers", "100 000 breakers against one", "Growth/breakers=100000", "Growth/breakers=1", 2),
	}},
	{"Redis dead or slow, 256 goroutines", []*bound{
		outageProcessor("slow"), outageProcessor("blackholed"), outageProcessor("refusing"),
		{id: "outage-p99", work: "99th percentile, in all three", figures: eachOutage("p99-ns"), atMost: 500e6},
		{id: "outage-max", work: "longest call, within the time bounds of two steps", figures: eachOutage("max-ms"), atMost: 500},
		{id: "outage-log", work: "lines of log in all", figures: eachOutage("log-lines"), atMost: 10},
	}},
	{"Memory of a breaker", []*bound{
		bytesOfBreaker("redis", "quiet", "in Redis, closed and quiet", kB),
		bytesOfBreaker("redis", "full", "in Redis, full log and time window", 5*kB),
		bytesOfBreaker("redis", "count_10000", "in Redis, 2 B for each of 10 000 in a count window", kB+2*10_000),
		bytesOfBreaker("go", "quiet", "in Go, closed and quiet", kB),
		bytesOfBreaker("go", "shared", "in Go, over Redis", kB),
		bytesOfBreaker("go", "registry", "in Go, of a registry, its share in that included", kB),
		{id: "footprint-go-contended", work: "in Go, 64 B for each of at most 64 stripes once contended",
			figures: []string{"footprint Footprint/where=go/kind=contended B/breaker"}, against: "the same, called by one goroutine",
			floors: []term{{1, "footprint Footprint/where=go/kind=window B/breaker"}}, value: distance, atMost: 64 * 64},
	}},
}

func againstGobreaker(id, work, rule, theirs, path string, times float64) *bound {
	return &bound{id: id, work: work, figures: []string{peerCall("redbreaker", rule, path, "64")},
		against: "gobreaker", floors: []term{{1, peerCall("gobreaker", theirs, path, "64")}}, value: faster, atLeast: times}
}

// rejectedFaster compares with the fastest peer that reads a clock to reject.
func rejectedFaster(id, work, goroutines string) *bound {
	b := &bound{id: id, work: work, figures: []string{peerCall("redbreaker", "time", "rejected", goroutines)},
		against: "the fastest peer that reads a clock", lowest: true, value: faster, atLeast: 1}
	for _, peer := range []string{"gobreaker", "failsafe-go", "failsafe-go-run", "rubyist", "bytedance", "cep21", "hystrix-go", "go-zero", "aegis"} {
		b.floors = append(b.floors, term{1, peerCall(peer, "time", "rejected", goroutines)})
	}
	return b
}

func staleAllocations() (queries []string) {
	for _, rule := range []string{"consecutive", "count", "time"} {
		for _, path := range []string{"success", "rejected"} {
			queries = append(queries, "staleness Staleness/where=view/rule="+rule+"/path="+path+"/goroutines=64 allocs/op")
		}
	}
	return queries
}

// staleCall compares calls that ask no storage with those of the in-memory engine.
func staleCall(rule, path, goroutines string, times float64) *bound {
	at := "/rule=" + rule + "/path=" + path + "/goroutines=" + goroutines + " ns/op"
	return &bound{id: "stale-" + rule + "-" + path + "-" + goroutines, work: rule + ", " + path + ", goroutines: " + goroutines,
		figures: []string{"staleness Staleness/where=view" + at}, against: "in memory",
		floors: []term{{1, "staleness Staleness/where=memory" + at}}, value: slower, atMost: times}
}

func staleRate(failing string, times float64) *bound {
	at := "staleness StalenessRate/failing=" + failing
	return &bound{id: "stale-rate-" + failing, work: "calls a second, " + failing + " % fail", figures: []string{at + "/mode=view calls/s"},
		against: "strict mode", floors: []term{{1, at + "/mode=strict calls/s"}}, value: slower, atLeast: times}
}

func staleOverhead(failing string, times float64) *bound {
	at := "staleness StalenessOverhead/failing=" + failing
	return &bound{id: "stale-p99-" + failing, work: "calls of 1 ms, 99th percentile of what the breaker adds, " + failing + " % fail",
		figures: []string{at + "/mode=view p99-ns"}, against: "strict mode", floors: []term{{1, at + "/mode=strict p99-ns"}}, value: faster, atLeast: times}
}

func doDistance(rule, work string) *bound {
	return &bound{id: "do-" + rule, work: work, figures: []string{memorySuccess(rule, "1")},
		against: "Acquire and Success", floors: []term{{1, "memory TwoStep/rule=" + rule + " ns/op"}}, value: distance, atMost: 5}
}

func scriptCost(path, work string, times float64) *bound {
	return &bound{id: "script-" + path, work: work, figures: []string{"scripts ScriptCost/" + path + " x-return1"}, atMost: times}
}

func decisionRate(id, work, breakers string, times float64) *bound {
	at := "/storage=redis/breakers=" + breakers + "/goroutines=256"
	return &bound{id: id, work: work, figures: []string{"contention Contention" + at + "/path=success decisions/s"},
		against: "one EVALSHA a decision", floors: []term{{1, "contention RoundTrip" + at + "/do=evalsha decisions/s"}}, value: slower, atLeast: times}
}

func roundTrips(call, work string, most float64) *bound {
	return &bound{id: "trips-" + call, work: work, figures: []string{"trips Trips/breaker=redbreaker/call=" + call + " round-trips/call"}, atMost: most}
}

// growthRatio compares multiples of EVALSHA of "return 1", which was measured with each size.
func growthRatio(id, work, large, small string, times float64) *bound {
	return &bound{id: id, work: work, figures: []string{"growth " + large + " x-return1"},
		against: "the smaller", floors: []term{{1, "growth " + small + " x-return1"}}, value: slower, atMost: times}
}

// pushLatency bounds a percentile of the time until another process has a trip.
func pushLatency(storage, percentile string) *bound {
	return &bound{id: "push-" + storage + "-" + percentile, work: storage + ", " + percentile,
		figures: []string{"push WatchLatency/storage=" + storage + " x-" + percentile + "-publish"}, atMost: 3}
}

func watchFigure(id, work, query string, most float64) *bound {
	return &bound{id: "watch-" + id, work: work, figures: []string{"watch " + query}, atMost: most}
}

func eachOutage(unit string) (queries []string) {
	for _, redis := range []string{"slow", "blackholed", "refusing"} {
		queries = append(queries, "outage Outage/redis="+redis+" "+unit)
	}
	return queries
}

func outageProcessor(redis string) *bound {
	return &bound{id: "outage-" + redis, work: redis + ": processor time of a call", figures: []string{"outage Outage/redis=" + redis + " cpu-ns/call"},
		against: "a healthy Redis", floors: []term{{1, "outage Outage/redis=healthy cpu-ns/call"}}, value: slower, atMost: 1.3}
}

// kB is a kilobyte of the bounds, in bytes.
const kB = 1024

func bytesOfBreaker(where, kind, work string, most float64) *bound {
	return &bound{id: "footprint-" + where + "-" + kind, work: work,
		figures: []string{"footprint Footprint/where=" + where + "/kind=" + kind + " B/breaker"}, atMost: most}
}
