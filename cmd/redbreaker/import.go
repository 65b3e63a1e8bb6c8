package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
)

// maxNamed is how many breakers or faults a message names.
const maxNamed = 10

// existingError is the error of an import that would overwrite breakers.
type existingError struct {
	names []string
	done  int // how many were imported before
}

func (e *existingError) Error() string {
	text := fmt.Sprintf("%s of that name exists", countBreakers(len(e.names)))
	if len(e.names) > 1 {
		text = fmt.Sprintf("%s of these names exist", countBreakers(len(e.names)))
	}
	text += ": " + strings.Join(firstOf(e.names), ", ") + "; nothing was imported, use --overwrite to replace them"
	if e.done > 0 {
		text = fmt.Sprintf("the breaker %s was created meanwhile; %s imported before, use --overwrite to replace it", e.names[0], wasImported(e.done))
	}
	return text
}

func newImport() *cobra.Command {
	var at connection
	var sure confirmation
	var overwrite bool
	cmd := &cobra.Command{
		Use:     "import [FILE]",
		Short:   "Create breakers from the output of export",
		GroupID: groupBreakers,
		Long: `Create breakers from the output of export, in FILE or on the standard input. Records are
copied unchanged: state, mode, tallies, epoch, log. Times are those of the server's
clock, so the clocks of both servers should agree.

All lines are read before anything is written. If export did not write one of them, or if
two are of one breaker, nothing is imported. If a breaker exists, nothing is imported
either, unless --overwrite is given; a key that holds other data is never overwritten. Each
breaker is written atomically, and listed at once. Processes that watch learn of a breaker
that was overwritten within 30 s.

It needs the rights of a service, and +watch +multi +exec +unwatch +del +exists.`,
		Example: `  redbreaker import -n shop2 breakers.jsonl
  redbreaker import -n shop --overwrite --yes < breakers.jsonl`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := openArchive(cmd.InOrStdin(), args)
			if err != nil {
				return &usageError{err}
			}
			defer in.Close()
			return at.run(cmd.Context(), func(s *session) error {
				records, err := s.readArchive(in)
				if err != nil {
					return &usageError{err}
				}
				return s.importAll(cmd, records, overwrite, &sure)
			})
		},
	}
	at.addFlags(cmd)
	sure.addFlag(cmd)
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "replace breakers that exist")
	return cmd
}

// openArchive returns the file that the arguments name, or the standard input.
func openArchive(stdin io.Reader, args []string) (io.ReadCloser, error) {
	if len(args) == 0 || args[0] == "-" {
		if _, typed := terminal.IsTerminal(stdin); typed {
			return nil, errors.New("give the file that export wrote, or pipe it to the standard input")
		}
		return io.NopCloser(stdin), nil
	}
	return os.Open(args[0])
}

// readArchive reads all lines. The error names the first lines that are wrong.
func (s *session) readArchive(in io.Reader) ([]archived, error) {
	var records []archived
	var faults []error
	numbers := map[string]int{} // of the lines, by member
	lines := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			record, fault := parseArchived(line, s.keys)
			if first := numbers[record.Member]; fault == nil && first > 0 {
				// The second one would replace the first, or fail after others were written.
				fault = fmt.Errorf("the breaker %s is in line %d too, remove one of both lines", plaintext.Quote(record.Member), first)
			}
			if fault == nil {
				numbers[record.Member] = number
			} else {
				faults = append(faults, fmt.Errorf("line %d: %w", number, fault))
			}
			records = append(records, record)
		}
		if err == io.EOF || len(faults) == maxNamed {
			return records, errors.Join(faults...)
		}
		if err != nil {
			return nil, err
		}
	}
}

// importAll writes the records, or none if some exist and must not be replaced.
func (s *session) importAll(cmd *cobra.Command, records []archived, overwrite bool, sure *confirmation) error {
	ctx := cmd.Context()
	existing, err := s.findExisting(ctx, records)
	if err != nil {
		return err
	}
	if len(existing) > 0 && !overwrite {
		return &existingError{names: existing}
	}
	if len(existing) > 0 {
		question := fmt.Sprintf("replace %s in namespace %s of %s: %s", countBreakers(len(existing)), plaintext.Quote(s.namespace), s.where(), strings.Join(firstOf(existing), ", "))
		if err := sure.ask(cmd, question); err != nil {
			return err
		}
	}
	for i := range records {
		if err := s.importRecord(ctx, &records[i], overwrite); err != nil {
			var exists *existingError
			if errors.As(err, &exists) {
				exists.done = i
				return err
			}
			return errors.Join(err, fmt.Errorf("%s imported before the error", wasImported(i)))
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "import: %s imported into namespace %s of %s, %d of them replaced\n",
		wasImported(len(records)), plaintext.Quote(s.namespace), s.where(), len(existing))
	return err
}

// findExisting returns the names of the records that exist already.
func (s *session) findExisting(ctx context.Context, records []archived) ([]string, error) {
	kinds := make([]*redis.IntCmd, len(records))
	if _, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range records {
			kinds[i] = p.Exists(ctx, s.keys.IndexedKey(records[i].Member))
		}
		return nil
	}); err != nil && len(records) > 0 {
		return nil, err
	}
	var names []string
	for i, kind := range kinds {
		if kind.Val() > 0 {
			names = append(names, plaintext.Quote(records[i].Member))
		}
	}
	return names, nil
}

// importRecord writes one record atomically, and lists it. It never replaces data that is no
// breaker.
func (s *session) importRecord(ctx context.Context, a *archived, overwrite bool) error {
	key := s.keys.IndexedKey(a.Member)
	write := func(tx *redis.Tx) error {
		fields, err := tx.HGetAll(ctx, key).Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			return &redbreaker.StorageError{Class: redbreaker.ClassForeign, Op: "import", Name: key, Err: redbreaker.ErrForeignKey}
		}
		if err != nil {
			return err
		}
		present := newArchived("", a.Member, 0, fields)
		if _, err := engine.ParseRecord(present.allFields()); err != nil {
			return &redbreaker.StorageError{Class: redbreaker.ClassForeign, Op: "import", Name: key, Err: err}
		}
		if len(fields) > 0 && !overwrite {
			return &existingError{names: []string{plaintext.Quote(a.Member)}}
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Del(ctx, key)
			for _, f := range a.allFields() {
				p.HSet(ctx, key, f.Name, f.Value)
			}
			if a.TTLMS > 0 {
				p.PExpire(ctx, key, time.Duration(a.TTLMS)*time.Millisecond)
			}
			return nil
		})
		return err
	}
	err := s.client.Watch(ctx, write, key)
	for n := 1; errors.Is(err, redis.TxFailedErr) && n < maxAttempts; n++ {
		err = s.client.Watch(ctx, write, key) // a service changed the record meanwhile
	}
	if err != nil {
		return err
	}
	return s.enterIndex(ctx, key, a.TTLMS)
}

// enterIndex lists a breaker for as long as its record lives, at once.
func (s *session) enterIndex(ctx context.Context, key string, ttlMS int64) error {
	member, part, _ := s.keys.IndexMember(key)
	ttl := "inf"
	if ttlMS > 0 {
		ttl = strconv.FormatInt(ttlMS, 10)
	}
	script := redis.NewScript(scripts.Enrol.Source)
	reply, err := script.Run(ctx, s.client, []string{s.keys.IndexKey(part)}, ttl, member).Result()
	if err != nil {
		return err
	}
	_, err = scripts.DecodeEnrol(reply)
	return err
}

// firstOf returns the first few texts, and how many there are besides.
func firstOf(texts []string) []string {
	if len(texts) <= maxNamed {
		return texts
	}
	return append(texts[:maxNamed:maxNamed], fmt.Sprintf("and %d more", len(texts)-maxNamed))
}

func wasImported(n int) string {
	if n == 1 {
		return "1 breaker was"
	}
	return fmt.Sprintf("%d breakers were", n)
}
