package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/redbreaker/redbreaker"
)

// hostileNames are names that a terminal, a browser or a table could act on.
var hostileNames = map[string]string{
	"HTML":             `<script>alert("1")</script>`,
	"terminal escapes": "\x1b[2J\x1b]0;title\x07\x1b[?1049h",
	"control bytes":    "a\x00b\rc\nd\te\x7f",
	"C1 controls":      "a\u009b2Jb\u0085",
	"invalid UTF-8":    "\xff\xfe\x80payments",
	"bidi controls":    "\u202egnp.exe\u2066",
	"wide":             strings.Repeat("漢", 100),
	"1 MB":             strings.Repeat("x\x1b", 1<<19),
}

// requireHarmless fails if a text contains something other than printable lines, or is long.
func requireHarmless(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s prints invalid UTF-8: %.200q", what, text)
	}
	for _, r := range text {
		if r != '\n' && r != ' ' && !unicode.IsPrint(r) {
			t.Errorf("%s prints %U: %.200q", what, r, text)
			return
		}
	}
	if len(text) > 30_000 && !json.Valid([]byte(text)) { // JSON is for programs
		t.Errorf("%s prints %d bytes", what, len(text))
	}
}

// Whatever a breaker's name contains, and whatever reporters, operators and errors say, no
// command prints it in a form that a terminal would act on.
func TestHostileNames(t *testing.T) {
	for kind, name := range hostileNames {
		t.Run(kind, func(t *testing.T) {
			onServers(t, func(t *testing.T, s server) {
				store, watcher := s.storage(t), s.storage(t)
				watching, stop := context.WithCancel(ctx)
				defer stop()
				seen := map[format]*lockedBuffer{"text": {}, "json": {}}
				for form, out := range seen {
					go func() { _ = (&session{store: watcher}).watch(watching, out, form, nil) }()
					awaitOutput(t, out, "ready")
				}
				trip := redbreaker.Command{Action: redbreaker.ActionTrip, Actor: clip(name), Reason: clip(name)}
				if _, err := store.Control(ctx, name, trip); err != nil {
					t.Fatal(err)
				}
				shadow := redbreaker.Command{Action: redbreaker.ActionShadow, Actor: clip(name), Reason: clip(name)}
				if _, err := store.Control(ctx, name, shadow); err != nil {
					t.Fatal(err)
				}
				_ = store.Close() // sends the entry of the index
				for _, args := range [][]string{
					{"get", name}, {"explain", name}, {"log", name}, {"ls"}, {"export"}, {"doctor", "--timeout", "20s"}, {"reset", name}, {"release", name},
					{"get", name, "-o", "json"}, {"ls", "-o", "json"},
					{"get", name + "?"}, {"trip", name, "--if-epoch", "1"}, // errors
				} {
					out, err := s.run(args...)
					requireHarmless(t, args[0], out)
					if err != nil {
						requireHarmless(t, "the error of "+args[0], errorText(err))
					}
					if args[len(args)-1] == "json" && !json.Valid([]byte(out)) {
						t.Errorf("%q prints invalid JSON:\n%.400s", args[0], out)
					}
				}
				for form, out := range seen {
					awaitOutput(t, out, "shadow")
					requireHarmless(t, "watch as "+string(form), out.String())
				}
			})
		})
	}
}

// clip shortens a text to more than a record keeps.
func clip(text string) string { return text[:min(len(text), 100)] }

// JSON has the same content, whatever is escaped.
func TestWriteJSON_content(t *testing.T) {
	for kind, name := range hostileNames {
		var out bytes.Buffer
		if err := writeJSON(&out, name); err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != strings.ToValidUTF8(name, "\ufffd") && kind != "invalid UTF-8" {
			t.Errorf("%s: %v, %.100q", kind, err, back)
		}
	}
}
