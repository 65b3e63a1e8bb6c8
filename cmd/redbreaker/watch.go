package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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
		Use:     "watch [NAME...]",
		Short:   "Print the transitions of breakers as they happen",
		GroupID: groupBreakers,
		Long: `Print the transitions of the named breakers, or of all breakers of the namespace, as they
happen, one per line, until an interrupt or the end of the reader, as in "redbreaker watch |
head -1". It changes nothing. The time is that of this machine.

If Redis lost events and the log no longer has their transitions, the number of missed
transitions is printed. With -o json each line is one object, with kind (ready, transition,
healed, missed, dropped, lost, push_lost) and name.`,
		Example: `  redbreaker watch -n shop
  redbreaker watch payments search
  redbreaker watch -o json | jq -c 'select(.transition.to == "open") | .name'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: at.completeNames(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at.run(cmd.Context(), func(s *session) error { return s.watch(cmd.Context(), cmd.OutOrStdout(), form, args) })
		},
	}
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	return cmd
}

// watch prints events until the context ends, or until they cannot be printed: those of the
// names, or of all breakers if there are none, and those that are about no breaker. It also
// ends when nothing reads the output any more, as in redbreaker watch | head -1.
func (s *session) watch(ctx context.Context, w io.Writer, form format, names []string) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if file, ok := w.(*os.File); ok {
		go func() {
			if awaitNoReader(watching, file) {
				stop()
			}
		}()
	}
	var broken error
	err := s.store.Watch(watching, func(e engine.Event) {
		if isWanted := len(names) == 0 || e.Name == "" || slices.Contains(names, e.Name); isWanted && broken == nil {
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
		return writeJSONLine(w, e)
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
