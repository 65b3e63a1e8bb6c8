// Package faults tests the whole stack, a Breaker over storage.Redis over
// go-redis, while the network, the server, a process or a record fails. The
// verbose output is a table of the faults:
//
//	go test -v ./internal/faults
//
// Most rows run in a testing/synctest bubble over a miniredis, where time is
// exact and passes at once, so the suite needs Go 1.25. Rows that need a real
// server are skipped without one.
package faults
