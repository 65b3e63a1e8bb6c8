package plaintext

import (
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":                              `""`,
		"payments":                      `"payments"`,
		"a\x1b[2J\n":                    `"a\x1b[2J\n"`,
		"\xff":                          `"\xff"`,
		strings.Repeat("a", 64):         `"` + strings.Repeat("a", 64) + `"`,
		strings.Repeat("a", 65):         `"` + strings.Repeat("a", 64) + `"...`,
		"a" + strings.Repeat("ä", 99):   `"a` + strings.Repeat("ä", 31) + `"...`,
		strings.Repeat("a", 63) + "日本語": `"` + strings.Repeat("a", 63) + `"...`,
		strings.Repeat("\x80", 70):      `"` + strings.Repeat(`\x80`, 60) + `"...`,
		strings.Repeat("x", 1<<20):      `"` + strings.Repeat("x", 64) + `"...`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("%.80q: got %s, want %s", text, got, want)
		}
	}
}

func TestQuoteUnprintable(t *testing.T) {
	for text, want := range map[string]string{
		"ann@desk, 日本": "ann@desk, 日本", "a\tb": `"a\tb"`, "\x1b]0;x\a": `"\x1b]0;x\a"`, `a"b`: `"a\"b"`, "\u202e": `"\u202e"`,
	} {
		if got := QuoteUnprintable(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestReplace(t *testing.T) {
	if got, want := Replace("a\x1b[2Jb\nc\x7f\u009b\u202e\xffé"), "a?[2Jb?c????é"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
