package main

import (
	"slices"
	"strings"
)

// The exported methods are the tables of the page; the template calls them.

var crowds = axesOf("goroutines", "1", "8", "64", "256")

// Memory returns the cost of calls over the in-memory engine.
func (r *results) Memory(path string) (string, error) {
	return r.renderGrid("rule, by goroutines", "memory Memory/path="+path, "ns/op", axesOf("rule", "consecutive", "count", "time", "slow"), crowds)
}

// Floors returns the floors of the in-memory engine.
func (r *results) Floors() (string, error) {
	return r.renderGrid("by goroutines", "memory Floor", "ns/op", axesOf("do", "two_adds", "load_add", "mutex", "now", "since"), crowds)
}

// Peers returns the cost of calls over other libraries, in the order of the results.
func (r *results) Peers(path string) (string, error) {
	var rows []axis
	for _, b := range r.benchmarks {
		if b.suite != "peers" || b.base != "Peers" {
			continue
		}
		breaker, rule := strings.TrimPrefix(b.parts[0], "breaker="), strings.TrimPrefix(b.parts[1], "rule=")
		row := axis{label: breaker + ", " + rule, parts: "/" + b.parts[0] + "/" + b.parts[1]}
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	columns := append(axesOf("goroutines", "1", "8", "64"), axis{label: "allocations", parts: "/goroutines=1", unit: "allocs/op"})
	return r.renderGrid("breaker and rule, by goroutines", "peers Peers/path="+path, "ns/op", rows, columns)
}

// contendingRows returns the rows of contending calls and the floors of the same server,
// which the same goroutines reach with single commands.
func contendingRows(storage, breakers string) (rows []axis) {
	at := "/storage=" + storage + "/breakers=" + breakers
	for _, p := range [][2]string{{"success", "success"}, {"failures", "1 % failures"}, {"rejected", "rejected"},
		{"herd", "herd at one probe"}, {"recover", "trips and recovers"}} {
		rows = append(rows, axis{label: p[1], parts: "Contention" + at + "/path=" + p[0]})
	}
	if storage != "redis" && storage != "cluster" {
		return rows // no floor was measured there
	}
	for _, f := range [][2]string{{"ping", "PING"}, {"evalsha", "EVALSHA `return 1`"},
		{"evalsha2", "two of these, as an admitted call"}, {"step", "EVALSHA of an admission"}} {
		rows = append(rows, axis{label: "*floor:* " + f[1], parts: "RoundTrip" + at + "/do=" + f[0]})
	}
	return rows
}

// Contention returns decisions a second.
func (r *results) Contention(storage, breakers string) (string, error) {
	return r.renderGrid("by goroutines", "contention ", "decisions/s", contendingRows(storage, breakers),
		axesOf("goroutines", "1", "8", "64", "256", "1024"))
}

// Waits returns the latency of calls at 256 goroutines and their cost on the server.
func (r *results) Waits(storage, breakers string) (string, error) {
	const at = "/goroutines=256"
	return r.renderGrid("at 256 goroutines", "contention ", "", contendingRows(storage, breakers), []axis{
		{label: "p50", parts: at, unit: "p50-ns"}, {label: "p99", parts: at, unit: "p99-ns"},
		{label: "scripts a decision", parts: at, unit: "scripts/decision"},
		{label: "server time a decision", parts: at, unit: "server-us/decision"},
	})
}

// Shared returns one quantity of shared breakers, for gobreaker and redbreaker.
func (r *results) Shared(path, unit string) (string, error) {
	return r.renderGrid("breaker, by callers", "shared Shared/path="+path, unit,
		axesOf("breaker", "gobreaker", "redbreaker", "redbreaker-process"), crowds)
}

// Trips returns the round trips by kind of call.
func (r *results) Trips() (string, error) {
	return r.renderGrid("", "trips Trips", "round-trips/call", axesOf("breaker", "gobreaker", "redbreaker"),
		axesOf("call", "success", "failure", "trip", "rejected", "probe"))
}

// List returns all results of the benchmarks of a name.
func (r *results) List(suite, base string) string { return r.renderList(suite, base) }
