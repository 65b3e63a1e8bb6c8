package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
)

func newTop() *cobra.Command {
	var at connection
	var which selection
	var actor string
	var interval time.Duration
	cmd := &cobra.Command{
		Use:     "top",
		Short:   "Show a live table of the breakers, and control them by keys",
		GroupID: groupBreakers,
		Long: `Show a live table of the breakers in the terminal, and control them by keys. The columns
are those of "redbreaker ls".

  up, down, k, j    choose a breaker; also page up, page down, home, end
  enter             open it: its state in words, and its log; escape goes back
  /                 show only names that contain a text
  s, R              sort by the next column; in reverse
  a                 act on it: a letter chooses, r gives a reason, y confirms
  q                 quit

Modes that begin here last for 10 minutes. If the server fails, the table shows the error,
and continues when the server answers again.`,
		Example:           `  redbreaker top -n shop --sort state`,
		Args:              rejectArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := which.check()
			if interval < minInterval {
				err = errors.Join(err, fmt.Errorf("--interval is %v, use %v or more", interval, minInterval))
			}
			if err != nil {
				return &usageError{err}
			}
			return at.run(cmd.Context(), func(s *session) error {
				return s.runTop(cmd, newTopModel(&which, cmp.Or(actor, defaultActor()), s.where()), interval)
			})
		},
	}
	at.addFlags(cmd)
	which.addFlags(cmd)
	cmd.Flags().StringVar(&actor, "by", "", "who, for the log of what you change (64 bytes are kept; default USER@HOST)")
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "how long to wait between two readings; at least four times as long as one takes")
	return cmd
}

// reading is the result of a reading of all breakers.
type reading struct {
	list  []listed
	fault error
	took  time.Duration
}

// pauseAfter returns how long to wait after a reading that took so long: the interval, but
// long enough that the readings of a large namespace keep the server busy for a fifth of the
// time at most. After a fault it is the interval, so that a recovery shows at once.
func pauseAfter(took time.Duration, fault error, interval time.Duration) time.Duration {
	if fault != nil {
		return interval
	}
	return max(interval, 4*took)
}

// runTop shows the model until a key or the context ends it. Readings and actions run beside
// it, so that it answers keys while the server does not answer.
func (s *session) runTop(cmd *cobra.Command, m *topModel, interval time.Duration) error {
	in, typed := terminal.IsTerminal(cmd.InOrStdin())
	out, shown := terminal.IsTerminal(cmd.OutOrStdout())
	if !typed || !shown {
		return &usageError{errors.New(`top needs a terminal; use "redbreaker ls --watch"`)}
	}
	restore, err := terminal.MakeRaw(in)
	if err != nil {
		return err
	}
	defer restore()
	screen := terminal.NewScreen(out)
	defer screen.Close()

	ctx, keys := cmd.Context(), terminal.ReadKeys(in)
	readings, results := make(chan reading, 1), make(chan string, 1)
	read := func() {
		began := time.Now()
		list, fault := s.list(ctx)
		readings <- reading{list, explainErrors(fault, s), time.Since(began)}
	}
	next := time.NewTimer(interval)
	defer next.Stop()
	go read()
	for {
		if err := screen.Draw(m.frame(screen.Size())); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case r := <-readings:
			m.setReading(r)
			next.Reset(pauseAfter(r.took, r.fault, interval))
		case <-next.C:
			go read()
		case text := <-results:
			m.message = text
		case key, open := <-keys:
			chosen, ended := m.press(key)
			if ended || !open {
				return nil
			}
			if chosen != nil {
				go func() { results <- s.actOn(cmd, chosen) }()
			}
		}
	}
}

// actOn carries out an order on a breaker and returns what it did, or why not.
func (s *session) actOn(cmd *cobra.Command, chosen *topOrder) string {
	before, after, err := chosen.order.execute(cmd, s, chosen.name)
	if err != nil {
		return errorText(explainErrors(err, s))
	}
	return chosen.order.describeChange(&before, &after)
}
