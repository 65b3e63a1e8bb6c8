package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

func newList() *cobra.Command {
	var at connection
	var form format
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the breakers of the namespace: name, state, mode",
		GroupID: groupBreakers,
		Long: `List the breakers of the namespace that were used within their IdleTTL or are
held in a mode: name, state, mode.

It reads an index, not the whole keyspace, and changes nothing. A breaker is listed
within a minute of its first use. One whose name is too long to be stored is shown
by its key. If a part could not be read, the others are listed, and the exit code
is not 0.`,
		Example: `  redbreaker ls -n shop
  redbreaker ls -o json`,
		Args:              rejectArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return at.run(cmd.Context(), func(s *session) error {
				list, fault := s.list(cmd.Context())
				return errors.Join(form.writeList(cmd.OutOrStdout(), list), fault)
			})
		},
	}
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	return cmd
}

// listed is a breaker of the list. It has either a snapshot or, if its name is
// not stored, so that it cannot be read, a key.
type listed struct {
	redbreaker.Snapshot
	key string
}

// MarshalJSON writes the snapshot, or an object with the key alone.
func (l listed) MarshalJSON() ([]byte, error) {
	if l.key != "" {
		return json.Marshal(map[string]string{"key": l.key})
	}
	return json.Marshal(l.Snapshot)
}

// list returns the breakers by name, and the faults of those that could not be
// read.
func (s *session) list(ctx context.Context) ([]listed, error) {
	var names []string
	list := []listed{}
	var faults []error
	for l, err := range s.store.Names(ctx) {
		switch {
		case err != nil:
			faults = append(faults, err)
		case l.Name == "":
			list = append(list, listed{key: l.Key})
		default:
			names = append(names, l.Name)
		}
	}
	found, err := s.inspect(ctx, names)
	for _, snapshot := range found {
		if snapshot.Exists { // else it was removed, or could not be read
			list = append(list, listed{Snapshot: snapshot})
		}
	}
	slices.SortFunc(list, func(a, b listed) int { return strings.Compare(a.Name+a.key, b.Name+b.key) })
	return list, errors.Join(append(faults, err)...)
}

func (f *format) writeList(w io.Writer, list []listed) error {
	if *f == "json" {
		return writeJSON(w, list)
	}
	if len(list) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "NAME\tSTATE\tMODE\n")
	for i := range list {
		l := &list[i]
		if l.key != "" {
			fmt.Fprintf(t, "%s\t-\t-\n", plaintext.QuoteUnprintable(l.key))
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", plaintext.QuoteUnprintable(l.Name), l.State, l.Mode)
	}
	return t.Flush()
}
