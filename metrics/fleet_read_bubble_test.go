//go:build go1.25

package metrics

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// slow is a storage that takes a second for its names, and one for each record.
type slow struct {
	*engine.Memory
	lists, inspected, ended atomic.Int32
}

func (s *slow) Names(ctx context.Context) iter.Seq2[engine.Listed, error] {
	s.lists.Add(1)
	if err := s.rest(ctx); err != nil {
		return func(yield func(engine.Listed, error) bool) { yield(engine.Listed{}, err) }
	}
	return s.Memory.Names(ctx)
}

func (s *slow) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	s.inspected.Add(1)
	if err := s.rest(ctx); err != nil {
		return engine.Snapshot{Name: name}, err
	}
	return s.Memory.Inspect(ctx, name)
}

func (s *slow) rest(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		s.ended.Add(1)
		return ctx.Err()
	}
}

// newSlowFleet returns a fleet of three open circuits.
func newSlowFleet(t *testing.T) (*slow, *Fleet) {
	t.Helper()
	s := &slow{Memory: engine.NewMemory()}
	for _, name := range []string{"a", "b", "c"} {
		if _, err := s.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := NewFleet(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, f
}

// countTrips collects, and returns how many records the samples have; -1 if there are none.
func countTrips(ctx context.Context, f *Fleet) (int, error) {
	n, isAdded := 0, false
	err := f.Collect(ctx, func(s Sample) {
		isAdded = true
		if s.Instrument == FleetTrips {
			n++
		}
	})
	if !isAdded {
		n = -1
	}
	return n, err
}

func TestBubble_scrapesShareOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newSlowFleet(t)
		for round := 1; round <= 2; round++ {
			var all sync.WaitGroup
			for i := range 100 {
				all.Add(1)
				go func() {
					defer all.Done()
					time.Sleep(time.Duration(i) * 20 * time.Millisecond)
					if n, err := countTrips(t.Context(), f); n != 3 || err != nil {
						t.Errorf("%d records, %v", n, err)
					}
				}()
			}
			all.Wait()
			if n := int(s.lists.Load()); n != round {
				t.Errorf("the names were listed %d times in %d rounds of scrapes", n, round)
			}
		}
	})
}

// A scrape that ends does not end the reading of another one, and the last one does.
func TestBubble_scrapesThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newSlowFleet(t)
		first, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Add(2)
		go func() {
			defer all.Done()
			if n, err := countTrips(first, f); n != -1 || !errors.Is(err, context.Canceled) {
				t.Errorf("the scrape that ended has %d records, %v", n, err)
			}
		}()
		synctest.Wait()
		go func() {
			defer all.Done()
			if n, err := countTrips(t.Context(), f); n != 3 || err != nil {
				t.Errorf("the scrape that waited has %d records, %v", n, err)
			}
		}()
		synctest.Wait()
		leave()
		all.Wait()

		lone, leave := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, leave)
		began, inspected := time.Now(), s.inspected.Load()
		_, err := countTrips(lone, f)
		if took := time.Since(began); !errors.Is(err, context.Canceled) || took != 1500*time.Millisecond || s.ended.Load() != 1 || s.inspected.Load() != inspected+1 {
			t.Errorf("the reading of a scrape that ended took %v, %v", took, err)
		}
	})
}

// At the deadline all scrapes get what was read until then, also those that came later.
func TestBubble_scrapeAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := newSlowFleet(t)
		var all sync.WaitGroup
		for range 2 {
			all.Add(1)
			go func() {
				defer all.Done()
				ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
				defer cancel()
				if n, err := countTrips(ctx, f); n != 1 || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%d records, want the one that was read; %v", n, err)
				}
			}()
			synctest.Wait()
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
	})
}
