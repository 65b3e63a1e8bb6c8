package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// maxExported is how many records are read in one round trip.
const maxExported = 500

func newExport() *cobra.Command {
	var at connection
	cmd := &cobra.Command{
		Use:     "export [NAME...]",
		Short:   "Write breakers as JSON lines, for import",
		GroupID: groupBreakers,
		Long: `Write breakers of the namespace as JSON lines, sorted by name: those that are named, or
all that "redbreaker ls" lists. Each line contains one record, unchanged, and the time
until it expires. The exit code is 3 if one of the names has no breaker; the others are
written.

It changes nothing. It needs the rights of a viewer, and +pttl.`,
		Example: `  redbreaker export -n shop > breakers.jsonl
  redbreaker export -n shop | redbreaker import -n shop2 --redis other:6379`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: at.completeNames(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return at.run(cmd.Context(), func(s *session) error {
				members, fault := s.exportedMembers(cmd.Context(), args)
				absent, err := s.export(cmd.Context(), cmd.OutOrStdout(), members)
				return errors.Join(err, fault, s.absentNames(cmd.Context(), args, absent))
			})
		},
	}
	at.addFlags(cmd)
	return cmd
}

// exportedMembers returns the members of the breakers to export, sorted: those of the names,
// or all. The error names the parts of the index that could not be read.
func (s *session) exportedMembers(ctx context.Context, names []string) ([]string, error) {
	var members []string
	var faults []error
	add := func(key string) {
		if member, _, ok := s.keys.IndexMember(key); ok {
			members = append(members, member)
		}
	}
	for _, name := range names {
		key, err := s.keys.Key(name)
		if err != nil {
			return nil, err
		}
		add(key)
	}
	if len(names) == 0 {
		for l, err := range s.store.Names(ctx) {
			if err != nil {
				faults = append(faults, err)
				continue
			}
			add(l.Key)
		}
	}
	slices.Sort(members)
	return slices.Compact(members), errors.Join(faults...)
}

// export writes the records of the members, and returns the members that have none.
func (s *session) export(ctx context.Context, w io.Writer, members []string) (absent []string, err error) {
	var faults []error
	for chunk := range slices.Chunk(members, maxExported) {
		records, without, err := s.readRecords(ctx, chunk)
		absent, faults = append(absent, without...), append(faults, err)
		for i := range records {
			if err := writeJSONLine(w, &records[i]); err != nil {
				return nil, err
			}
		}
	}
	return absent, errors.Join(faults...)
}

// absentNames returns an absentError for each of the names whose member has no record.
func (s *session) absentNames(ctx context.Context, names, absent []string) error {
	var missing []error
	for _, name := range names { // of the listed ones, a record may have expired meanwhile
		key, _ := s.keys.Key(name)
		if member, _, _ := s.keys.IndexMember(key); slices.Contains(absent, member) {
			missing = append(missing, newAbsentError(ctx, name, s))
		}
	}
	return errors.Join(missing...)
}

// readRecords returns the records of members, the members that have none, and the faults of
// those that could not be read.
func (s *session) readRecords(ctx context.Context, members []string) (records []archived, absent []string, err error) {
	fields := make([]*redis.MapStringStringCmd, len(members))
	ttls := make([]*redis.DurationCmd, len(members))
	_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error { // each command has its own error
		for i, member := range members {
			fields[i], ttls[i] = p.HGetAll(ctx, s.keys.IndexedKey(member)), p.PTTL(ctx, s.keys.IndexedKey(member))
		}
		return nil
	})
	var faults []error
	for i, member := range members {
		key := s.keys.IndexedKey(member)
		name, _ := s.keys.Name(key)
		if err := errors.Join(fields[i].Err(), ttls[i].Err()); err != nil {
			faults = append(faults, newReadError(key, fields[i].Err(), ttls[i].Err()))
			continue
		}
		// go-redis gives -1 and -2 ns for a key without an end and for none.
		if len(fields[i].Val()) > 0 && ttls[i].Val() != -2 {
			records = append(records, newArchived(name, member, max(0, engine.CeilMillis(ttls[i].Val())), fields[i].Val()))
		} else {
			absent = append(absent, member)
		}
	}
	return records, absent, errors.Join(faults...)
}

// newReadError returns the error of a record that could not be read.
func newReadError(key string, causes ...error) error {
	for _, err := range causes {
		switch {
		case err == nil:
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
			return &redbreaker.StorageError{Class: redbreaker.ClassForeign, Op: "export", Name: key, Err: redbreaker.ErrForeignKey}
		case strings.HasPrefix(err.Error(), "NOPERM"):
			return &redbreaker.StorageError{Class: redbreaker.ClassRefused, Op: "export", Name: key, Err: err}
		default:
			return &redbreaker.StorageError{Class: redbreaker.ClassNotExecuted, Op: "export", Name: key, Err: fmt.Errorf("%s: %w", key, err)}
		}
	}
	return nil
}
