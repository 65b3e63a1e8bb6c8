package browser

import (
	"slices"
	"testing"

	"github.com/redbreaker/redbreaker/panel"
)

// BenchmarkFirstPaint: after which time the browser shows the list of 1000 breakers, on
// loopback, with an empty cache and its own page of 50 or all 1000 rows.
func BenchmarkFirstPaint(b *testing.B) {
	f := newFleet(b)
	f.fillMany(1000)
	for name, path := range map[string]string{"50 rows": "/", "1000 rows": "/?per_page=1000"} {
		b.Run(name, func(b *testing.B) {
			page := openPanel(b, f, panel.Options{})
			var times []float64
			for b.Loop() {
				page.open(path)
				page.waitFor(`performance.getEntriesByName("first-contentful-paint").length === 1`)
				times = append(times, eval[float64](page, `performance.getEntriesByName("first-contentful-paint")[0].startTime`))
			}
			slices.Sort(times)
			b.ReportMetric(times[len(times)/2], "ms-median")
			b.ReportMetric(times[len(times)-1], "ms-worst")
		})
	}
}
