package panel

import (
	"fmt"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
)

// A program may follow the events for weeks and never load a page. What changes is then
// not kept: the next reading lists all breakers.
func TestFleet_marksNothingWithoutReader(t *testing.T) {
	store := engine.NewMemory()
	f := newFleet(store, store)
	for i := range 1000 {
		f.markChanged(fmt.Sprint("breaker ", i))
	}
	if len(f.changed) > 0 {
		t.Errorf("%d names are kept for a reading that reads all", len(f.changed))
	}
	if _, err := f.readFleet(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.markChanged("a")
	if !f.changed["a"] {
		t.Error("a change since a reading that is young is not kept")
	}
}
