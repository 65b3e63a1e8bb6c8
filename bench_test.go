package redbreaker_test

import (
	"fmt"
	"testing"

	"github.com/redbreaker/redbreaker"
)

// BenchmarkDo measures what a breaker in memory adds to a call.
func BenchmarkDo(b *testing.B) {
	policy := redbreaker.Policy{}
	open := func(b *testing.B, opts ...redbreaker.Option) *redbreaker.Breaker {
		breaker, err := redbreaker.New("dep", policy, opts...)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(breaker.Stop)
		return breaker
	}
	b.Run("closed", func(b *testing.B) {
		breaker := open(b)
		for b.Loop() {
			_ = breaker.Do(ctx, succeed)
		}
	})
	b.Run("rejected", func(b *testing.B) {
		breaker := open(b)
		if _, err := breaker.Control(ctx, redbreaker.Command{Action: redbreaker.ActionTrip}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			_ = breaker.Do(ctx, succeed)
		}
	})
	b.Run("permit", func(b *testing.B) {
		breaker := open(b)
		for b.Loop() {
			p, err := breaker.Acquire(ctx)
			if err != nil {
				b.Fatal(err)
			}
			p.Success()
		}
	})
	b.Run("permit deferred", func(b *testing.B) {
		breaker := open(b)
		call := func() (err error) {
			p, err := breaker.Acquire(ctx)
			if err != nil {
				return err
			}
			defer p.Done(&err)
			return nil
		}
		for b.Loop() {
			_ = call()
		}
	})
}

// BenchmarkRegistry_Get measures Get for names that the registry retains, and for
// more names than it retains, where each Get makes a breaker and evicts another.
func BenchmarkRegistry_Get(b *testing.B) {
	for _, n := range []int{1000, 50_000} {
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			r, err := redbreaker.NewRegistry(redbreaker.RegistryConfig{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(r.Stop)
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprint("tenant-", i)
				if _, err := r.Get(names[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := r.Get(names[i%n]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
