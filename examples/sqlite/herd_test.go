package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// A herd is 64 goroutines in each of two processes that use one breaker in one file.
const (
	processes  = 2
	goroutines = 64
	failures   = 25 // reported by each goroutine
	probes     = 3
)

var herdPolicy = engine.Policy{
	ConsecutiveFailures: processes * goroutines * failures, // so the very last one trips
	OpenFor:             300 * time.Millisecond,
	HalfOpen:            engine.HalfOpen{Probes: probes, Successes: probes, Lease: time.Minute},
}

// herded holds the counts of one process of the herd.
type herded struct {
	Reported, Stale int
	Leases          []int64       // granted to it, after the circuit has opened
	Took            time.Duration // for the failures
}

func TestStore_herd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "breakers.db")
	open(t, path)
	var all herded
	results := make(chan herded, processes)
	for range processes {
		cmd := startProcess(t, "herd", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			var h herded
			err := json.NewDecoder(bufio.NewReader(out)).Decode(&h)
			if err := errors.Join(err, cmd.Wait()); err != nil {
				t.Errorf("a process of the herd: %v", err)
			}
			results <- h
		}()
	}
	for range processes {
		select {
		case h := <-results:
			all.Reported += h.Reported
			all.Stale += h.Stale
			all.Leases = append(all.Leases, h.Leases...)
			all.Took = max(all.Took, h.Took)
		case <-time.After(time.Minute):
			t.Fatal("the herd has not come back")
		}
	}
	if want := processes * goroutines * failures; all.Reported != want || all.Stale != 0 {
		t.Errorf("%d reports, %d of them stale; want %d and none", all.Reported, all.Stale, want)
	}
	slices.Sort(all.Leases)
	if !slices.Equal(all.Leases, []int64{1, 2, 3}) {
		t.Errorf("leases %v were granted, want 1, 2, 3", all.Leases)
	}

	shared, err := cas.New(open(t, path))
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	s, err := shared.Inspect(t.Context(), "shared")
	if err != nil {
		t.Fatal(err)
	}
	var causes []engine.Cause
	for _, l := range s.Log {
		causes = append(causes, l.Cause)
	}
	if want := []engine.Cause{engine.CauseCreated, engine.CauseConsecutive, engine.CauseElapsed}; !slices.Equal(causes, want) {
		t.Errorf("causes %v, want %v: %+v", causes, want, s.Log)
	}
	t.Logf("%d failures from %d goroutines in %d processes: all counted, %.0f a second; %s",
		all.Reported, processes*goroutines, processes, float64(all.Reported)/all.Took.Seconds(), s.Log[1])
}

// herd is one process. It reports its failures and then competes for probes.
func herd() int {
	if err := runHerd(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "herd:", err)
		return 1
	}
	return 0
}

func runHerd(path string) error {
	ctx := context.Background()
	store, err := Open(path)
	if err != nil {
		return err
	}
	defer store.Close()
	shared, err := cas.New(store, cas.WithTimeout(20*time.Second))
	if err != nil {
		return err
	}
	defer shared.Close()
	h, err := shared.Bind("shared", herdPolicy, nil)
	if err != nil {
		return err
	}

	var mu sync.Mutex
	var seen herded
	var faults []error
	fault := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, err)
	}
	begin := time.Now()
	each(func() {
		for range failures {
			ticket, err := h.Acquire(ctx)
			if err != nil {
				fault(err)
				return
			}
			stale, err := h.Report(ctx, ticket, engine.Failure, 0, nil)
			mu.Lock()
			seen.Reported++
			if stale {
				seen.Stale++
			}
			mu.Unlock()
			if err != nil {
				fault(err)
				return
			}
		}
	})
	seen.Took = time.Since(begin)

	// The last failure of the other process opens the circuit; then all compete.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := shared.Inspect(ctx, "shared")
		if err != nil {
			return err
		}
		if s.State != engine.StateClosed {
			time.Sleep(s.RetryAfter)
			break
		}
		if time.Now().After(deadline) {
			return errors.Join(append(faults, errors.New("the circuit does not open"))...)
		}
	}
	each(func() {
		ticket, err := h.Acquire(ctx)
		if errors.Is(err, engine.ErrRejected) {
			return
		}
		if err != nil {
			fault(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		seen.Leases = append(seen.Leases, ticket.Lease)
	})
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(seen)
}

// each runs f in every goroutine of the herd.
func each(f func()) {
	var wg sync.WaitGroup
	for range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f()
		}()
	}
	wg.Wait()
}
