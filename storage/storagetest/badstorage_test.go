package storagetest

import (
	"context"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// Each storage in this file has one wrong method.

// storages wraps a storage into one of type T.
func storages[T interface {
	~struct{ engine.Storage }
	engine.Storage
}](s engine.Storage) engine.Storage {
	return T{s}
}

// handles wraps a storage's handles into those of type T.
func handles[T interface {
	~struct{ engine.Handle }
	engine.Handle
}](s engine.Storage) engine.Storage {
	return wrapping{s, func(h engine.Handle) engine.Handle { return T{h} }}
}

type wrapping struct {
	engine.Storage
	wrap func(engine.Handle) engine.Handle
}

func (s wrapping) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	h, err := s.Storage.Bind(name, p, sink)
	if err != nil {
		return nil, err
	}
	return s.wrap(h), nil
}

// policies wraps a storage into one that changes policies.
func policies(change func(*engine.Policy)) func(engine.Storage) engine.Storage {
	return func(s engine.Storage) engine.Storage { return changing{s, change} }
}

type changing struct {
	engine.Storage
	change func(*engine.Policy)
}

func (s changing) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	s.change(&p)
	return s.Storage.Bind(name, p, sink)
}

type silent struct{ engine.Storage }

func (s silent) Bind(name string, p engine.Policy, _ func(engine.Event)) (engine.Handle, error) {
	return s.Storage.Bind(name, p, nil)
}

type echoing struct{ engine.Storage }

func (s echoing) Bind(name string, p engine.Policy, sink func(engine.Event)) (engine.Handle, error) {
	return s.Storage.Bind(name, p, func(e engine.Event) { sink(e); sink(e) })
}

type trimming struct{ engine.Storage }

func (s trimming) Control(ctx context.Context, name string, c engine.Command) (engine.Snapshot, error) {
	return s.Storage.Control(ctx, strings.TrimSpace(name), c)
}

type meddling struct{ engine.Storage }

func (s meddling) Inspect(ctx context.Context, name string) (engine.Snapshot, error) {
	if h, err := s.Bind(name, threeFailures, nil); err == nil {
		h.Step(ctx, engine.Batch{})
	}
	return s.Storage.Inspect(ctx, name)
}

type stubborn struct{ engine.Storage }

func (s stubborn) Control(ctx context.Context, name string, c engine.Command) (engine.Snapshot, error) {
	h, err := s.Bind(name, engine.Policy{}, nil)
	if err != nil {
		return engine.Snapshot{}, err
	}
	return h.Control(ctx, c)
}
