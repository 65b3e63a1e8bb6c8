package engine

import "strings"

const upperHex = "0123456789ABCDEF"

// Escape returns text with each byte that isPlain refuses written as % and two
// upper-case hex digits. It stops before the result exceeds limit bytes, never
// within an escape; whole reports whether all of text fitted. Tokens of a
// record and keys in Redis are escaped by it, each with its own set of plain
// bytes.
func Escape(text string, limit int, isPlain func(byte) bool) (escaped string, whole bool) {
	if len(text) <= limit && isAllPlain(text, isPlain) {
		return text, true // as most names are
	}
	var b strings.Builder
	b.Grow(min(limit, 3*len(text)))
	for i := range len(text) {
		c := text[i]
		size := 3
		if isPlain(c) {
			size = 1
		}
		if b.Len()+size > limit {
			return b.String(), false
		}
		if size == 1 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String(), true
}

func isAllPlain(text string, isPlain func(byte) bool) bool {
	for i := range len(text) {
		if !isPlain(text[i]) {
			return false
		}
	}
	return true
}
