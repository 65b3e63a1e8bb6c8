package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// A name whose encoding would pass maxEncoded bytes stands as its beginning, at
// most maxHead bytes for the operator to recognize it by, and the SHA-256 of
// the whole. Two names then collide only if their digests do; a digest never
// collides with a name that stands in full, since those escape its mark.
const (
	maxEncoded = 512
	maxHead    = 64
	digestMark = "#"
)

// encode returns name as part of a key: letters, digits and the bytes of plain
// as they are, every other byte as % and two upper-case hex digits. So neither
// braces nor what shells, globs and redis-cli treat specially gets into a key.
func encode(name string) string {
	encoded, whole := escape(name, maxEncoded)
	if whole {
		return encoded
	}
	head, _ := escape(name, maxHead)
	sum := sha256.Sum256([]byte(name))
	return head + digestMark + hex.EncodeToString(sum[:])
}

// decode is the inverse of encode. It is false for what encode never returns,
// and for digests.
func decode(encoded string) (name string, ok bool) {
	name, err := url.PathUnescape(encoded)
	if err != nil || name == "" || encode(name) != encoded {
		return "", false
	}
	return name, true
}

// escape returns as much of the escaped name as fits into limit bytes, and
// whether that is all of it. It never splits an escape.
func escape(name string, limit int) (escaped string, whole bool) {
	const upperHex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		size := 3
		if plain(c) {
			size = 1
		}
		if b.Len()+size > limit {
			return b.String(), false
		}
		if size == 1 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String(), true
}

// plain reports whether a key holds c as it is. Adding to these would give
// names another key, and so part old releases from new ones.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~:/@+=,", c) >= 0
}
