package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageText string

//go:embed headline.md.tmpl
var headlineText string

//go:embed reasons.txt
var reasonsText string

// renderPage returns the contents of bench/README.md.
func (r *results) renderPage() ([]byte, error) { return r.fillTemplate("page", pageText) }

const begin, end = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"

// renderHeadline replaces the performance section of the README, which its marks enclose.
func (r *results) renderHeadline(readme []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(readme, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		return nil, fmt.Errorf("README.md has no %q and %q", begin, end)
	}
	text, err := r.fillTemplate("headline", headlineText)
	return slices.Concat(before, []byte(begin), text, []byte(end), after), err
}

func (r *results) fillTemplate(name, text string) ([]byte, error) {
	t, err := template.New(name).Parse(text)
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	err = t.Execute(&page, r)
	return page.Bytes(), err
}

// Verdicts returns the tables of bounds.
func (r *results) Verdicts() (string, error) {
	reasons := parseReasons(reasonsText)
	var text strings.Builder
	for _, s := range sections {
		lines := [][]string{{"bound", "", "benchmark", "figure", "floor", "ratio", ""}}
		var missed []string
		for _, b := range s.bounds {
			v, err := r.judgeBound(b, reasons)
			if err != nil {
				return "", err
			}
			lines = append(lines, v.tableRow())
			if v.err == nil && !v.met && v.reason != "" {
				missed = append(missed, fmt.Sprintf("- %s: %s\n", b.id, v.reason))
			}
		}
		fmt.Fprintf(&text, "### %s\n\n%s\n", s.title, formatTable(lines))
		if missed != nil {
			fmt.Fprintf(&text, "%s\n", strings.Join(missed, ""))
		}
	}
	return text.String(), nil
}

// tableRow returns the verdict's row of the table.
func (v verdict) tableRow() []string {
	floor, value := v.against, v.value
	if v.floor != "" {
		floor += ", " + v.floor
	}
	if v.bound.value == alone {
		value = ""
	}
	return []string{v.work, v.Limit(), "`" + v.Benchmark() + "`", v.figure, floor, value, v.verdictWord()}
}

// verdictWord returns the verdict in a word.
func (v verdict) verdictWord() string {
	word := "met"
	switch {
	case v.err != nil:
		return "**not measured**"
	case !v.met:
		word = "**MISSED** (" + v.id + ")"
	}
	if v.doubt != "" {
		word += ", " + v.doubt
	}
	return word
}

// Count returns how many bounds are met, missed, and not measured.
func (r *results) Count() (string, error) {
	var met, missed, open int
	for _, s := range sections {
		for _, b := range s.bounds {
			switch v, err := r.judgeBound(b, nil); {
			case err != nil:
				return "", err
			case v.err != nil:
				open++
			case v.met:
				met++
			default:
				missed++
			}
		}
	}
	return fmt.Sprintf("%d met, %d missed, %d not measured", met, missed, open), nil
}

// parseReasons parses lines of id and reason for bounds that are missed.
func parseReasons(text string) map[string]string {
	list := map[string]string{}
	for line := range strings.Lines(text) {
		if id, reason, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(id, "#") {
			list[id] = reason
		}
	}
	return list
}

// Machine returns a table of the machine and versions that the suites ran on.
func (r *results) Machine() string {
	var lines [][]string
	for _, key := range []string{"date", "commit", "cpu", "cores", "kernel", "go", "redis", "rounds"} {
		values := map[string]bool{}
		for _, s := range r.suites {
			if v := strings.TrimSpace(s.header[key]); v != "" {
				values[v] = true
			}
		}
		lines = append(lines, []string{key, strings.Join(slices.Sorted(maps.Keys(values)), ", ")})
	}
	return formatTable(append([][]string{{"", ""}}, lines...))
}

// Commands returns the command of each suite.
func (r *results) Commands() string {
	var text strings.Builder
	for _, s := range r.suites {
		fmt.Fprintf(&text, "%-12s %s\n", s.name, s.header["command"])
	}
	return text.String()
}

// Figure returns the median of a query.
func (r *results) Figure(query string) (string, error) {
	f, err := r.findFigure(query)
	if errors.Is(err, errNotMeasured) {
		return "not measured", nil
	}
	if err != nil {
		return "", err
	}
	return f.formatMedian(), nil
}

// Spread returns the median of a query and its confidence interval.
func (r *results) Spread(query string) (string, error) {
	f, err := r.findFigure(query)
	if errors.Is(err, errNotMeasured) {
		return "not measured", nil
	}
	if err != nil {
		return "", err
	}
	return f.String(), nil
}

// IsMeasured reports whether there is a result for a query.
func (r *results) IsMeasured(query string) bool {
	_, err := r.findFigure(query)
	return err == nil
}

// Times returns the ratio of two queries, the first over the second.
func (r *results) Times(query, floor string) (string, error) {
	f, err := r.findFigure(query)
	if err == nil {
		var g figure
		if g, err = r.findFigure(floor); err == nil {
			return f.dividedBy(g).formatMedian(), nil
		}
	}
	if errors.Is(err, errNotMeasured) {
		return "not measured", nil
	}
	return "", err
}
