package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

// Exit codes.
const (
	exitError  = 1
	exitAbsent = 3
)

// absentError says that there is no breaker of that name.
type absentError struct{ name, namespace string }

func (e *absentError) Error() string {
	return fmt.Sprintf("there is no breaker %q in namespace %q; one begins with its first call", e.name, e.namespace)
}

func exitCode(err error) int {
	var absent *absentError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &absent):
		return exitAbsent
	}
	return exitError
}

// explain turns an error of the storage into words for an operator: where, what
// is wrong, and whether something may have changed.
func explain(err error, where target.Target, namespace string) error {
	var failure *redbreaker.StorageError
	switch {
	case !errors.As(err, &failure):
		return err
	case failure.Class == redbreaker.ClassForeign:
		return fmt.Errorf("breaker %q in namespace %q: %w", failure.Name, namespace, failure.Err)
	case failure.Class == redbreaker.ClassUnknown && failure.Op == "control":
		return fmt.Errorf("redis at %s: %w; it may have been done all the same, look with get", where, failure.Err)
	}
	return fmt.Errorf("redis at %s: %w", where, failure.Err)
}

// message is the error's text, with the program's name once.
func message(err error) string {
	return "redbreaker: " + strings.ReplaceAll(err.Error(), "redbreaker: ", "")
}
