package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
)

// minInterval is the shortest time between two readings of all breakers.
const minInterval = 100 * time.Millisecond

func newList() *cobra.Command {
	var at connection
	var form format
	var which selection
	var watch bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the breakers of the namespace: state, mode, age, tallies, last cause",
		GroupID: groupBreakers,
		Long: `List the breakers of the namespace that were used within their IdleTTL or are
held in a mode.

  AGE     how long the state has lasted
  RETRY   open: when probes may start; half-open: when a slot is free at the latest
  TRIPS   how many times in a row the circuit opened
  STREAK  failures in a row / how many open the circuit
  CALLS   calls in the window
  FAILED  failures of the window / how many open the circuit, or their rate / its limit
  SLOW    the rate of slow calls / its limit
  LEFT    how many further failures open the circuit, see "redbreaker explain"
  CAUSE   the cause of the last transition, or the fields that are damaged

It reads an index, not the whole keyspace, and changes nothing. A breaker is listed
within a minute of its first use. One whose name is too long to be stored is shown
by its key, unless a filter asks for its state. If a part could not be read, the
others are listed, and the exit code is not 0.

With --watch the table is read again and again, until an interrupt.`,
		Example: `  redbreaker ls -n shop
  redbreaker ls --state open,half_open --sort retry
  redbreaker ls -o json | jq -r '.[] | select(.trips > 3) | .name'`,
		Args:              rejectArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := which.check()
			if watch && form == "json" {
				err = errors.Join(err, errors.New(`--watch needs -o text; "redbreaker watch -o json" prints changes`))
			}
			if interval < minInterval {
				err = errors.Join(err, fmt.Errorf("--interval is %v, use %v or more", interval, minInterval))
			}
			if err != nil {
				return &usageError{err}
			}
			return at.run(cmd.Context(), func(s *session) error {
				if watch {
					return s.watchList(cmd.Context(), cmd.OutOrStdout(), &which, interval)
				}
				list, fault := s.list(cmd.Context())
				return errors.Join(form.writeList(cmd.OutOrStdout(), which.apply(list)), fault)
			})
		},
	}
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	which.addFlags(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "read the table again and again")
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "how long --watch waits between two readings; at least four times as long as one takes")
	return cmd
}

// listed is a breaker of the list. It has either a snapshot or, if its name is
// not stored, so that it cannot be read, a key.
type listed struct {
	redbreaker.Snapshot
	key string
}

// MarshalJSON writes the snapshot, or an object with the key alone.
func (l listed) MarshalJSON() ([]byte, error) {
	if l.key != "" {
		return json.Marshal(map[string]string{"key": l.key})
	}
	return json.Marshal(l.Snapshot)
}

// list returns the breakers in no particular order, and the faults of those that
// could not be read.
func (s *session) list(ctx context.Context) ([]listed, error) {
	var names []string
	list := []listed{}
	var faults []error
	for l, err := range s.store.Names(ctx) {
		switch {
		case err != nil:
			faults = append(faults, err)
		case l.Name == "":
			list = append(list, listed{key: l.Key})
		default:
			names = append(names, l.Name)
		}
	}
	found, err := s.inspect(ctx, names)
	for _, snapshot := range found {
		if snapshot.Exists { // else it was removed, or could not be read
			list = append(list, listed{Snapshot: snapshot})
		}
	}
	return list, errors.Join(append(faults, err)...)
}

func (f *format) writeList(w io.Writer, list []listed) error {
	if *f == "json" {
		return writeJSON(w, list)
	}
	if len(list) == 0 {
		return nil
	}
	for _, line := range formatTable(list) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
