package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/engine"
)

func newWatch() *cobra.Command {
	var at connection
	var form format
	cmd := &cobra.Command{
		Use:     "watch",
		Short:   "Print the transitions of all breakers of the namespace as they happen",
		GroupID: groupBreakers,
		Long: `Print the transitions of all breakers of the namespace as they happen, a line each,
until it is interrupted. It changes nothing.

Transitions that were missed, because Redis lost their events and the log no longer
has them, are printed as their number.`,
		Example: `  redbreaker watch -n shop
  redbreaker watch -o json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return at.run(cmd.Context(), func(s *session) error { return s.watch(cmd.Context(), cmd.OutOrStdout(), form) })
		},
	}
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	return cmd
}

// watch prints events until the context ends, or until they cannot be printed.
func (s *session) watch(ctx context.Context, w io.Writer, form format) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var broken error
	err := s.store.Watch(watching, func(e engine.Event) {
		if broken == nil {
			if broken = form.writeEvent(w, e); broken != nil {
				stop()
			}
		}
	})
	if errors.Is(err, context.Canceled) { // an interrupt is how it ends
		err = nil
	}
	return errors.Join(broken, err)
}

func (f *format) writeEvent(w io.Writer, e engine.Event) error {
	if *f == "json" {
		return json.NewEncoder(w).Encode(e)
	}
	text := ""
	switch e.Kind {
	case redbreaker.EventTransition, redbreaker.EventHealed:
		text = e.Transition.String()
	case redbreaker.EventMissed:
		text = fmt.Sprintf("%s transitions missed, now %s, mode %s", missedCount(e.Missed), e.State, e.Mode)
	case redbreaker.EventDropped:
		text = fmt.Sprintf("%d events dropped: the output is too slow", e.Dropped)
	case redbreaker.EventPushLost:
		text = fmt.Sprintf("events do not arrive, reading instead: %v", e.Err)
	case engine.EventReady:
		text = "ready"
	default:
		text = e.Kind.String()
	}
	name := ""
	if e.Name != "" {
		name = plaintext.QuoteUnprintable(e.Name) + ": "
	}
	_, err := fmt.Fprintf(w, "%s %s%s\n", time.Now().Format("15:04:05.000"), name, strings.Map(replaceUnprintable, text))
	return err
}

// replaceUnprintable replaces characters that could move the terminal's cursor, or forge a line.
func replaceUnprintable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

func missedCount(n int64) string {
	if n < 0 {
		return "some"
	}
	return fmt.Sprint(n)
}
