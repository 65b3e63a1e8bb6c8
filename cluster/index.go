package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// IndexParts is how many keys share the index of a namespace's breakers: each
// is in a slot of its own, and small enough to be moved between nodes without
// blocking them. The number cannot change: a breaker's part follows from it.
const IndexParts = 16

// IndexKey returns the key of a part of the index, from 0 to IndexParts - 1:
//
//	<namespace>:{#index:<part>}
//	<namespace>:{<tag>}:#index:<part>
//
// The second one is that of a colocated namespace. No name is encoded to begin
// with #, so no breaker has such a key.
func (k Keys) IndexKey(part int) string {
	return k.prefix + "#index:" + string("0123456789abcdef"[part]) + k.suffix
}

// IndexMember returns a key's member of the index, which is its encoded name, and the
// part of the index that holds it. It returns false for a key that these Keys do not
// make.
func (k Keys) IndexMember(key string) (member string, part int, ok bool) {
	member, found := strings.CutPrefix(key, k.prefix)
	member, whole := strings.CutSuffix(member, k.suffix)
	if !found || !whole || !isEncoded(member) {
		return "", 0, false
	}
	// Without colocation this is the key's slot: its hash tag is the member.
	return member, int(Slot(member) % IndexParts), true
}

// isEncoded reports whether encodeName may return the text. It never returns %61 for an a:
// a record under such a key would be one that no process uses.
func isEncoded(text string) bool {
	head, digest, isDigest := strings.Cut(text, digestMark)
	if _, ok := decodeName(head); !ok {
		return false
	}
	if !isDigest {
		return true
	}
	sum, err := hex.DecodeString(digest)
	return err == nil && len(head) <= maxHead && len(sum) == sha256.Size && hex.EncodeToString(sum) == digest
}

// IndexedKey returns the key of a member of the index.
func (k Keys) IndexedKey(member string) string { return k.prefix + member + k.suffix }
