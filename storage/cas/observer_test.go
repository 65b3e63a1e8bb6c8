package cas_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// Each operation is part of one swap that is reported without an error. A lost race is
// reported as an attempt without effect.
func TestStepObserver(t *testing.T) {
	var mu sync.Mutex
	var reports []engine.StepReport
	s := newCAS(t, loser{newMemStore()}, cas.WithStepObserver(func(r engine.StepReport) {
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, r)
	}))
	h := bindCAS(t, s, engine.Policy{ConsecutiveFailures: 1000})
	const calls = 50
	for range calls {
		ticket, err := h.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Report(t.Context(), ticket, engine.Failure, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // waits for the last report
		t.Fatal(err)
	}
	done, lost := int64(0), 0
	for _, r := range reports {
		var e *engine.StorageError
		switch {
		case r.Kind != "cas" || r.Elapsed <= 0 || r.Operations != 1:
			t.Errorf("reported %+v", r)
		case r.Err == nil:
			done += r.Operations
		case errors.As(r.Err, &e) && e.Class == engine.ClassNotExecuted:
			lost++
		default:
			t.Errorf("reported %+v", r)
		}
	}
	if done != 2*calls || lost == 0 {
		t.Errorf("%d operations were done and %d races lost, want %d and some", done, lost, 2*calls)
	}
}
