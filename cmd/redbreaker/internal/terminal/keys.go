package terminal

import (
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// Key is a key that was pressed: a printable character, or one of the names below.
type Key string

// The keys that are no characters. Other ones are ignored.
const (
	KeyUp        Key = "up"
	KeyDown      Key = "down"
	KeyPageUp    Key = "page up"
	KeyPageDown  Key = "page down"
	KeyHome      Key = "home"
	KeyEnd       Key = "end"
	KeyEnter     Key = "enter"
	KeyEscape    Key = "escape"
	KeyBackspace Key = "backspace"
	KeyInterrupt Key = "interrupt" // Ctrl-C, which sends no signal in raw mode
)

// sequences are the bytes that terminals send for keys.
var sequences = []struct {
	bytes string
	key   Key
}{
	{"\x1b[A", KeyUp}, {"\x1bOA", KeyUp},
	{"\x1b[B", KeyDown}, {"\x1bOB", KeyDown},
	{"\x1b[5~", KeyPageUp}, {"\x1b[6~", KeyPageDown},
	{"\x1b[H", KeyHome}, {"\x1bOH", KeyHome}, {"\x1b[1~", KeyHome},
	{"\x1b[F", KeyEnd}, {"\x1bOF", KeyEnd}, {"\x1b[4~", KeyEnd},
	{"\r", KeyEnter}, {"\n", KeyEnter},
	{"\x7f", KeyBackspace}, {"\b", KeyBackspace},
	{"\x03", KeyInterrupt},
}

// MakeRaw lets a terminal send each key at once, without showing it. The function that it
// returns undoes that.
func MakeRaw(in *os.File) (restore func(), err error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(int(in.Fd()), state) }, nil
}

// ReadKeys returns the keys that a terminal in raw mode sends, until it is closed. Its
// goroutine ends with the terminal.
func ReadKeys(in io.Reader) <-chan Key {
	keys := make(chan Key, 64)
	go func() {
		defer close(keys)
		buf := make([]byte, 256)
		for {
			// A terminal sends the bytes of a key at once, so they are not split.
			n, err := in.Read(buf)
			for _, key := range parseKeys(string(buf[:n])) {
				keys <- key
			}
			if err != nil {
				return
			}
		}
	}()
	return keys
}

// parseKeys splits what a terminal sent into keys.
func parseKeys(text string) []Key {
	var keys []Key
	for text != "" {
		key, size := parseKey(text)
		if key != "" {
			keys = append(keys, key)
		}
		text = text[size:]
	}
	return keys
}

// parseKey returns the first key, "" for one that is ignored, and how many bytes it has.
func parseKey(text string) (Key, int) {
	for _, s := range sequences {
		if len(text) >= len(s.bytes) && text[:len(s.bytes)] == s.bytes {
			return s.key, len(s.bytes)
		}
	}
	if text[0] == '\x1b' {
		if len(text) == 1 {
			return KeyEscape, 1
		}
		return "", len(text) // an unknown sequence, whose end is not known either
	}
	r, size := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError || r < ' ' {
		return "", size
	}
	return Key(text[:size]), size
}
