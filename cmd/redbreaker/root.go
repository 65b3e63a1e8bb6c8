package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// exitCodesHelp documents the exit codes, for the help of every command.
const exitCodesHelp = `Exit codes:
  0  success
  1  failure: the Redis cannot be reached or refuses the command, the demo found a
     broken promise, or doctor found errors
  2  invalid arguments; nothing was done
  3  no breaker of that name; nothing was done
  4  refused, because of --if-epoch, of a forced mode, of a breaker that exists, or of
     an answer other than yes; nothing was done
  5  doctor found warnings, and no errors
`

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "redbreaker",
		Short: "Show and control the circuit breakers that a fleet shares through Redis",
		Long: `Show and control the circuit breakers that a fleet shares through Redis.

Start with "redbreaker demo", which needs nothing else.`,
		Version:       formatVersion(debug.ReadBuildInfo()),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return &usageError{fmt.Errorf("unknown command %s%s", plaintext.Quote(args[0]), suggestCommand(cmd, args[0]))}
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SetHelpTemplate(root.HelpTemplate() + "\n" + exitCodesHelp)
	root.AddGroup(&cobra.Group{ID: groupBreakers, Title: "Commands on breakers:"})
	root.AddCommand(newDemo(), newDoctor(), newExplain(), newExport(), newGet(), newImport(), newList(), newLog(), newServe(), newTop(), newWatch(), newVersion())
	for _, c := range controls {
		root.AddCommand(newControl(c))
	}
	return root
}

// groupBreakers is the group of the commands that work on breakers in a Redis.
const groupBreakers = "breakers"

// suggestCommand returns a hint at the commands with a similar name.
func suggestCommand(root *cobra.Command, name string) string {
	root.SuggestionsMinimumDistance = 2
	if similar := root.SuggestionsFor(name); len(similar) > 0 {
		return fmt.Sprintf("; did you mean %q?", similar[0])
	}
	return `; "redbreaker help" lists the commands`
}

// rejectArgs is the Args of commands that take no argument.
func rejectArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no argument, it got %s", cmd.CommandPath(), plaintext.Quote(args[0]))}
	}
	return nil
}
