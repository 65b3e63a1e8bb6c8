package cluster

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redbreaker/redbreaker/engine"
)

// Keys makes the keys of one namespace. New makes it; it is a value, to be
// copied and shared freely.
type Keys struct {
	namespace string
	// An encoded name stands between these two.
	prefix, suffix string
}

// New returns the Keys of a namespace, which is printable UTF-8 without braces
// and spaces; colons are welcome, as in team:shop. Braces would take the place
// of the hash tag, and the namespace goes into every key as it is.
//
// The error matches engine.ErrInvalid.
func New(namespace string) (Keys, error) {
	if namespace == "" {
		return Keys{}, fmt.Errorf("redbreaker: the namespace is empty, give one such as shop: %w", engine.ErrInvalid)
	}
	if !utf8.ValidString(namespace) || strings.ContainsFunc(namespace, forbidden) {
		return Keys{}, fmt.Errorf("redbreaker: namespace %.64q: use printable characters other than braces and spaces: %w", namespace, engine.ErrInvalid)
	}
	return Keys{namespace: namespace, prefix: namespace + ":{", suffix: "}"}, nil
}

// forbidden reports whether a namespace may not contain r.
func forbidden(r rune) bool {
	return r == '{' || r == '}' || r == ' ' || !unicode.IsPrint(r)
}

// Colocate returns the Keys that put every breaker of the namespace in the one
// slot of tag, on purpose: <namespace>:{<encoded tag>}:<encoded name>.
//
// The error, for an empty tag, matches engine.ErrInvalid.
func (k Keys) Colocate(tag string) (Keys, error) {
	if tag == "" {
		return Keys{}, fmt.Errorf("redbreaker: the colocation tag is empty, give one or leave colocation out: %w", engine.ErrInvalid)
	}
	return Keys{namespace: k.namespace, prefix: k.namespace + ":{" + encode(tag) + "}:"}, nil
}

// Key returns the key of the breaker of that name, which may be any bytes.
//
// The error, for an empty name, matches engine.ErrInvalid.
func (k Keys) Key(name string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("redbreaker: the name is empty, name the breaker after what it protects: %w", engine.ErrInvalid)
	}
	return k.prefix + encode(name) + k.suffix, nil
}

// Name returns the name whose key this is. It is false for keys that Key does
// not make, and for those that hold only a digest of their name.
func (k Keys) Name(key string) (string, bool) {
	encoded, ours := strings.CutPrefix(key, k.prefix)
	encoded, whole := strings.CutSuffix(encoded, k.suffix)
	if !ours || !whole {
		return "", false
	}
	return decode(encoded)
}

// Channel returns the channel on which the namespace's events are published.
// The scripts know only the key, and derive the channel from it: what stands
// before the first ":{", then ":events".
func (k Keys) Channel() string { return k.namespace + ":events" }

// PingKey returns a key that no breaker has, for trying what is allowed.
func (k Keys) PingKey() string { return k.namespace + ":{#ping}" }
