package main

import (
	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "redbreaker",
		Short: "Look at the circuit breakers that a fleet shares through Redis, and overrule them",
		Long: `Look at the circuit breakers that a fleet shares through Redis, and overrule them.

Start with "redbreaker demo", which needs nothing else.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(newDemo(), newGet(), newVersion())
	for _, c := range controls {
		root.AddCommand(newControl(c))
	}
	return root
}
