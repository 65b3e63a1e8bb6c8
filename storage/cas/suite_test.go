package cas_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
	"github.com/redbreaker/redbreaker/storage/storagetest"
)

// suite opens a data set in s with two clients.
func suite(t testing.TB, s cas.Store, m *memStore) storagetest.Harness {
	t.Helper()
	client := func(reporter string) engine.Storage {
		c, err := cas.New(s, cas.WithTimeout(20*time.Second), cas.WithReporter(reporter))
		must(t, err)
		return c
	}
	return storagetest.Harness{
		A: client("a"), B: client("b"),
		Advance: m.advance,
		Lose:    func(name string) { m.set(name, "") },
		Corrupt: func(name, field, text string) { m.corrupt(t, name, field, text) },

		Reporters: true, Expires: true,
	}
}

// corrupt puts text into a field of a record.
func (s *memStore) corrupt(t testing.TB, name, field, text string) {
	var lines []string
	for line := range strings.Lines(s.blob(name)) {
		if !strings.HasPrefix(line, field+" ") {
			lines = append(lines, line)
		}
	}
	s.set(name, strings.Join(lines, "")+string(cas.Encode([]engine.Field{{Name: field, Value: text}})))
}

func TestCAS_conformance(t *testing.T) {
	storagetest.Run(t, func(t testing.TB) storagetest.Harness {
		m := newMemStore()
		return suite(t, m, m)
	})
}

// A store that loses every other race on purpose keeps every promise.
func TestCAS_conformanceLosingRaces(t *testing.T) {
	storagetest.Run(t, func(t testing.TB) storagetest.Harness {
		m := newMemStore()
		return suite(t, loser{m}, m)
	})
}

func BenchmarkCAS(b *testing.B) {
	storagetest.Bench(b, func(t testing.TB) storagetest.Harness {
		m := newMemStore()
		return suite(t, m, m)
	})
}
