package panel

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
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

// damaged is a storage of which one breaker cannot be read.
type damaged struct {
	*engine.Memory
	name string
}

func (d *damaged) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	if name == d.name {
		return engine.Snapshot{}, errors.New("WRONGTYPE")
	}
	return d.Memory.Inspect(ctx, name)
}

// One breaker that cannot be read does not hide the others, neither where all are read nor
// where those that changed are read again.
func TestFleet_oneUnreadable(t *testing.T) {
	store := &damaged{Memory: engine.NewMemory()}
	for _, name := range []string{"a", "b", "c"} {
		if _, err := store.Control(t.Context(), name, engine.Command{Action: engine.ActionTrip}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := New(store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ask := func(path string) string {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 {
			t.Errorf("%s: status %d", path, w.Code)
		}
		return w.Body.String()
	}
	const summary = `"matched":3,"total":3,"counts":{"open":2,"half_open":0,"closed":0,"overridden":0,"unreadable":1,"unnamed":0}`
	for _, name := range []string{"", "b"} { // the second time it is read again by itself
		store.name = "b"
		if name == "" {
			p.fleet.latest = nil
		}
		p.fleet.markChanged("b")
		if body := ask("/api/breakers"); !strings.Contains(body, summary) || !strings.Contains(body, `{"id":"b","name":"b","error":"`) || !strings.Contains(body, "problems") {
			t.Errorf("the list is %s", body)
		}
		if body := ask("/"); !strings.Contains(body, "2 circuits are open") || !strings.Contains(body, "1 unreadable") || strings.Count(body, `id="b-`) != 3 {
			t.Errorf("the page is %s", body)
		}
		if body := ask("/api/breakers?state=open"); !strings.Contains(body, `"matched":2`) {
			t.Errorf("open are %s", body)
		}
		store.name = ""
		p.fleet.markChanged("b")
		if body := ask("/api/breakers"); !strings.Contains(body, `"open":3`) || strings.Contains(body, "problems") {
			t.Errorf("after it was mended: %s", body)
		}
	}
}
