// Package storage keeps breakers in Redis, so that the processes of a fleet share
// them. Each decision is one call of a Lua script, which Redis runs atomically on one
// key.
//
// The client's clock, retries and timeouts do not matter: times are the server's, a
// script whose reply is lost is not sent again, and [WithTimeout] bounds each step.
//
// With [WithWatch] the breakers of a storage follow the transitions of other
// processes without calls. [Redis.Names] lists the breakers of a namespace, and
// [Redis.Watch] follows them all.
//
// Package storage/cas keeps breakers in other databases.
package storage
