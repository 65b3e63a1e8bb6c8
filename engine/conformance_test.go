package engine_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

func TestMemory_conformance(t *testing.T) { storagetest.Run(t, openMemory) }

func BenchmarkMemory(b *testing.B) {
	storagetest.Bench(b, func(testing.TB) storagetest.Harness {
		m := engine.NewMemory()
		return storagetest.Harness{A: m, B: m}
	})
}

// openMemory gives an engine on a clock that the suite moves. Two handles on one
// engine are two clients.
func openMemory(t testing.TB) storagetest.Harness {
	var now atomic.Int64
	m := engine.NewMemory(engine.WithClock(func() time.Duration { return time.Duration(now.Load()) }))
	return storagetest.Harness{
		A: m, B: m,
		Advance: func(d time.Duration) { now.Add(int64(d)) },
		Lose:    func(name string) { m.SetRecord(name, engine.Record{}) },
		Corrupt: func(name, field, text string) {
			fields := slices.DeleteFunc(m.Record(name), func(f engine.Field) bool { return f.Name == field })
			r, err := engine.ParseRecord(append(fields, engine.Field{Name: field, Value: text}))
			if errors.Is(err, engine.ErrNewerLayout) {
				t.Skip("skipped: no other release writes into this process's memory")
			}
			m.SetRecord(name, r)
		},
	}
}
