package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestMemory_names(t *testing.T) {
	m := NewMemory()
	h, err := m.Bind("used", Policy{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Bind("unused", Policy{}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Control(t.Context(), "forced", Command{Action: ActionForceOpen}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for l, err := range m.Names(t.Context()) {
		if err != nil || l.Key != l.Name {
			t.Errorf("%+v, %v", l, err)
		}
		if _, err := m.Inspect(t.Context(), l.Name); err != nil { // within the loop
			t.Error(err)
		}
		names = append(names, l.Name)
	}
	slices.Sort(names)
	if want := []string{"forced", "used"}; !slices.Equal(names, want) {
		t.Errorf("listed %q, want %q", names, want)
	}
	for range m.Names(t.Context()) {
		break // a loop may end early
	}
}

func TestMemory_namesEnd(t *testing.T) {
	m := NewMemory()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for l, err := range m.Names(done) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%+v, %v, want the context's error", l, err)
		}
	}
	_ = m.Close()
	n := 0
	for _, err := range m.Names(t.Context()) {
		n++
		if !errors.Is(err, ErrStopped) {
			t.Errorf("%v, want ErrStopped", err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors after Close, want 1", n)
	}
}
