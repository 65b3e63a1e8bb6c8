package peers

import (
	"context"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

// joinRedbreaker gives each caller an instance, a storage and a client.
func joinRedbreaker(f *fleet, callers int) {
	for range callers {
		f.callers = append(f.callers, f.redbreaker())
	}
}

// joinRedbreakerProcess gives all callers one instance.
func joinRedbreakerProcess(f *fleet, callers int) {
	one := f.redbreaker()
	for range callers {
		f.callers = append(f.callers, one)
	}
}

func (f *fleet) redbreaker() protected {
	store, err := storage.NewRedis(f.client(), storage.WithNamespace(f.name))
	if err != nil {
		f.b.Fatal(err)
	}
	f.b.Cleanup(func() { _ = store.Close() })
	breaker, err := redbreaker.New("bench", redbreaker.Policy{ConsecutiveFailures: f.failures, OpenFor: f.openFor},
		redbreaker.WithStorage(store))
	if err != nil {
		f.b.Fatal(err)
	}
	f.b.Cleanup(breaker.Stop)
	permit, err := breaker.Acquire(ctx) // creates the record, as gobreaker's constructor does
	if err != nil {
		f.b.Fatal(err)
	}
	permit.Ignore()
	f.recorded = func() int64 {
		record, err := breaker.Inspect(ctx)
		if err != nil {
			f.b.Fatal(err)
		}
		return record.Streak
	}
	return protected{
		succeed: func() error {
			return breaker.Do(ctx, func(ctx context.Context) error { f.made.Add(1); return succeedCtx(ctx) })
		},
		fail: func() error {
			return breaker.Do(ctx, func(ctx context.Context) error { f.made.Add(1); return failCtx(ctx) })
		},
	}
}
