//go:build unix

package panel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/panel"
	"github.com/redbreaker/redbreaker/storage"
)

// newRedisFleet makes n closed breakers on the shared server.
func newRedisFleet(b *testing.B, n int) *storage.Redis {
	b.Helper()
	s, err := storage.NewRedis(redistest.Client(b), storage.WithNamespace(redistest.Namespace(b)), storage.WithTimeout(20*time.Second))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	var all sync.WaitGroup
	for worker := range 16 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := worker; i < n; i += 16 {
				name := fmt.Sprintf("breaker-%05d", i)
				if _, err := s.Control(context.Background(), name, engine.Command{Action: engine.ActionReset}); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	all.Wait()
	for listed := 0; listed < n; time.Sleep(100 * time.Millisecond) { // until all are in the index
		listed = 0
		for range s.Names(context.Background()) {
			listed++
		}
	}
	return s
}

// BenchmarkList: the server's time for a page of the list, Redis included. read reads
// the whole fleet for each page, shared takes a reading that others made.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		if n > 1000 && testing.Short() {
			continue
		}
		store := newRedisFleet(b, n)
		for _, path := range []string{"/?per_page=50", "/?per_page=1000", "/api/breakers?per_page=1000"} {
			ask := func(b *testing.B, p *panel.Panel) {
				w := httptest.NewRecorder()
				p.ServeHTTP(w, httptest.NewRequest("GET", path, http.NoBody))
				if w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
			b.Run(fmt.Sprintf("%d%s/read", n, path), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ask(b, newPanel(b, store, panel.Options{}))
				}
			})
			b.Run(fmt.Sprintf("%d%s/shared", n, path), func(b *testing.B) {
				b.ReportAllocs()
				p := newPanel(b, store, panel.Options{})
				for b.Loop() {
					ask(b, p)
				}
			})
		}
	}
}

// BenchmarkBreakerPage: the server's time for the page of one breaker.
func BenchmarkBreakerPage(b *testing.B) {
	p := newPanel(b, newRedisFleet(b, 1), panel.Options{})
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/breakers/breaker-00000", http.NoBody))
		if w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// BenchmarkIdleStreams: which share of a core 100 event streams take while nothing
// happens, clients and server together, over 35 s: two heartbeats.
func BenchmarkIdleStreams(b *testing.B) {
	if testing.Short() {
		b.Skip("skipped: it takes 35 s")
	}
	const clients, length = 100, 35 * time.Second
	url := serve(b, newPanel(b, newRedisFleet(b, 1000), panel.Options{}))
	for range clients {
		listen(b, url, "").next("ready")
	}
	for b.Loop() {
		before, began := cpuTime(b), time.Now()
		time.Sleep(length)
		b.ReportMetric(100*float64(cpuTime(b)-before)/float64(time.Since(began)), "%-of-a-core")
	}
}

// cpuTime returns the processor time of this process.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
