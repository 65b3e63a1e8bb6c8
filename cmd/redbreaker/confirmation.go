package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
)

// errDeclined is the error of a command that was not confirmed.
var errDeclined = errors.New("not confirmed, nothing was done")

// confirmation asks before something changes, if the standard input is a terminal: a script
// cannot answer.
type confirmation struct{ yes bool }

func (c *confirmation) addFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, "do not ask; scripts, whose input is no terminal, are not asked anyway")
}

// ask returns nil if the question was answered with yes, or need not be asked.
func (c *confirmation) ask(cmd *cobra.Command, question string) error {
	in := cmd.InOrStdin()
	if _, typed := terminal.IsTerminal(in); c.yes || !typed {
		return nil
	}
	return askQuestion(cmd.Context(), in, cmd.ErrOrStderr(), question)
}

// askQuestion reads an answer: y or yes, in any case, confirms.
func askQuestion(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s? [y/N] ", plaintext.Replace(question))
	answer := make(chan string, 1)
	go func() { // a terminal's Read does not end with the context
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		if text := strings.ToLower(strings.TrimSpace(line)); text == "y" || text == "yes" {
			return nil
		}
		return errDeclined
	case <-ctx.Done():
		return errDeclined
	}
}
