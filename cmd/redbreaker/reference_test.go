package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var rewrite = flag.Bool("rewrite", false, "write docs/command.md")

const referencePage = "../../docs/command.md"

const referenceIntro = `# The command

` + "`redbreaker`" + ` shows and controls the breakers that a fleet shares through Redis. This page is
made from its help texts: ` + "`go test ./cmd/redbreaker -run Reference -rewrite`" + `.
[Operations](operations.md#runbook) says which command to use when.

` + "```" + `
go install github.com/redbreaker/redbreaker/cmd/redbreaker@latest
` + "```" + `

` + "`redbreaker completion bash`" + ` (or zsh, fish, powershell) prints a script that completes commands,
flags, and the names of breakers, which it reads from the server.

JSON contains durations as text, such as "1m30s". The names of its fields are those of
` + "`Snapshot`" + `, ` + "`Transition`" + ` and ` + "`Event`" + ` in package ` + "`engine`" + `.
`

// The page docs/command.md has the help texts of all commands.
func TestReference(t *testing.T) {
	want := reference()
	if *rewrite {
		if err := os.WriteFile(referencePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("run go test ./cmd/redbreaker -run Reference -rewrite (-help +page):\n%s", diff)
	}
}

// reference returns the page.
func reference() string {
	var page strings.Builder
	page.WriteString(referenceIntro)
	shared := sharedFlags()
	fmt.Fprintf(&page, "\n## Exit codes\n\n```\n%s```\n", strings.TrimPrefix(exitCodesHelp, "Exit codes:\n"))
	fmt.Fprintf(&page, "\n## Address of the Redis\n\n```\n%s\n```\n\nFlags of all commands on breakers:\n\n```\n%s```\n", redisHelp, shared.FlagUsages())
	for _, cmd := range newRoot().Commands() {
		if !cmd.IsAvailableCommand() || cmd.Name() == "completion" || cmd.Name() == "help" {
			continue
		}
		page.WriteString(describeCommand(cmd, shared))
	}
	return page.String()
}

// sharedFlags returns the flags that name a Redis and a namespace.
func sharedFlags() *pflag.FlagSet {
	var c connection
	cmd := &cobra.Command{}
	c.addFlags(cmd)
	return cmd.Flags()
}

// describeCommand returns the section of a command.
func describeCommand(cmd *cobra.Command, shared *pflag.FlagSet) string {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	section := fmt.Sprintf("\n## redbreaker %s\n\n```\n%s\n\nUsage: %s\n", cmd.Name(), strings.TrimSuffix(text, "\n\n"+redisHelp), cmd.UseLine())
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if common := shared.Lookup(f.Name); f.Name != "help" && (common == nil || common.Usage != f.Usage) {
			own.AddFlag(f)
		}
	})
	if own.HasFlags() {
		section += "\n" + own.FlagUsages()
	}
	if cmd.Example != "" {
		section += "\nExamples:\n" + cmd.Example + "\n"
	}
	return section + "```\n"
}
