package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/demo"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

func newDemo() *cobra.Command {
	var c demo.Config
	var server string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a few replicas share one breaker through a failing dependency",
		Long: `Watch a few replicas share one breaker through a failing dependency.

It starts an HTTP service that works, fails and recovers, and replicas that call
it, each with its own client and its own breaker; all share one circuit. The
state is in an embedded miniredis, or in the Redis that --redis names: there it
uses a namespace of its own and removes what it wrote.

It ends by itself, or by Ctrl-C, with a summary. The exit code is 1 if a promise
of the breaker did not hold.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if server != "" {
				if c.Redis, err = target.Parse(server); err != nil {
					return err
				}
			}
			c.Out = cmd.OutOrStdout()
			c.Screen = screenOf(c.Out)
			c.Color = os.Getenv("NO_COLOR") == ""
			return explain(demo.Run(cmd.Context(), c), c.Redis, c.Namespace)
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Replicas, "replicas", 4, "instances of the service")
	f.IntVar(&c.Rate, "rate", 50, "calls a second of each replica")
	f.DurationVar(&c.Healthy, "healthy", 4*time.Second, "how long the dependency works")
	f.DurationVar(&c.Failing, "failing", 9*time.Second, "how long it then fails")
	f.DurationVar(&c.Recovered, "recovered", 6*time.Second, "how long it then works again")
	f.IntVar(&c.Policy.ConsecutiveFailures, "consecutive-failures", 5, "failures in a row that open the circuit")
	f.DurationVar(&c.Policy.OpenFor, "open-for", time.Second, "how long it then rejects calls")
	f.Float64Var(&c.Policy.Backoff.Multiplier, "multiplier", 1.5, "how much longer each further time in a row, 1 to 10")
	f.DurationVar(&c.Policy.Backoff.Max, "max-open-for", 3*time.Second, "how long at most")
	f.IntVar(&c.Policy.HalfOpen.Probes, "probes", 3, "calls let through to probe, by all replicas together")
	f.IntVar(&c.Policy.HalfOpen.Successes, "successes", 2, "probes that must succeed to close it")
	f.StringVar(&server, "redis", "", "Redis to use, as host:port or URL (default an embedded miniredis)")
	f.StringVar(&c.Namespace, "namespace", "redbreaker-demo", "namespace of the breaker")
	f.StringVar(&c.Name, "name", "dependency", "name of the breaker")
	return cmd
}

// screenOf returns how to ask the size of the terminal that w is; nil if it is
// none, or one that cannot draw.
func screenOf(w io.Writer) func() (width, height int) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() (width, height int) {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil || width < 1 || height < 1 {
			return 80, 24
		}
		return width, height
	}
}
