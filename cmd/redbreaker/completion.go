package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	// completionTimeout is how long a person waits for names after a tab.
	completionTimeout = time.Second
	// maxCompletions is the most names that are offered.
	maxCompletions = 500
)

// completeNames returns a function that offers the names of the breakers of the namespace
// that the flags name, at most limit of them on one command line; 0 for no limit. Without an
// answer in time it offers nothing.
func (c *connection) completeNames(limit int) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if limit > 0 && len(args) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		bounded, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		var names []string
		_ = c.run(bounded, func(s *session) error {
			names = s.namesWith(bounded, prefix, args)
			return nil
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// namesWith returns the names that begin with the prefix and are not given already, sorted.
// It leaves out names that a shell would break or a terminal would act on.
func (s *session) namesWith(ctx context.Context, prefix string, given []string) []string {
	var names []string
	for l, err := range s.store.Names(ctx) {
		if err != nil || len(names) == maxCompletions {
			break
		}
		if strings.HasPrefix(l.Name, prefix) && l.Name != "" && isCompletable(l.Name) && !slices.Contains(given, l.Name) {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return names
}

// shellOperators are the characters with which a name could run a command. Shells quote a
// single completion, but bash inserts the beginning that several have in common as it is,
// and the next tab evaluates it.
const shellOperators = "$`;&|<>()!'"

// isCompletable reports whether a shell may complete a name. A tab or a line break would end
// it, and an underscore and digits after a colon would be a directive of cobra.
func isCompletable(name string) bool {
	return strconv.Quote(name) == `"`+name+`"` && !strings.HasPrefix(name, ":") && !strings.ContainsAny(name, shellOperators)
}
