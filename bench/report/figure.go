package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchmath"
)

// figure holds the values of one quantity, one for each round, and its unit.
type figure struct {
	values []float64
	unit   string
}

// figure returns the figure of a query, which is a benchmark as for find and a unit,
// as in "memory Memory/rule=count ns/op".
func (r *results) figure(query string) (figure, error) {
	i := strings.LastIndex(query, " ")
	b, err := r.find(query[:i])
	if err != nil {
		return figure{}, err
	}
	unit := query[i+1:]
	values, ok := b.values[unit]
	if !ok {
		return figure{}, fmt.Errorf("%s: %w", query, errNotMeasured)
	}
	return figure{values, unit}, nil
}

// with combines two figures round by round.
func (f figure) with(g figure, unit string, combine func(a, b float64) float64) figure {
	n := min(len(f.values), len(g.values))
	values := make([]float64, n)
	for i := range values {
		values[i] = combine(f.values[i], g.values[i])
	}
	return figure{values, unit}
}

func (f figure) times(factor float64) figure {
	return f.with(f, f.unit, func(a, _ float64) float64 { return factor * a })
}

func (f figure) plus(g figure) figure {
	return f.with(g, f.unit, func(a, b float64) float64 { return a + b })
}

func (f figure) minus(g figure) figure {
	return f.with(g, f.unit, func(a, b float64) float64 { return a - b })
}

func (f figure) over(g figure) figure {
	return f.with(g, "x", func(a, b float64) float64 { return a / b })
}

// summary returns the median and the confidence interval of benchstat.
func (f figure) summary() benchmath.Summary {
	sample := benchmath.NewSample(slices.Clone(f.values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95)
}

// String formats the median and its confidence interval: 12.3 ns ±4%.
func (f figure) String() string {
	if f.same() {
		return f.median()
	}
	return f.median() + " ±" + f.summary().PctRangeString()
}

// same reports whether all rounds have the same value.
func (f figure) same() bool {
	return len(f.values) > 1 && slices.Min(f.values) == slices.Max(f.values)
}

// median formats the median without its interval, for wide tables.
func (f figure) median() string { return quantity(f.summary().Center, f.unit) }

// quantity formats a value to three digits.
func quantity(v float64, unit string) string {
	switch {
	case strings.HasSuffix(unit, "/s"):
		return thousands(v)
	case unit == "x", strings.HasPrefix(unit, "x-"):
		return digits(v) + "x"
	case strings.HasSuffix(unit, "-%"):
		return digits(v) + " %"
	case unit == "ns/op", strings.HasSuffix(unit, "-ns"), strings.Contains(unit, "-ns/"):
		return scaled(v, "ns", "µs", "ms", "s")
	case strings.Contains(unit, "us/"):
		return digits(v) + " µs"
	case strings.HasSuffix(unit, "-ms"):
		return digits(v) + " ms"
	case strings.HasPrefix(unit, "B/"):
		return scaled(v, "B", "kB", "MB")
	default:
		return digits(v)
	}
}

// scaled formats a value in the first unit in which it is less than a thousand.
func scaled(v float64, units ...string) string {
	for len(units) > 1 && math.Abs(v) >= 999.5 {
		v /= 1000
		units = units[1:]
	}
	return digits(v) + " " + units[0]
}

// digits formats three digits, and whole numbers from a hundred on.
func digits(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	}
	text := strconv.FormatFloat(v, 'g', 3, 64)
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64) // without an exponent
	}
	return text
}

// thousands groups the digits of a large number, three of which count.
func thousands(v float64) string {
	if v < 1000 {
		return digits(v)
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-2)
	text := strconv.FormatFloat(math.Round(v/unit)*unit, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
