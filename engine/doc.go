// Package engine holds the circuit breaker itself: a pure state machine over a
// [Record], the text form of that record, the in-memory engine, and the
// contract that every storage keeps.
//
// The machine is deterministic: time, randomness and the operation go in, the
// changed record and a [Reply] come out. It reads no clock, does no I/O and
// takes no lock, so it can be explored exhaustively and run anywhere. The Lua
// scripts of package scripts say the same thing line by line; where the two
// disagree, one of them has a bug.
//
// Most users need only the root package, which aliases what they touch here.
// This package imports nothing but the standard library.
package engine
