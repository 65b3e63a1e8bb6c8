//go:build race

package redbreaker_test

const raceEnabled = true
