package storagetest_test

import (
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// The tests of a store of your own, through compare-and-swap. The suite tests
// results, not speed, so the clients get a timeout that no pause of a loaded machine
// reaches; the default of 250 ms would let it fail there.
func Example() {
	open := func(t testing.TB) storagetest.Harness {
		store := newStore(t) // an empty data set, which t.Cleanup removes
		client := func(reporter string) engine.Storage {
			s, err := cas.New(store, cas.WithTimeout(10*time.Second), cas.WithReporter(reporter))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return storagetest.Harness{A: client("a"), B: client("b"), Reporters: true}
	}
	_ = func(t *testing.T) { storagetest.Run(t, open) }   // TestConformance
	_ = func(b *testing.B) { storagetest.Bench(b, open) } // BenchmarkStorage
}

func newStore(testing.TB) cas.Store { return nil }
