package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
)

const picture = "../../docs/top.svg"

// The picture in docs/operations.md shows top as it is.
func TestReference_picture(t *testing.T) {
	want := drawTerminal(pictureModel().frame(118, 9))
	if *rewrite {
		if err := os.WriteFile(picture, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("run go test ./cmd/redbreaker -run Reference -rewrite (-top +picture):\n%s", diff)
	}
}

// pictureModel is top in an incident.
func pictureModel() *topModel {
	m := newTopModel(&selection{order: "state"}, "ann", "redis at cache:6379")
	m.now = func() time.Time { return time.Date(2026, 11, 28, 3, 4, 5, 0, time.UTC) }
	rate := &redbreaker.Policy{Window: redbreaker.Window{Period: time.Minute, FailureRate: 0.5}}
	streak := &redbreaker.Policy{ConsecutiveFailures: 5}
	caused := func(c redbreaker.Cause) []redbreaker.Transition { return []redbreaker.Transition{{Cause: c}} }
	m.setReading(reading{list: []listed{
		{Snapshot: redbreaker.Snapshot{Name: "payments", State: redbreaker.StateOpen, Age: 18800 * time.Millisecond, RetryAfter: 71200 * time.Millisecond, Trips: 2, Policy: rate, Log: caused(redbreaker.CauseFailureRate)}},
		{Snapshot: redbreaker.Snapshot{Name: "ledger", State: redbreaker.StateHalfOpen, Age: 900 * time.Millisecond, Trips: 1, Policy: streak, Log: caused(redbreaker.CauseElapsed)}},
		{Snapshot: redbreaker.Snapshot{Name: "search", Age: 3 * time.Hour, Streak: 1, Calls: 9, Failures: 4, FailuresLeft: 1, Policy: rate, Log: caused(redbreaker.CauseRecovered)}},
		{Snapshot: redbreaker.Snapshot{Name: "mail", Age: 26 * time.Hour, FailuresLeft: 5, Mode: redbreaker.ModeShadow, Policy: streak, Log: caused(redbreaker.CauseOperator)}},
	}})
	return m
}

// drawTerminal returns a frame as an SVG picture.
func drawTerminal(lines []terminal.Line) string {
	const lineHeight, charWidth, margin = 18, 7.85, 16
	widest := 0
	for _, line := range lines {
		widest = max(widest, len([]rune(line.Text)))
	}
	width, height := int(2*margin+charWidth*float64(widest)), 2*margin+lineHeight*len(lines)
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="redbreaker top">
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="13" xml:space="preserve">
`, width, height, width, height)
	for i, line := range lines {
		y, color := margin+lineHeight*i, "#e6edf3"
		if line.Inverted {
			fmt.Fprintf(&svg, `<rect x="%d" y="%d" width="%d" height="%d" fill="#e6edf3"/>`+"\n", margin-4, y, width-2*margin+8, lineHeight)
			color = "#0d1117"
		}
		fmt.Fprintf(&svg, `<text x="%d" y="%d" fill="%s">`, margin, y+13, color)
		_ = xml.EscapeText(&svg, []byte(line.Text)) // a Builder takes everything
		svg.WriteString("</text>\n")
	}
	return svg.String() + "</g>\n</svg>\n"
}
