package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Args:              rejectArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), formatVersion(debug.ReadBuildInfo()))
			return err
		},
	}
}

// formatVersion returns the module's version, the commit if the program was built
// from a checkout, and Go's version.
func formatVersion(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "redbreaker (unknown version)"
	}
	text := "redbreaker " + info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return text + " " + info.GoVersion
}
