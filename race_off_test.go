//go:build !race

package redbreaker_test

const raceEnabled = false
