package main

import (
	"errors"
	"slices"
	"strings"
)

// axis is a row or a column of a table: its label, and the parts or the unit that it
// adds to the query of a cell.
type axis struct{ label, parts, unit string }

// axesOf makes an axis of each value of a key.
func axesOf(key string, values ...string) (list []axis) {
	for _, v := range values {
		list = append(list, axis{label: v, parts: "/" + key + "=" + v})
	}
	return list
}

// renderGrid returns a table of medians. query names the suite and the benchmark. A row
// without results says so.
func (r *results) renderGrid(corner, query, unit string, rows, columns []axis) (string, error) {
	head := []string{corner}
	for _, c := range columns {
		head = append(head, c.label)
	}
	lines := [][]string{head}
	for _, row := range rows {
		line := []string{row.label}
		for _, column := range columns {
			text, err := r.renderCell(query, unit, row, column)
			if err != nil {
				return "", err
			}
			line = append(line, text)
		}
		lines = append(lines, line)
	}
	return formatTable(lines), nil
}

func (r *results) renderCell(query, unit string, row, column axis) (string, error) {
	for _, a := range []axis{row, column} {
		if a.unit != "" {
			unit = a.unit
		}
	}
	f, err := r.findFigure(query + row.parts + column.parts + " " + unit)
	if errors.Is(err, errNotMeasured) {
		return "not measured", nil
	}
	if err != nil {
		return "", err
	}
	return f.formatMedian(), nil
}

// renderList returns a table of all benchmarks of a name with all their units except
// allocations.
func (r *results) renderList(suite, base string) string {
	var found []*benchmark
	var units []string
	for _, b := range r.benchmarks {
		if b.suite != suite || b.base != base {
			continue
		}
		found = append(found, b)
		for _, unit := range b.units {
			if unit != "B/op" && unit != "allocs/op" && !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
	}
	if len(found) == 0 {
		return "Not measured.\n"
	}
	lines := [][]string{append([]string{""}, units...)}
	for _, b := range found {
		line := []string{strings.ReplaceAll(strings.Join(b.parts, ", "), "=", " ")}
		for _, unit := range units {
			text := ""
			if values, ok := b.values[unit]; ok {
				text = figure{values, unit}.String()
			}
			line = append(line, text)
		}
		lines = append(lines, line)
	}
	return formatTable(lines)
}

// formatTable formats a table whose first line is its header.
func formatTable(lines [][]string) string {
	var text strings.Builder
	for i, line := range lines {
		text.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			text.WriteString("|" + strings.Repeat("---|", len(line)) + "\n")
		}
	}
	return text.String()
}
