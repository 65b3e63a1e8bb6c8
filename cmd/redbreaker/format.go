package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
)

// format is how breakers are printed: text or json. It is a flag's value.
type format string

func (f *format) addOutputFlag(cmd *cobra.Command) {
	*f = "text"
	cmd.Flags().VarP(f, "output", "o", "text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

func (f *format) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("use text or json")
	}
	*f = format(s)
	return nil
}

// writeAll prints breakers: in JSON an array, or an object if only one was asked for;
// in text those that exist.
func (f *format) writeAll(w io.Writer, s *session, found []redbreaker.Snapshot, several bool) error {
	if *f == "json" && several {
		return writeJSON(w, found)
	}
	if *f == "json" {
		return writeJSON(w, found[0])
	}
	separator := ""
	for i := range found {
		if !found[i].Exists {
			continue
		}
		if _, err := io.WriteString(w, separator); err != nil {
			return err
		}
		if err := writeText(w, s, &found[i]); err != nil {
			return err
		}
		separator = "\n"
	}
	return nil
}

// writeChange prints what an order did, and the breaker afterwards; in JSON only the
// breaker.
func (f *format) writeChange(w io.Writer, s *session, o *order, before, after redbreaker.Snapshot) error {
	if *f == "json" {
		return writeJSON(w, after)
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", o.describeChange(&before, &after)); err != nil {
		return err
	}
	return writeText(w, s, &after)
}

// writeJSON prints a value as indented JSON.
func writeJSON(w io.Writer, v any) error { return encodeJSON(w, v, "  ") }

// writeJSONLine prints a value as JSON on one line.
func writeJSONLine(w io.Writer, v any) error { return encodeJSON(w, v, "") }

// encodeJSON prints a value as JSON without characters that a terminal could act on: those
// that encoding/json does not escape are written as \u escapes, which mean the same.
func encodeJSON(w io.Writer, v any, indent string) error {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeUnprintable(buf.String()))
	return err
}

// escapeUnprintable escapes the unprintable characters of JSON, which occur in strings only.
func escapeUnprintable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
