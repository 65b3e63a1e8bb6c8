package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/doctor"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
)

// findingsError is the error of an examination that found something.
type findingsError struct {
	worst            doctor.Severity
	errors, warnings int
}

func (e *findingsError) Error() string {
	return fmt.Sprintf("doctor found %s and %s", countThings(e.errors, "error"), countThings(e.warnings, "warning"))
}

func newDoctor() *cobra.Command {
	var at connection
	var form format
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Examine the Redis and the breakers in it, and say what to do",
		GroupID: groupBreakers,
		Long: `Examine the Redis and the breakers in it, and say what to do about each fault:

  connection  each master answers
  rights      each command that breakers, ls and watch use, with the ACL line to add
  version     the server is supported, and its Lua has no published vulnerability
  lua         the server's Lua calculates as the scripts expect, in its sandbox
  isolation   scripts on one key do not interleave, over two connections
  memory      breakers are not evicted, and memory is not full
  clock       the clocks of the servers and of this machine agree
  coverage    each slot of a cluster has a master
  push        a published message arrives
  latency     round trips are short compared with the default timeout of storages
  records     damage, other data, modes older than a day, traces of other policies
  index       breakers that have a record are listed

A record has one policy, that of its last transition. Policies that differ are found where
outcomes left a trace: in windows, MinReporters, slow calls, or tallies that would have
opened the circuit. For other differences see OnAnomaly and the alert of policy skew.

Run it as the user of the services, since it tries that user's rights. It changes no
breaker; it writes the key <namespace>:{#ping}, which expires within a minute. The check of
the index scans all keys, unless there are more than a million.

The exit code is 0 if there is no warning and no error, 5 if there are warnings, and 1 if
there are errors.`,
		Example: `  redbreaker doctor -n shop
  redbreaker doctor --redis rediss://breaker@cache:6379 -o json`,
		Args:              rejectArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var findings []doctor.Finding
			err := at.run(cmd.Context(), func(s *session) error {
				findings = doctor.Examine(cmd.Context(), doctor.Patient{
					Client: s.client, Storage: s.store, Keys: s.keys, Namespace: s.namespace, Where: s.where(), Timeout: at.timeout,
				})
				return nil
			})
			if isUsage(err) {
				return err
			}
			if err != nil {
				findings = []doctor.Finding{newConnectionFinding(err, at.namespace)}
			}
			if err := form.writeFindings(cmd.OutOrStdout(), findings); err != nil {
				return err
			}
			return newFindingsError(findings)
		},
	}
	at.addFlags(cmd)
	form.addOutputFlag(cmd)
	return cmd
}

// newConnectionFinding returns the finding about a Redis that cannot be examined.
func newConnectionFinding(err error, namespace string) doctor.Finding {
	f := doctor.Finding{Check: "connection", Severity: doctor.Error, What: err.Error(), Do: "check the address, the user and the password"}
	if advice := adviceFor(err, &session{namespace: namespace}); advice != "" {
		f.What, f.Do = strings.TrimSuffix(f.What, ": "+advice), advice
	}
	return f
}

// newFindingsError returns nil if there is no warning and no error.
func newFindingsError(findings []doctor.Finding) error {
	e := &findingsError{worst: doctor.Worst(findings)}
	for _, f := range findings {
		switch f.Severity {
		case doctor.Error:
			e.errors++
		case doctor.Warning:
			e.warnings++
		}
	}
	if e.worst < doctor.Warning {
		return nil
	}
	return e
}

// writeFindings prints a line for each finding, and below it what to do.
func (f *format) writeFindings(w io.Writer, findings []doctor.Finding) error {
	if *f == "json" {
		return writeJSON(w, findings)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		what := f.What
		if f.Node != "" {
			what = f.Node + ": " + what
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Severity, f.Check, replaceLines(what))
		if f.Do != "" {
			fmt.Fprintf(t, "\t\tdo: %s\n", replaceLines(f.Do))
		}
	}
	return t.Flush()
}

// replaceLines returns a text as one harmless line.
func replaceLines(text string) string {
	return plaintext.Replace(strings.ReplaceAll(text, "\n", "; "))
}

func countThings(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
