package main

import "context"

const (
	// maxCompared is the most names of a namespace that are compared with a wrong one.
	maxCompared = 20_000
	// maxComparedBytes is the longest name that is compared.
	maxComparedBytes = 64
)

// similarName returns the breaker of the namespace whose name is most similar to a
// name that does not exist; "" if none is similar, or if the names cannot be listed.
func (s *session) similarName(ctx context.Context, name string) string {
	if len(name) > maxComparedBytes {
		return ""
	}
	best, fewest := "", 1+min(2, len(name)/3) // at most two edits, fewer in a short name
	compared := 0
	for l, err := range s.store.Names(ctx) {
		if compared++; err != nil || compared > maxCompared {
			break
		}
		if l.Name == "" || len(l.Name) > maxComparedBytes {
			continue
		}
		if n := editDistance(name, l.Name); n < fewest || n == fewest && best != "" && l.Name < best {
			best, fewest = l.Name, n
		}
	}
	return best
}

// editDistance returns how many insertions, deletions, replacements and exchanges of
// neighbors turn one text into the other.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			changed := 1
			if x[i-1] == y[j-1] {
				changed = 0
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+changed)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(x)][len(y)]
}
