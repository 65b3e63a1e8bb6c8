// Package terminal draws frames of text on a terminal and reads its keys.
package terminal

import (
	"bytes"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// The escape sequences of a Screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the alternate screen, without a cursor and without wrapping
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	clearScreen = "\x1b[2J"
	cursorHome  = "\x1b[H"
	clearRight  = "\x1b[K"
	clearBelow  = "\x1b[J"
	reverse     = "\x1b[7m"
	normal      = "\x1b[m"
)

// The size of a terminal that does not report one.
const (
	defaultWidth  = 80
	defaultHeight = 24
)

// Line is a line of a frame. Its text contains printable characters only.
type Line struct {
	Text     string
	Inverted bool // in reverse video
}

// Screen shows one frame after the other. It draws each frame over the one before in one
// write, so that nothing flickers, and on the alternate screen, so that nothing remains.
type Screen struct {
	out           io.Writer
	size          func() (width, height int)
	width, height int // of the last frame
	buf           bytes.Buffer
}

// NewScreen switches the terminal to its alternate screen. Close switches it back.
func NewScreen(out *os.File) *Screen {
	s := &Screen{out: out, size: func() (int, int) {
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return defaultWidth, defaultHeight
		}
		return width, height
	}}
	_, _ = io.WriteString(out, enterScreen)
	return s
}

// Close leaves the alternate screen.
func (s *Screen) Close() { _, _ = io.WriteString(s.out, leaveScreen) }

// Size returns the width and height of the terminal, in characters.
func (s *Screen) Size() (width, height int) { return s.size() }

// Draw shows a frame. Lines that do not fit are cut.
func (s *Screen) Draw(lines []Line) error {
	s.buf.Reset()
	width, height := s.size()
	if width != s.width || height != s.height {
		s.buf.WriteString(clearScreen) // the old frame may have been wrapped
		s.width, s.height = width, height
	}
	s.buf.WriteString(cursorHome)
	for i, line := range lines[:min(len(lines), height)] {
		if i > 0 {
			s.buf.WriteString("\r\n") // a terminal in raw mode needs both
		}
		text := Cut(line.Text, width)
		if line.Inverted {
			text = reverse + text + normal
		}
		s.buf.WriteString(text + clearRight)
	}
	s.buf.WriteString(clearBelow)
	_, err := s.out.Write(s.buf.Bytes())
	return err
}

// Cut returns a text of at most width characters, with an ellipsis for the rest.
func Cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	n := 0
	for i := range text {
		if n == width-1 {
			return text[:i] + "…"
		}
		n++
	}
	return ""
}

// IsTerminal returns the file of a terminal that v is.
func IsTerminal(v any) (*os.File, bool) {
	f, ok := v.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
