// Package engine holds the circuit breaker itself: a pure state machine over a
// [Record], the text form of that record, the in-memory engine, and the
// contract that every storage keeps.
//
// The machine is deterministic: time, randomness and the operation are its input,
// the changed record and a [Reply] its output. It reads no clock, does no I/O and
// takes no lock, so tests can try every short sequence of operations. The Lua
// scripts of package scripts mirror it function by function; if their results differ,
// that is a bug.
//
// Most users need only the root package, which has aliases of the types that they
// use. Import this package to write a [Storage] or to use [Memory] directly.
// This package imports nothing but the standard library.
package engine
