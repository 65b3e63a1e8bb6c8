package storagetest_test

import (
	"testing"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// The tests of a storage of one's own.
func Example() {
	open := func(testing.TB) storagetest.Harness {
		s := engine.NewMemory() // instead of it, two clients of an empty data set
		return storagetest.Harness{A: s, B: s}
	}
	_ = func(t *testing.T) { storagetest.Run(t, open) }   // TestConformance
	_ = func(b *testing.B) { storagetest.Bench(b, open) } // BenchmarkStorage
}
