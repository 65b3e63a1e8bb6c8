package terminal

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestReadKeys(t *testing.T) {
	in, terminal := io.Pipe()
	keys := ReadKeys(in)
	go func() {
		for _, text := range []string{"a日", "\x1b[A\x1b[B\x1bOA", "\x1b", "\x1b[5~\x1b[6~\x1b[H\x1b[F\r\x7f\x03", "\x1b[200~junk", "\x00\xff\x01", "/q"} {
			_, _ = terminal.Write([]byte(text))
		}
		terminal.Close()
	}()
	var got []Key
	for key := range keys {
		got = append(got, key)
	}
	want := []Key{"a", "日", KeyUp, KeyDown, KeyUp, KeyEscape, KeyPageUp, KeyPageDown, KeyHome, KeyEnd, KeyEnter, KeyBackspace, KeyInterrupt, "/", "q"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"payments", 8, "payments"}, {"payments", 7, "paymen…"}, {"日本語", 2, "日…"}, {"ab", 1, "…"}, {"ab", 0, ""}, {"", 0, ""},
	} {
		if got := Cut(tt.text, tt.width); got != tt.want {
			t.Errorf("%q in %d: got %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

// A frame fits the terminal, whatever its size, and leaves nothing of the one before.
func TestScreen_draw(t *testing.T) {
	var out bytes.Buffer
	width, height := 10, 2
	s := &Screen{out: &out, size: func() (int, int) { return width, height }}
	lines := []Line{{Text: "a line that is long"}, {Text: "chosen", Inverted: true}, {Text: "below"}}
	if err := s.Draw(lines); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "\x1b[2J\x1b[Ha line th…\x1b[K\r\n\x1b[7mchosen\x1b[m\x1b[K\x1b[J"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	out.Reset()
	_ = s.Draw(lines[:1])
	if strings.Contains(out.String(), clearScreen) {
		t.Error("it clears the screen although the size is the same")
	}
	width = 20
	out.Reset()
	_ = s.Draw(lines[:1])
	if !strings.HasPrefix(out.String(), clearScreen) {
		t.Error("it does not clear the screen after a resize")
	}
}
