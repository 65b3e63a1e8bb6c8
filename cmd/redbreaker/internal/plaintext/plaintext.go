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
	return cutText(text, maxQuoted)
}

// cutText quotes the beginning of a text.
func cutText(text string, end int) string {
	least := end - utf8.UTFMax
	for end > least && !utf8.RuneStart(text[end]) {
		end--
	}
	return strconv.Quote(text[:end]) + "..."
}

// maxShown is the most bytes of a text that QuoteUnprintable keeps. A name that is stored is
// not longer.
const maxShown = 512

// QuoteUnprintable returns a text as it is, or quoted if it could control a terminal
// or break a column. It cuts it after 512 bytes.
func QuoteUnprintable(text string) string {
	if len(text) > maxShown {
		return cutText(text, maxShown)
	}
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
