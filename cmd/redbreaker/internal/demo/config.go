// Package demo plays replicas of a service that share one breaker while their
// dependency works, fails and recovers, and reports what happened.
package demo

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

// The limits of what one process can play.
const (
	maxReplicas = 32
	maxRate     = 1000
	maxStage    = time.Hour
)

// Config describes a demo. Every field but Redis, Panel, Screen and Color is required.
type Config struct {
	Replicas int
	Rate     int // calls a second of each replica
	// How long the dependency is in each stage.
	Healthy, Failing, Recovered time.Duration

	Policy    redbreaker.Policy
	Name      string
	Namespace string
	// Redis keeps the state. The zero Target means an embedded miniredis.
	Redis target.Target
	// Panel is the loopback address of the web panel. Empty: none.
	Panel string

	Out io.Writer
	// Screen is the terminal behind Out. Without one, Out gets plain lines.
	Screen *Screen
	// Color allows colours on the screen.
	Color bool

	panelURL string
}

// Screen is a terminal.
type Screen struct {
	Size func() (width, height int)
	// Keys calls pressed for each key until restore is called. It may be nil.
	Keys func(pressed func(key byte)) (restore func())
}

// Validate returns all faults, in terms of the command's flags.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	count := func(flag string, n, limit int) {
		if n < 1 || n > limit {
			fault("%s is %d, use 1 to %d", flag, n, limit)
		}
	}
	length := func(flag string, d time.Duration) {
		if d <= 0 || d > maxStage {
			fault("%s is %v, use above 0 to %v", flag, d, maxStage)
		}
	}
	p := &c.Policy
	count("--replicas", c.Replicas, maxReplicas)
	count("--rate", c.Rate, maxRate)
	length("--healthy", c.Healthy)
	length("--failing", c.Failing)
	length("--recovered", c.Recovered)
	count("--consecutive-failures", p.ConsecutiveFailures, maxRate)
	length("--open-for", p.OpenFor)
	if m := p.Backoff.Multiplier; !(m >= 1 && m <= 10) {
		fault("--multiplier is %v, use 1 to 10", m)
	}
	length("--max-open-for", p.Backoff.Max)
	if p.Backoff.Max < p.OpenFor && p.OpenFor <= maxStage {
		fault("--max-open-for is %v, less than --open-for (%v)", p.Backoff.Max, p.OpenFor)
	}
	count("--probes", p.HalfOpen.Probes, maxRate)
	count("--successes", p.HalfOpen.Successes, maxRate)
	if p.HalfOpen.Successes > p.HalfOpen.Probes && p.HalfOpen.Probes > 0 {
		fault("--successes is %d, more than --probes (%d): the circuit could never close", p.HalfOpen.Successes, p.HalfOpen.Probes)
	}
	if faults == nil {
		return c.Policy.Validate()
	}
	return errors.Join(faults...)
}

// usesEmbedded reports whether the demo starts its own miniredis.
func (c *Config) usesEmbedded() bool { return c.Redis == target.Target{} }

// totalLength returns how long the demo takes.
func (c *Config) totalLength() time.Duration { return c.Healthy + c.Failing + c.Recovered }

// demoPolicy returns the policy with short lifetimes: a record that a crash leaves
// behind expires soon, and so does the lease of a probe that never returns.
func (c *Config) demoPolicy() redbreaker.Policy {
	p := c.Policy
	p.IdleTTL = time.Minute
	p.HalfOpen.Lease = 2 * callTimeout
	return p
}

// describeSetup describes the parts of the demo, in lines of 80 columns.
func (c *Config) describeSetup() string {
	where := "an embedded miniredis"
	if !c.usesEmbedded() {
		where = c.Redis.String()
	}
	text := fmt.Sprintf("%d replicas, %d calls a second each, one HTTP dependency, one shared breaker\n"+
		"state: %s in namespace %s of %s", c.Replicas, c.Rate, plaintext.Quote(c.Name), plaintext.Quote(c.Namespace), where)
	if c.panelURL != "" {
		text += "\npanel: " + c.panelURL
	}
	return text
}

// stage is a part of the demo, by what the dependency does.
type stage int

const (
	healthy stage = iota
	failing
	recovered
	stages int = iota
)

func (s stage) String() string { return [...]string{"healthy", "failing", "recovered"}[s] }

// stageAt returns the stage at a time of the demo.
func (c *Config) stageAt(elapsed time.Duration) stage {
	switch {
	case elapsed < c.Healthy:
		return healthy
	case elapsed < c.Healthy+c.Failing:
		return failing
	}
	return recovered
}
