package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
)

// watchList prints the table every interval until the context ends: on a terminal over
// the one before, else with an empty line between. The first reading must succeed; later
// faults are shown in the table, since an operator watches in order to see them.
func (s *session) watchList(ctx context.Context, w io.Writer, which *selection, interval time.Duration) error {
	began := time.Now()
	list, err := s.list(ctx)
	if err != nil && len(list) == 0 {
		return err
	}
	write := func(lines []string) error {
		_, err := fmt.Fprintf(w, "%s\n\n", strings.Join(lines, "\n"))
		return err
	}
	if file, ok := terminal.IsTerminal(w); ok {
		screen := terminal.NewScreen(file)
		defer screen.Close()
		write = func(lines []string) error { return screen.Draw(plainLines(lines)) }
	}
	for {
		if err := write(s.formatPage(which.apply(list), err)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pauseAfter(time.Since(began), err, interval)):
		}
		began = time.Now()
		if list, err = s.list(ctx); ctx.Err() != nil {
			return nil
		}
	}
}

// formatPage returns a title, the faults, and the table.
func (s *session) formatPage(list []listed, fault error) []string {
	lines := []string{fmt.Sprintf("%s  %s  %s", time.Now().Format(time.TimeOnly), countBreakers(len(list)), s.where())}
	if fault = explainErrors(fault, s); fault != nil {
		lines = append(lines, strings.Split(errorText(fault), "\n")...)
	}
	for i, line := range lines {
		lines[i] = plaintext.Replace(line)
	}
	return append(lines, formatTable(list)...)
}

func countBreakers(n int) string {
	if n == 1 {
		return "1 breaker"
	}
	return fmt.Sprintf("%d breakers", n)
}

// plainLines returns lines of a frame without attributes.
func plainLines(lines []string) []terminal.Line {
	all := make([]terminal.Line, len(lines))
	for i, text := range lines {
		all[i].Text = text
	}
	return all
}
