// Package demo lets a few replicas of a service share one breaker through a
// dependency that works, fails and recovers, and shows what came of it.
package demo

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

// Bounds of what one process can play.
const (
	maxReplicas = 32
	maxRate     = 1000
	maxPhase    = time.Hour
)

// Config says what to play. Every field but Redis and Screen is needed.
type Config struct {
	Replicas int
	Rate     int // calls a second, of each replica
	// How long the dependency is in each phase.
	Healthy, Failing, Recovered time.Duration

	Policy    redbreaker.Policy
	Name      string
	Namespace string
	// Redis keeps the state. The zero Target: an embedded miniredis.
	Redis target.Target

	Out io.Writer
	// Screen tells the size of the terminal that Out is. nil: it is none, and
	// gets plain lines.
	Screen func() (width, height int)
	// Color allows colours on the screen.
	Color bool
}

// Validate returns every fault.
func (c *Config) Validate() error {
	var faults []error
	count := func(flag string, n, limit int) {
		if n < 1 || n > limit {
			faults = append(faults, fmt.Errorf("%s is %d, use 1 to %d", flag, n, limit))
		}
	}
	length := func(flag string, d time.Duration) {
		if d <= 0 || d > maxPhase {
			faults = append(faults, fmt.Errorf("%s is %v, use above 0 to %v", flag, d, maxPhase))
		}
	}
	count("--replicas", c.Replicas, maxReplicas)
	count("--rate", c.Rate, maxRate)
	length("--healthy", c.Healthy)
	length("--failing", c.Failing)
	length("--recovered", c.Recovered)
	return errors.Join(append(faults, c.Policy.Validate())...)
}

// embedded reports whether the demo brings its own Redis.
func (c *Config) embedded() bool { return c.Redis == target.Target{} }

// length is how long the demo takes.
func (c *Config) length() time.Duration { return c.Healthy + c.Failing + c.Recovered }

// policy is the one given, with what a demo adds: a record that a crash leaves
// behind is soon gone, and so is the lease of a probe that never returns.
func (c *Config) policy() redbreaker.Policy {
	p := c.Policy
	p.IdleTTL = time.Minute
	p.HalfOpen.Lease = 2 * callTimeout
	return p
}

// phase is what the dependency does.
type phase int

const (
	healthy phase = iota
	failing
	recovered
	phases int = iota
)

func (p phase) String() string { return [...]string{"healthy", "failing", "recovered"}[p] }

// phaseAt is the phase that far into the demo.
func (c *Config) phaseAt(elapsed time.Duration) phase {
	switch {
	case elapsed < c.Healthy:
		return healthy
	case elapsed < c.Healthy+c.Failing:
		return failing
	}
	return recovered
}
