package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// A name whose encoding would exceed maxEncoded bytes is replaced by its first
// bytes, at most maxHead, by which an operator recognizes it, and the SHA-256 of
// the whole name. Two names then share a key only if their digests are equal. A
// digest never equals a name written in full, because names escape digestMark.
const (
	maxEncoded = 512
	maxHead    = 64
	digestMark = "#"
)

// encodeName returns name as part of a key: the bytes that isPlain accepts as they
// are, every other byte as % and two upper-case hex digits. So no key contains
// braces, or bytes that shells, globs and redis-cli treat specially.
func encodeName(name string) string {
	encoded, whole := engine.Escape(name, maxEncoded, isPlain)
	if whole {
		return encoded
	}
	head, _ := engine.Escape(name, maxHead, isPlain)
	sum := sha256.Sum256([]byte(name))
	return head + digestMark + hex.EncodeToString(sum[:])
}

// decodeName is the inverse of encodeName. It returns false for digests, and for
// text that encodeName never returns.
func decodeName(encoded string) (name string, ok bool) {
	name, err := url.PathUnescape(encoded)
	if err != nil || name == "" || encodeName(name) != encoded {
		return "", false
	}
	return name, true
}

// isPlain reports whether a key contains c unescaped. The set never changes: a
// longer one would give names another key, so that processes of an old and a new
// release would no longer share their records.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~:/@+=,", c) >= 0
}
