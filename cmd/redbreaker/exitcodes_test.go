package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"testing"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/doctor"
)

// Each kind of error has the exit code that the help documents, also in company.
func TestExitCodes(t *testing.T) {
	failure := &redbreaker.StorageError{Class: redbreaker.ClassRefused, Op: "inspect", Err: errors.New("down")}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("broken pipe"), exitFailure},
		{failure, exitFailure},
		{errors.Join(&absentError{}, failure), exitFailure},
		{&usageError{errors.New("x")}, exitUsage},
		{fmt.Errorf("x: %w", redbreaker.ErrInvalid), exitUsage},
		{&absentError{}, exitAbsent},
		{errors.Join(&absentError{}, &absentError{}), exitAbsent},
		{redbreaker.ErrConflict, exitRefused},
		{redbreaker.ErrForced, exitRefused},
		{errDeclined, exitRefused},
		{&existingError{names: []string{"a"}}, exitRefused},
		{&findingsError{worst: doctor.Warning}, exitWarning},
		{&findingsError{worst: doctor.Error}, exitFailure},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
	}
	documented := regexp.MustCompile(`(?m)^  (\d)  `).FindAllString(exitCodesHelp, -1)
	if want := exitWarning + 1; len(documented) != want {
		t.Errorf("the help has %d exit codes, want %d", len(documented), want)
	}
}

func TestExistingError(t *testing.T) {
	many := make([]string, 12)
	for i := range many {
		many[i] = fmt.Sprintf(`"b%d"`, i)
	}
	for want, e := range map[string]*existingError{
		`1 breaker of that name exists: "a"; nothing was imported, use --overwrite to replace them`:                                                                       {names: []string{`"a"`}},
		`12 breakers of these names exist: "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", and 2 more; nothing was imported, use --overwrite to replace them`: {names: many},
		`the breaker "a" was created meanwhile; 1 breaker was imported before, use --overwrite to replace it`:                                                             {names: []string{`"a"`}, done: 1},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A disk that is full fails the command.
func TestVersion_writeError(t *testing.T) {
	root := newRoot()
	root.SetArgs([]string{"version"})
	root.SetOut(fullDisk{})
	if err := root.ExecuteContext(ctx); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
