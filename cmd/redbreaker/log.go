package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

func newLog() *cobra.Command {
	var at connection
	var form format
	cmd := &cobra.Command{
		Use:     "log NAME",
		Short:   "Print the last transitions of a breaker: when, from, to, why, by whom",
		GroupID: groupBreakers,
		Long: `Print the last transitions of a breaker, at most 16, the latest last: when, how long
ago, from, to, why, by whom.

The time is that of the Redis server, in UTC. With -o json it prints an array. It
changes nothing, and works for a user who may run only HGETALL and TIME.`,
		Example: `  redbreaker log payments -n shop
  redbreaker log payments -o json`,
		Args:              nameOfBreaker,
		ValidArgsFunction: at.completeNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at.run(cmd.Context(), func(s *session) error {
				found, err := s.inspect(cmd.Context(), args)
				if len(found) == 0 {
					return err
				}
				if missing := absentOf(cmd.Context(), found, s); missing != nil {
					return errors.Join(err, missing)
				}
				return errors.Join(form.writeTransitions(cmd.OutOrStdout(), found[0].Log), err)
			})
		},
	}
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	return cmd
}

// writeTransitions prints a log with the times of the server's clock.
func (f *format) writeTransitions(w io.Writer, log []redbreaker.Transition) error {
	if *f == "json" {
		if log == nil {
			log = []redbreaker.Transition{}
		}
		return writeJSON(w, log)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "TIME\tAGO\tFROM\tTO\tFOR\tCAUSE\tBY\tWHAT\n")
	for i := range log {
		e := &log[i]
		fmt.Fprintf(t, "%s\t%v\t%s\t%s\t%s\t%s\t%s\t%s\n", formatTime(e.At), plaintext.RoundDuration(e.Ago),
			formatState(e.From, e.FromMode), formatState(e.To, e.ToMode), formatLength(e.For),
			plaintext.QuoteUnprintable(string(e.Cause)), orDash(plaintext.QuoteUnprintable(e.By)), orDash(describeCause(e)))
	}
	return t.Flush()
}

// formatTime formats an instant of the server's clock, in UTC.
func formatTime(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// formatLength formats the length of an open period or mode; "-" for none.
func formatLength(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return plaintext.RoundDuration(d).String()
}
