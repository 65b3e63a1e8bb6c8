package storage_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// stepReports keeps what a storage reports of its steps.
type stepReports struct {
	mu   sync.Mutex
	list []engine.StepReport
}

func (s *stepReports) add(r engine.StepReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, r)
}

func (s *stepReports) take() []engine.StepReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// Each operation is part of one reported step, alone or shared.
func TestStepObserver_operations(t *testing.T) {
	_, rdb := redistest.Mini(t)
	var reports stepReports
	h, _ := bind(t, newStorage(t, rdb, storage.WithStepObserver(reports.add)), neverOpens)
	const goroutines, calls = 20, 10
	var all sync.WaitGroup
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			t := inGoroutine(t)
			for range calls {
				ticket, err := h.Acquire(ctx)
				must(t, err)
				_, err = h.Report(ctx, ticket, engine.Success, 0, nil)
				must(t, err)
			}
		}()
	}
	all.Wait()
	operations := int64(0)
	steps := reports.take()
	for _, s := range steps {
		operations += s.Operations
		if s.Kind != "redis" || s.Err != nil || s.Elapsed <= 0 || s.Operations == 0 {
			t.Errorf("reported %+v", s)
		}
	}
	if operations != 2*goroutines*calls || len(steps) > 2*goroutines*calls {
		t.Errorf("%d steps of %d operations, want %d operations", len(steps), operations, 2*goroutines*calls)
	}
}

// A step that fails is reported with the error that its caller gets.
func TestStepObserver_errors(t *testing.T) {
	mini, rdb := redistest.Mini(t)
	var reports stepReports
	h, _ := bind(t, newStorage(t, rdb, storage.WithStepObserver(reports.add)), neverOpens)
	mini.SetError("LOADING Redis is loading the dataset in memory")
	_, err := h.Acquire(ctx)
	steps := reports.take()
	var got, want *engine.StorageError
	if !errors.As(err, &want) || len(steps) != 1 || !errors.As(steps[0].Err, &got) || got.Class != want.Class || want.Class != engine.ClassRefused {
		t.Errorf("reported %+v for %v", steps, err)
	}
}
