//go:build go1.25

package transport

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// Each flight is woken at its time, not before and not after, in whatever order they are
// added, and one that is removed is not. The timer ends with the last of them.
func TestDeadlines(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var d deadlines
			flights := map[*Flight]time.Time{}
			for range 100 {
				time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
				f := &Flight{signal: make(chan struct{}, 1)}
				flights[f] = time.Now().Add(time.Duration(random.IntN(60)) * time.Millisecond)
				d.add(f, flights[f])
				for other := range flights {
					switch {
					case random.IntN(20) == 0:
						if flights[other].After(time.Now()) && len(other.signal) > 0 {
							t.Fatal("a flight was woken before its time")
						}
						d.remove(other)
						delete(flights, other)
					case !flights[other].After(time.Now()):
						synctest.Wait()
						if len(other.signal) != 1 {
							t.Fatal("a flight was not woken at its time")
						}
						delete(flights, other)
					case len(other.signal) > 0:
						t.Fatal("a flight was woken before its time")
					}
				}
			}
			time.Sleep(time.Second)
			for f := range flights {
				if len(f.signal) != 1 {
					t.Error("a flight was not woken")
				}
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.first != nil || d.last != nil || d.isSet {
				t.Errorf("flights are left: %v %v, the timer is set: %v", d.first, d.last, d.isSet)
			}
		})
	}
}
