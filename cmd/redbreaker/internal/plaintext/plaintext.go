// Package plaintext makes text from users and other programs fit for messages and
// terminals.
package plaintext

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxQuoted is the most bytes of a text that Quote keeps.
const maxQuoted = 64

// Quote quotes a text, such as a name, and cuts it after 64 bytes.
func Quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	end := maxQuoted
	for end > maxQuoted-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strconv.Quote(text[:end]) + "..."
}

// QuoteUnprintable returns a text as it is, or quoted if it could control a terminal
// or break a column.
func QuoteUnprintable(text string) string {
	quoted := strconv.Quote(text)
	if strings.Contains(quoted, `\`) {
		return quoted
	}
	return text
}

// Replace returns a text with a question mark in place of each character that could
// control a terminal.
func Replace(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// RoundDuration rounds a duration for people: hours need no milliseconds.
func RoundDuration(d time.Duration) time.Duration {
	switch {
	case d >= time.Hour:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
