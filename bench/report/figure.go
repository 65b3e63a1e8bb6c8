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

// findFigure returns the figure of a query, which is a benchmark as for findBenchmark and a unit,
// as in "memory Memory/rule=count ns/op".
func (r *results) findFigure(query string) (figure, error) {
	i := strings.LastIndex(query, " ")
	b, err := r.findBenchmark(query[:i])
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

// combineWith combines two figures round by round.
func (f figure) combineWith(g figure, unit string, combine func(a, b float64) float64) figure {
	n := min(len(f.values), len(g.values))
	values := make([]float64, n)
	for i := range values {
		values[i] = combine(f.values[i], g.values[i])
	}
	return figure{values, unit}
}

func (f figure) multipliedBy(factor float64) figure {
	return f.combineWith(f, f.unit, func(a, _ float64) float64 { return factor * a })
}

func (f figure) plusFigure(g figure) figure {
	return f.combineWith(g, f.unit, func(a, b float64) float64 { return a + b })
}

func (f figure) minusFigure(g figure) figure {
	return f.combineWith(g, f.unit, func(a, b float64) float64 { return a - b })
}

func (f figure) dividedBy(g figure) figure {
	return f.combineWith(g, "x", func(a, b float64) float64 { return a / b })
}

// summarize returns the median and the confidence interval of benchstat.
func (f figure) summarize() benchmath.Summary {
	sample := benchmath.NewSample(slices.Clone(f.values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95)
}

// String formats the median and its confidence interval: 12.3 ns ±4%.
func (f figure) String() string {
	if f.isConstant() {
		return f.formatMedian()
	}
	return f.formatMedian() + " ±" + f.summarize().PctRangeString()
}

// isConstant reports whether all rounds have the same value.
func (f figure) isConstant() bool {
	return len(f.values) > 1 && slices.Min(f.values) == slices.Max(f.values)
}

// formatMedian formats the median without its interval, for wide tables.
func (f figure) formatMedian() string { return formatQuantity(f.summarize().Center, f.unit) }

// formatQuantity formats a value to three digits.
func formatQuantity(v float64, unit string) string {
	switch {
	case strings.HasSuffix(unit, "/s"):
		return groupThousands(v)
	case unit == "x", strings.HasPrefix(unit, "x-"):
		return formatDigits(v) + "x"
	case strings.HasSuffix(unit, "-%"):
		return formatDigits(v) + " %"
	case unit == "ns/op", strings.HasSuffix(unit, "-ns"), strings.Contains(unit, "-ns/"):
		return formatScaled(v, "ns", "µs", "ms", "s")
	case strings.Contains(unit, "us/"):
		return formatDigits(v) + " µs"
	case strings.HasSuffix(unit, "-ms"):
		return formatDigits(v) + " ms"
	case strings.HasPrefix(unit, "B/"):
		return formatScaled(v, "B", "kB", "MB")
	default:
		return formatDigits(v)
	}
}

// formatScaled formats a value in the first unit in which it is less than a thousand.
func formatScaled(v float64, units ...string) string {
	for len(units) > 1 && math.Abs(v) >= 999.5 {
		v /= 1000
		units = units[1:]
	}
	return formatDigits(v) + " " + units[0]
}

// formatDigits formats three digits, and whole numbers from a hundred on.
func formatDigits(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	}
	text := strconv.FormatFloat(v, 'g', 3, 64)
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64) // without an exponent
	}
	return text
}

// groupThousands groups the digits of a large number, three of which count.
func groupThousands(v float64) string {
	if v < 1000 {
		return formatDigits(v)
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-2)
	text := strconv.FormatFloat(math.Round(v/unit)*unit, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
