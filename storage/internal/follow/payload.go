package follow

import (
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// maxPayload is the longest event that is parsed. A script writes at most a
// quarter of it.
const maxPayload = 4096

// CutKey returns the key of an event's payload and the rest of it. It parses
// nothing else, so that events of other breakers cost next to nothing.
func CutKey(payload string) (key, rest string, ok bool) {
	if len(payload) > maxPayload {
		return "", "", false
	}
	return strings.Cut(payload, " ")
}

// ParseRest reads what follows the key: the epoch before the transition, then its
// log entry. It reports false for text that no script writes.
func ParseRest(rest string) (engine.Transition, bool) {
	t, ok := engine.ParseEvent(rest)
	return t, ok && t.Epoch > 0 && t.Epoch != t.Was
}
