// Package storage keeps breakers outside the process, so that a fleet shares
// them: in Redis, by scripts that Redis runs atomically.
//
// Every decision is one script call on one key. The client's clock, its retries
// and its settings do not matter: times are the server's, a script is sent at
// most once, and each call is bounded by [WithTimeout].
package storage
