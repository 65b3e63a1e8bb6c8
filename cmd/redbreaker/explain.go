package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/explain"
)

func newExplain() *cobra.Command {
	var at connection
	cmd := &cobra.Command{
		Use:     "explain NAME...",
		Short:   "Say in words what breakers do now, why, and what would change it",
		GroupID: groupBreakers,
		Long: `Say in words what breakers do now, why, and what would change it: how many further
failures open a closed circuit, why an open one opened and when its probes start, and how
many probes must succeed to close a half-open one.

The number of failures is exact for failures that come now, one after another, from
reporters that have reported none lately, and are judged by the policy that the record
keeps. It changes nothing, and works for a user who may run only HGETALL and TIME.`,
		Example:           `  redbreaker explain payments -n shop`,
		Args:              namesOfBreakers,
		ValidArgsFunction: at.completeNames(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at.run(cmd.Context(), func(s *session) error {
				found, err := s.inspect(cmd.Context(), args)
				if len(found) == 0 {
					return err
				}
				return errors.Join(writeExplanations(cmd.OutOrStdout(), found), err, absentOf(cmd.Context(), found, s))
			})
		},
	}
	at.addFlags(cmd)
	return cmd
}

// writeExplanations explains the breakers that exist, with an empty line between two.
func writeExplanations(w io.Writer, found []redbreaker.Snapshot) error {
	separator := ""
	for i := range found {
		if !found[i].Exists {
			continue
		}
		if _, err := fmt.Fprint(w, separator, explain.Text(&found[i])); err != nil {
			return err
		}
		separator = "\n"
	}
	return nil
}
