package metrics

import (
	"fmt"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
)

func TestErrorClass(t *testing.T) {
	for want, err := range map[string]error{
		"":             nil,
		"_OTHER":       errDown,
		"not_executed": &engine.StorageError{Class: engine.ClassNotExecuted},
		"unknown":      fmt.Errorf("report: %w", &engine.StorageError{Class: engine.ClassUnknown}),
		"refused":      &engine.StorageError{Class: engine.ClassRefused},
		"foreign":      &engine.StorageError{Class: engine.ClassForeign},
	} {
		if got := ErrorClass(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if got := ErrorClass(&engine.StorageError{Class: 99}); got != "_OTHER" {
		t.Errorf("a class of a later release: %q", got)
	}
}
