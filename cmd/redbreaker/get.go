package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
)

func newGet() *cobra.Command {
	var at connection
	var form format
	cmd := &cobra.Command{
		Use:     "get NAME...",
		Short:   "Show breakers: state, mode, tallies, policy and the last transitions",
		GroupID: groupBreakers,
		Long: `Show breakers: state, mode, tallies, policy and the last transitions.

It changes nothing, and works for a user who may run only HGETALL and TIME. With -o
json it prints an object for one name, and an array for several. The exit code is 3
if one of the breakers does not exist; the others are printed.`,
		Example: `  redbreaker get payments -n shop
  redbreaker get payments search --redis a:6379,b:6379 -o json`,
		Args:              namesOfBreakers,
		ValidArgsFunction: at.completeNames(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at.run(cmd.Context(), func(s *session) error {
				found, err := s.inspect(cmd.Context(), args)
				if len(found) == 0 {
					return err
				}
				written := form.writeAll(cmd.OutOrStdout(), s, found, len(args) > 1)
				return errors.Join(written, err, absentOf(cmd.Context(), found, s))
			})
		},
	}
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	return cmd
}

// namesOfBreakers is the Args of a command on one or more breakers.
func namesOfBreakers(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &usageError{fmt.Errorf("give the name of a breaker: %s", cmd.UseLine())}
	}
	for _, name := range args {
		if name == "" {
			return &usageError{errors.New("the name of a breaker is empty")}
		}
	}
	return nil
}

// absentOf returns an absentError for each record that does not exist.
func absentOf(ctx context.Context, found []redbreaker.Snapshot, s *session) error {
	var missing []error
	for i := range found {
		if !found[i].Exists {
			missing = append(missing, newAbsentError(ctx, found[i].Name, s))
		}
	}
	return errors.Join(missing...)
}
