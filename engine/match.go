package engine

import (
	"strings"
	"unicode/utf8"
)

// MatchLayout reads text by a layout, see [matchText]. Package scripts needs it:
// replies have the same grammar as records.
func MatchLayout(text, layout string, out ...any) bool { return matchText(text, layout, out...) }

// EncodeToken returns a caller's text as scripts accept it: clipped and escaped.
func EncodeToken(s string) string { return escapeToken(clipText(s)) }

// matchText reads text by the layout that fmt.Sprintf wrote it with: %d is an
// integer from 0 to 2^53 - 1 (*int64), %s a token (*string), everything else is
// literal. It reports false unless the whole text matches; out may then be set in
// part. It is stricter than fmt.Sscanf: no signs, no spaces, no rest.
func matchText(text, layout string, out ...any) bool {
	for {
		i := strings.IndexByte(layout, '%')
		if i < 0 {
			return text == layout
		}
		if !strings.HasPrefix(text, layout[:i]) {
			return false
		}
		text = text[i:]
		n := 0
		switch dst := out[0].(type) {
		case *int64:
			n = leadingInt(text, dst)
		case *string:
			n = leadingToken(text)
			*dst = text[:n]
		}
		if n == 0 {
			return false
		}
		text, layout, out = text[n:], layout[i+2:], out[1:]
	}
}

// leadingInt reads an integer and returns its length, 0 if there is none or it
// is too large.
func leadingInt(text string, n *int64) int {
	*n = 0
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		*n = min(*n*10+int64(text[i]-'0'), maxInt+1)
		i++
	}
	if *n > maxInt {
		return 0
	}
	return i
}

// leadingToken returns the length of the token that text begins with.
func leadingToken(text string) int {
	i := 0
	for i < len(text) && isTokenByte(text[i]) {
		i++
	}
	return i
}

// isTokenByte reports whether c may be part of a token. What the grammar of a
// record needs for itself may not.
func isTokenByte(c byte) bool { return isPlainByte(c) || c == '%' }

func isPlainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// escapeToken writes a caller's text so that no part of it can be mistaken for the
// record's own grammar: other bytes become %XX, the empty text becomes "-".
func escapeToken(s string) string {
	switch s {
	case "":
		return "-"
	case "-":
		return "%2D"
	}
	escaped, _ := Escape(s, 3*len(s), isPlainByte)
	return escaped
}

// unescapeToken is the inverse of escapeToken. An escape that escapeToken would not write stays as it is.
func unescapeToken(s string) string {
	if s == "-" {
		return ""
	}
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// clipText shortens a caller's text to 64 bytes, at a rune.
func clipText(s string) string {
	if len(s) <= textBytes {
		return s
	}
	n := textBytes
	for n > textBytes-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
