package docs

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage/cas"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// table is the smallest [cas.Store]: rows of one process. The ttl is left to the
// storage, which treats an expired record as absent.
type table struct {
	mu   sync.Mutex
	rows map[string]row
}

type row struct {
	blob    []byte
	version int64
}

func newTable() *table { return &table{rows: map[string]row{}} }

// Load returns the row of that name.
func (t *table) Load(_ context.Context, name string) ([]byte, int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rows[name]
	return r.blob, r.version, nil
}

// Swap replaces the row if it still has that version.
func (t *table) Swap(_ context.Context, name string, version int64, blob []byte, _ time.Duration) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rows[name].version != version {
		return false, nil
	}
	t.rows[name] = row{blob, version + 1}
	return true, nil
}

func newPayments() (*redbreaker.Breaker, error) {
	store := newTable() // your Store
	shared, err := cas.New(store)
	if err != nil {
		return nil, err
	}
	return redbreaker.New("payments", redbreaker.Policy{}, redbreaker.WithStorage(shared))
}

func TestStorages_quickStart(t *testing.T) {
	payments, err := newPayments()
	if err != nil {
		t.Fatal(err)
	}
	defer payments.Stop()
	if err := payments.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestStorages_conformance(t *testing.T) {
	storagetest.Run(t, func(t testing.TB) storagetest.Harness {
		store := newTable()
		open := func() *cas.Storage {
			s, err := cas.New(store, cas.WithTimeout(10*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return storagetest.Harness{A: open(), B: open()}
	})
}
