// Package storage keeps breakers in Redis, so that the processes of a fleet share
// them. Scripts, which Redis runs atomically, make every decision.
//
// A decision is one script call on one key. The client's clock, its retries and
// its settings do not matter: times are the server's, a script is sent at most
// once, and [WithTimeout] bounds each call.
//
// Package storage/cas keeps breakers in other databases.
package storage
