package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker"
)

// format is how a breaker is printed: text or json. It is a flag's value.
type format string

func (f *format) flag(cmd *cobra.Command) {
	*f = "text"
	cmd.Flags().VarP(f, "output", "o", "text or json")
}

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

func (f *format) Set(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("use text or json")
	}
	*f = format(s)
	return nil
}

func (f *format) write(w io.Writer, s redbreaker.Snapshot) error {
	if *f == "json" {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return writeText(w, s)
}
