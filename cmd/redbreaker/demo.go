package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/demo"
)

// demoConnectTime limits how long the demo waits for the first answer of its Redis.
const demoConnectTime = 5 * time.Second

func newDemo() *cobra.Command {
	var c demo.Config
	var server redisFlags
	var panel bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch replicas share one breaker while a dependency fails and recovers",
		Long: `Watch replicas share one breaker while a dependency fails and recovers.

The demo starts an HTTP service that works, fails and recovers, and replicas that
call it, each with its own client and its own breaker; all share one circuit. The
state is in an embedded miniredis, or in the Redis of --redis, where the demo uses its
own namespace and removes its record at the end.

With --panel, a browser can follow it and overrule the breaker. The stages then last
longer by default.

It ends by itself, or by Ctrl-C, with a summary and a verdict. The exit code is 1 if
a promise of the breaker was broken.

` + redisHelp,
		Example: `  redbreaker demo
  redbreaker demo --panel
  redbreaker demo --redis 127.0.0.1:6379 --replicas 8 --rate 100`,
		Args:              rejectArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("max-open-for") {
				c.Policy.Backoff.Max = max(c.Policy.Backoff.Max, c.Policy.OpenFor)
			}
			if panel {
				c.Panel = "127.0.0.1:0"
				lengthenStages(cmd, &c)
			}
			if err := c.Validate(); err != nil {
				return &usageError{err}
			}
			s := &session{namespace: c.Namespace}
			if server.address != "" {
				t, err := server.parse("")
				if err != nil {
					return err
				}
				s.server = t
				if c.Redis, err = resolveTarget(cmd.Context(), t, demoConnectTime); err != nil {
					return explainError(err, s)
				}
				s.server = c.Redis
			}
			c.Out = cmd.OutOrStdout()
			c.Screen = openScreen(c.Out)
			c.Color = os.Getenv("NO_COLOR") == ""
			return explainError(demo.Run(cmd.Context(), c), s)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false // they are in the order of the demo's story
	f.IntVar(&c.Replicas, "replicas", 4, "instances of the service")
	f.IntVar(&c.Rate, "rate", 50, "calls a second of each replica")
	f.DurationVar(&c.Healthy, "healthy", 4*time.Second, "how long the dependency works")
	f.DurationVar(&c.Failing, "failing", 9*time.Second, "how long it then fails")
	f.DurationVar(&c.Recovered, "recovered", 6*time.Second, "how long it then works again")
	f.IntVar(&c.Policy.ConsecutiveFailures, "consecutive-failures", 5, "failures in a row that open the circuit")
	f.DurationVar(&c.Policy.OpenFor, "open-for", time.Second, "how long it then rejects calls")
	f.Float64Var(&c.Policy.Backoff.Multiplier, "multiplier", 1.5, "factor for each further open period in a row, 1 to 10")
	f.DurationVar(&c.Policy.Backoff.Max, "max-open-for", 3*time.Second, "longest open period; at least --open-for by default")
	f.IntVar(&c.Policy.HalfOpen.Probes, "probes", 3, "calls admitted as probes, by all replicas together")
	f.IntVar(&c.Policy.HalfOpen.Successes, "successes", 2, "probes that must succeed to close the circuit")
	f.BoolVar(&panel, "panel", false, "serve the web panel on this machine meanwhile")
	server.addRedisFlags(cmd, "the Redis (default an embedded miniredis)")
	f.StringVarP(&c.Namespace, "namespace", "n", "redbreaker-demo", "namespace of the breaker")
	f.StringVar(&c.Name, "name", "dependency", "name of the breaker")
	return cmd
}

// lengthenStages gives those who open a browser the time to look, unless they chose the
// lengths of the stages.
func lengthenStages(cmd *cobra.Command, c *demo.Config) {
	for flag, stage := range map[string]*time.Duration{"healthy": &c.Healthy, "failing": &c.Failing, "recovered": &c.Recovered} {
		if !cmd.Flags().Changed(flag) {
			*stage *= 5
		}
	}
}

// openScreen returns the terminal that w is; nil if it is none, or one that cannot
// draw.
func openScreen(w io.Writer) *demo.Screen {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &demo.Screen{
		Size: func() (width, height int) {
			width, height, err := term.GetSize(int(file.Fd()))
			if err != nil || width < 1 || height < 1 {
				return 80, 24
			}
			return width, height
		},
		Keys: readKeys,
	}
}

// readKeys makes the terminal pass on Ctrl-C as a key: as a signal it would also reach
// the program that started the demo, such as make, which would report an error. The
// returned function restores the terminal. If standard input is no terminal, Ctrl-C
// stays a signal.
func readKeys(pressed func(key byte)) (restore func()) {
	in := int(os.Stdin.Fd())
	state, err := term.MakeRaw(in)
	if err != nil {
		return func() {}
	}
	go func() { // ends with the process: a read of a terminal cannot be interrupted
		key := make([]byte, 1)
		for {
			if n, err := os.Stdin.Read(key); n == 0 || err != nil {
				return
			}
			pressed(key[0])
		}
	}()
	return func() { _ = term.Restore(in, state) }
}
