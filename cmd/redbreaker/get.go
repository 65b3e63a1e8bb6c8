package main

import (
	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker/storage"
)

func newGet() *cobra.Command {
	var at connection
	var form format
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show a breaker: state, mode, tallies, policy and its last transitions",
		Long: `Show a breaker: state, mode, tallies, policy and its last transitions.
It changes nothing. The exit code is 3 if there is no breaker of that name.`,
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			return at.with(cmd.Context(), func(s *storage.Redis) error {
				snapshot, err := s.Inspect(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := form.write(cmd.OutOrStdout(), snapshot); err != nil {
					return err
				}
				if !snapshot.Exists {
					return &absentError{args[0], at.namespace}
				}
				return nil
			})
		},
	}
	at.flags(cmd)
	form.flag(cmd)
	return cmd
}
