package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// results holds the results of all suites.
type results struct {
	suites     []suite // by name
	benchmarks []*benchmark
}

// suite is a file of results and its header.
type suite struct {
	name   string
	header map[string]string
}

// benchmark holds the values of one benchmark by unit, one for each round.
type benchmark struct {
	suite  string
	base   string   // Memory
	parts  []string // rule=count, goroutines=1
	units  []string // in the order of their first appearance
	values map[string][]float64
}

func readResults(dir string) (*results, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	r := new(results)
	for _, path := range paths { // sorted
		if err := r.readSuite(path); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readSuite adds a suite.
func (r *results) readSuite(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := suite{name: strings.TrimSuffix(filepath.Base(path), ".txt"), header: map[string]string{}}
	lines := benchfmt.NewReader(f, path)
	for lines.Scan() {
		switch record := lines.Result().(type) {
		case *benchfmt.Result:
			for _, c := range record.Config {
				s.header[c.Key] = string(c.Value)
			}
			r.addRecord(s.name, record)
		case *benchfmt.SyntaxError:
			return record
		}
	}
	r.suites = append(r.suites, s)
	return lines.Err()
}

// addRecord adds a value of each unit to the benchmark of this name.
func (r *results) addRecord(suite string, record *benchfmt.Result) {
	base, parts := splitName(record.Name)
	i := slices.IndexFunc(r.benchmarks, func(b *benchmark) bool {
		return b.suite == suite && b.base == base && slices.Equal(b.parts, parts)
	})
	if i < 0 {
		i = len(r.benchmarks)
		r.benchmarks = append(r.benchmarks, &benchmark{suite: suite, base: base, parts: parts, values: map[string][]float64{}})
	}
	b := r.benchmarks[i]
	for _, v := range record.Values {
		unit, value := v.Unit, v.Value
		if v.OrigUnit != "" { // the reported unit, such as nanoseconds
			unit, value = v.OrigUnit, v.OrigValue
		}
		if !slices.Contains(b.units, unit) {
			b.units = append(b.units, unit)
		}
		b.values[unit] = append(b.values[unit], value)
	}
}

// splitName splits a benchmark's name and drops the number of processors.
func splitName(n benchfmt.Name) (base string, parts []string) {
	text, list := n.Parts()
	for _, part := range list {
		if part := string(part); strings.HasPrefix(part, "/") {
			parts = append(parts, part[1:])
		}
	}
	return string(text), parts
}

func (b *benchmark) String() string {
	return strings.Join(append([]string{b.base}, b.parts...), "/")
}

// hasParts reports whether the name has these parts, in any order; do=ping also matches a
// part that is just ping.
func (b *benchmark) hasParts(parts []string) bool {
	return !slices.ContainsFunc(parts, func(want string) bool {
		_, value, _ := strings.Cut(want, "=")
		return !slices.Contains(b.parts, want) && !slices.Contains(b.parts, value)
	})
}

var errNotMeasured = errors.New("not measured")

// findBenchmark returns the only benchmark that matches a query such as
// "memory Memory/rule=count": a suite, a name, and some of its parts.
func (r *results) findBenchmark(query string) (*benchmark, error) {
	suite, name, _ := strings.Cut(query, " ")
	parts := strings.Split(name, "/")
	var found []*benchmark
	for _, b := range r.benchmarks {
		if b.suite == suite && b.base == parts[0] && b.hasParts(parts[1:]) {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%s: %w", query, errNotMeasured)
	case 1:
		return found[0], nil
	default:
		return nil, fmt.Errorf("%s may be %s, or %s", query, found[0], found[1])
	}
}
