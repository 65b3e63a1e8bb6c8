package panel

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Names are any bytes, and up to megabytes long.
const (
	// maxPathName is the most bytes of a name in a URL. Servers and proxies accept URLs
	// of 4 kB or more.
	maxPathName = 2000
	// maxShownName is the most bytes of a name on a page.
	maxShownName = 120

	digestPrefix = "~sha256-"
	upperHex     = "0123456789ABCDEF"
)

// encodeName returns a name as one segment of a path, as the documentation of the
// package describes it.
func encodeName(name string) string {
	if len(name) <= maxPathName {
		if segment := escapeName(name); len(segment) <= maxPathName {
			return segment
		}
	}
	sum := sha256.Sum256([]byte(name))
	return digestPrefix + hex.EncodeToString(sum[:])
}

// escapeName writes the bytes of a name that could mean something else in a path as ~
// and two hex digits.
func escapeName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if isPathByte(c) || c == '.' && i > 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'~', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// isPlain reports whether a text consists of ASCII characters that show as themselves,
// as most do.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == ' ' && (i == 0 || i == len(text)-1) {
			return false
		}
	}
	return true
}

func isPathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decodeName is the inverse of escapeName. A ~ that begins no escape is itself, for
// names that another program has encoded.
func decodeName(segment string) string {
	if !strings.Contains(segment, "~") {
		return segment
	}
	var b strings.Builder
	for i := 0; i < len(segment); i++ {
		if segment[i] == '~' && i+2 < len(segment) {
			hi, lo := strings.IndexByte(upperHex, segment[i+1]), strings.IndexByte(upperHex, segment[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(segment[i])
	}
	return b.String()
}

// isDigest reports whether a segment is the digest of a long name.
func isDigest(segment string) bool {
	return len(segment) == len(digestPrefix)+2*sha256.Size && strings.HasPrefix(segment, digestPrefix)
}

// showText returns a caller's text, such as a name, for people: quoted if it has
// characters that do not show or that change the order of the others, and cut.
func showText(text string) string {
	if len(text) <= maxShownName && isPlain(text) {
		return text
	}
	cut := text
	if len(cut) > maxShownName {
		end := maxShownName
		for end > maxShownName-utf8.UTFMax && !utf8.RuneStart(cut[end]) {
			end--
		}
		cut = cut[:end]
	}
	quoted := strconv.Quote(cut)
	if strings.Contains(quoted, `\`) || strings.TrimSpace(cut) != cut {
		cut = quoted
	}
	if len(text) > maxShownName {
		cut += fmt.Sprintf("… (%d bytes)", len(text))
	}
	return cut
}
