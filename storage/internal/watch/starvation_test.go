package watch

import (
	"testing"
	"time"
)

// signsAt gives signs at these times, in ms, to a starvation, and returns the times at
// which it renews and reports.
func signsAt(s *starvation, at ...time.Duration) (renews, reports []time.Duration) {
	for _, ms := range at {
		renew, report := s.addSign(ms * time.Millisecond)
		if renew {
			renews = append(renews, ms)
		}
		if report {
			reports = append(reports, ms)
		}
	}
	return renews, reports
}

func TestStarvation(t *testing.T) {
	for what, c := range map[string]struct {
		signs           []time.Duration
		renews, reports int
	}{
		"one sign":                   {[]time.Duration{1000}, 0, 0},
		"many at once":               {[]time.Duration{1000, 1000, 1001, 1400}, 0, 0},
		"two that are far apart":     {[]time.Duration{1000, 11_001}, 0, 0},
		"two in turn":                {[]time.Duration{1000, 1500}, 1, 0},
		"renewing helps":             {[]time.Duration{1000, 1500, 100_000}, 1, 0},
		"renewing does not help":     {[]time.Duration{1000, 1500, 2500, 3000, 4500, 6500, 8500, 9500}, 4, 1},
		"it is reported once only":   {[]time.Duration{1000, 2000, 4000, 8000, 16_000, 24_000, 32_000, 40_000, 48_000}, 6, 1},
		"it starves again, later on": {[]time.Duration{1000, 2000, 4000, 100_000, 101_000, 103_000}, 4, 2},
	} {
		renews, reports := signsAt(&starvation{}, c.signs...)
		if len(renews) != c.renews || len(reports) != c.reports {
			t.Errorf("%s: renews at %v and reports at %v, want %d and %d", what, renews, reports, c.renews, c.reports)
		}
	}
}

// An event that was late takes its sign back, with those before it.
func TestStarvation_late(t *testing.T) {
	w := &Watcher{}
	if renews, _ := signsAt(&w.starved, 1000, 1100); len(renews) > 0 {
		t.Fatalf("renews at %v", renews)
	}
	w.takeBackSigns()
	if renews, _ := signsAt(&w.starved, 2000, 2100); len(renews) > 0 {
		t.Errorf("late events are taken for starvation at %v", renews)
	}
	if renews, _ := signsAt(&w.starved, 2600); len(renews) != 1 {
		t.Errorf("renews at %v, want one", renews)
	}
}
