// Package faults holds the fault suite: what a user of the whole stack sees (a
// Breaker, over storage.Redis, over go-redis) when the network, the server, a
// process or a record fails. See the table:
//
//	go test -v ./internal/faults
//
// Most rows run in a testing/synctest bubble over a miniredis, where time is
// exact and costs nothing, so the suite needs Go 1.25. Rows on a real server are
// skipped where there is none.
package faults
