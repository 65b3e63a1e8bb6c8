package main

import (
	"errors"
	"math"
	"strings"
)

// bound is a promise about cost: the value of a figure, by itself or relative to a
// floor of the same round, is at most, or at least, some number.
type bound struct {
	id      string // names the bound in reasons.txt
	work    string
	figures []string // the worst of these queries counts
	against string   // the floor in words
	floors  []term   // summed
	lowest  bool     // not summed: the lowest counts

	value   comparison
	atMost  float64
	atLeast float64 // used instead of atMost if it is not 0
}

// term is a multiple of a floor.
type term struct {
	times float64
	query string
}

// comparison computes the value of a bound from figure and floor.
type comparison int

const (
	alone    comparison = iota // the figure itself
	slower                     // figure / floor
	faster                     // floor / figure
	distance                   // figure - floor
)

// verdict is a bound and whether the results meet it.
type verdict struct {
	*bound
	figure, floor, value string
	err                  error // names what was not measured
	met                  bool
	doubt                string // why the verdict is uncertain; empty if it is certain
	reason               string
}

// judgeBound checks the results against a bound.
func (r *results) judgeBound(b *bound, reasons map[string]string) (v verdict, err error) {
	v = verdict{bound: b, reason: reasons[b.id]}
	figure, err := r.worstFigure(b)
	if err == nil {
		v.figure = figure.String()
		figure, err = r.compareToFloor(b, figure, &v)
	}
	if errors.Is(err, errNotMeasured) {
		v.err = err
		return v, nil
	}
	if err != nil {
		return v, err
	}
	v.value = figure.String()
	s := figure.summarize()
	v.met = b.isMetBy(s.Center)
	switch {
	case figure.isConstant():
	case math.IsInf(s.Lo, 0):
		v.doubt = "too few rounds"
	case b.isMetBy(s.Lo) != v.met, b.isMetBy(s.Hi) != v.met:
		v.doubt = "within the noise"
	}
	return v, nil
}

// worstFigure returns, round by round, the worst value of all queries of the bound.
func (r *results) worstFigure(b *bound) (worst figure, err error) {
	for i, query := range b.figures {
		f, err := r.findFigure(query)
		if err != nil {
			return f, err
		}
		if i == 0 {
			worst = f
			continue
		}
		combine := func(a, b float64) float64 { return max(a, b) }
		if b.value == alone && b.atLeast > 0 {
			combine = func(a, b float64) float64 { return min(a, b) }
		}
		worst = worst.combineWith(f, f.unit, combine)
	}
	return worst, nil
}

// compareToFloor returns the value of a figure, and notes the floor in the verdict.
func (r *results) compareToFloor(b *bound, f figure, v *verdict) (figure, error) {
	if b.value == alone {
		return f, nil
	}
	floor, err := r.sumFloors(b)
	if err != nil {
		return f, err
	}
	v.floor = floor.String()
	switch b.value {
	case slower:
		return f.dividedBy(floor), nil
	case faster:
		return floor.dividedBy(f), nil
	default:
		return f.minusFigure(floor), nil
	}
}

func (r *results) sumFloors(b *bound) (floor figure, err error) {
	for i, t := range b.floors {
		f, err := r.findFigure(t.query)
		if err != nil {
			return f, err
		}
		f = f.multipliedBy(t.times)
		switch {
		case i == 0:
			floor = f
		case b.lowest:
			floor = floor.combineWith(f, f.unit, func(a, b float64) float64 { return min(a, b) })
		default:
			floor = floor.plusFigure(f)
		}
	}
	return floor, nil
}

func (b *bound) isMetBy(value float64) bool {
	if b.atLeast != 0 {
		return value >= b.atLeast
	}
	return value <= b.atMost
}

// Limit returns the limit in words.
func (b *bound) Limit() string {
	words, value := "at most", b.atMost
	if b.atLeast != 0 {
		words, value = "at least", b.atLeast
	}
	switch b.value {
	case slower:
		return words + " " + formatQuantity(value, "x")
	case faster:
		return words + " " + formatQuantity(value, "x") + " faster"
	case distance:
		return words + " " + formatQuantity(value, b.figureUnit()) + " more"
	default:
		return words + " " + formatQuantity(value, b.figureUnit())
	}
}

// figureUnit returns the unit of the figures.
func (b *bound) figureUnit() string {
	return b.figures[0][strings.LastIndex(b.figures[0], " ")+1:]
}

// Benchmark returns the name of the benchmarks, with a star for each part that varies.
func (b *bound) Benchmark() string {
	name := strings.Split(queryName(b.figures[0]), "/")
	for _, query := range b.figures[1:] {
		for i, part := range strings.Split(queryName(query), "/") {
			if key, _, _ := strings.Cut(part, "="); part != name[i] {
				name[i] = key + "=*"
			}
		}
	}
	return strings.Join(name, "/")
}

// queryName returns a query without its suite and its unit.
func queryName(query string) string {
	_, rest, _ := strings.Cut(query, " ")
	name, _, _ := strings.Cut(rest, " ")
	return name
}
