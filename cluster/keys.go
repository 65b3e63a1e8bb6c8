package cluster

import (
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redbreaker/redbreaker/engine"
)

// Keys makes the keys of one namespace. Use [New] to make one; the zero value is
// not usable. Keys is immutable: copy and share it freely.
type Keys struct {
	namespace      string
	prefix, suffix string // of a key, around the encoded name
}

// New returns the Keys of a namespace. A namespace is printable UTF-8 without
// braces and spaces; colons are allowed, as in team:shop. It becomes part of every
// key unescaped, so a brace in it would displace the hash tag.
//
// The error matches engine.ErrInvalid.
func New(namespace string) (Keys, error) {
	if namespace == "" {
		return Keys{}, engine.Invalid("the namespace is empty, give one such as shop")
	}
	if !utf8.ValidString(namespace) || strings.ContainsFunc(namespace, isForbidden) {
		return Keys{}, engine.Invalid("namespace %.64q: use printable characters other than braces and spaces", namespace)
	}
	return Keys{namespace: namespace, prefix: namespace + ":{", suffix: "}"}, nil
}

// isForbidden reports whether a namespace must not contain r.
func isForbidden(r rune) bool {
	return r == '{' || r == '}' || r == ' ' || !unicode.IsPrint(r)
}

// Colocate returns Keys that place all breakers of the namespace in one slot of a
// Redis Cluster, that of tag: <namespace>:{<encoded tag>}:<encoded name>.
//
// The error, for an empty tag, matches engine.ErrInvalid.
func (k Keys) Colocate(tag string) (Keys, error) {
	if tag == "" {
		return Keys{}, engine.Invalid("the colocation tag is empty, give one or leave colocation out")
	}
	return Keys{namespace: k.namespace, prefix: k.namespace + ":{" + encodeName(tag) + "}:"}, nil
}

// Key returns the key of the breaker of that name, which may be any bytes.
//
// The error, for an empty name, matches engine.ErrInvalid.
func (k Keys) Key(name string) (string, error) {
	if err := engine.CheckName(name); err != nil {
		return "", err
	}
	return k.prefix + encodeName(name) + k.suffix, nil
}

// Name returns the breaker's name of a key. It returns false for a key that Key
// does not make, and for one that contains only a digest of its name.
func (k Keys) Name(key string) (string, bool) {
	encoded, hasPrefix := strings.CutPrefix(key, k.prefix)
	encoded, hasSuffix := strings.CutSuffix(encoded, k.suffix)
	if !hasPrefix || !hasSuffix {
		return "", false
	}
	return decodeName(encoded)
}

// Channel returns the Pub/Sub channel of the namespace's events. A script, which
// is given only the key, derives the same channel from it: the text before the
// first ":{", then ":events".
func (k Keys) Channel() string { return k.namespace + ":events" }

// PingChannel returns the Pub/Sub channel on which ping.lua publishes.
func (k Keys) PingChannel() string { return k.namespace + ":ping" }

// PingKeys yields keys that no breaker can have, for checks of permissions: names
// escape the #. They lie in different slots, so that some of them reach every server;
// with colocation all lie in the slot of the breakers.
func (k Keys) PingKeys() iter.Seq[string] {
	const most = 1000 // enough to reach each of a hundred servers
	return func(yield func(string) bool) {
		if !yield(k.prefix + "#ping" + k.suffix) {
			return
		}
		for i := range most {
			if !yield(k.prefix + "#ping:" + strconv.Itoa(i) + k.suffix) {
				return
			}
		}
	}
}
