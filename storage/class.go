package storage

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// meaning is what a server's error means to us.
type meaning struct {
	word  string
	class engine.Class
	// oneSlot: it concerns the keys of one slot, the others may be well.
	oneSlot bool
	// outdated: the client asked a node that does not serve the key any more.
	outdated bool
}

// meanings has the server's errors that we know. Those not executed mean: not
// here, not now. Those refused mean: it will not, as things are; they are
// checked before the script starts or at its first write, so nothing was done
// either, but asking again at once would not help.
var meanings = []meaning{
	{word: "NOSCRIPT", class: engine.ClassNotExecuted},
	// A client follows MOVED and ASK by itself, up to its MaxRedirects. One key
	// cannot be torn apart by a migration, so TRYAGAIN comes only from proxies.
	{word: "MOVED", class: engine.ClassNotExecuted, oneSlot: true, outdated: true},
	{word: "ASK", class: engine.ClassNotExecuted, oneSlot: true, outdated: true},
	{word: "TRYAGAIN", class: engine.ClassNotExecuted, oneSlot: true},
	{word: "CLUSTERDOWN", class: engine.ClassRefused, oneSlot: true},
	{word: "CROSSSLOT", class: engine.ClassRefused, oneSlot: true},
	{word: "READONLY", class: engine.ClassRefused, outdated: true},
	{word: "LOADING", class: engine.ClassRefused},
	{word: "MASTERDOWN", class: engine.ClassRefused},
	{word: "BUSY", class: engine.ClassRefused},
	{word: "MISCONF", class: engine.ClassRefused},
	{word: "NOREPLICAS", class: engine.ClassRefused},
	{word: "OOM", class: engine.ClassRefused},
	{word: "max number of clients", class: engine.ClassRefused},
	{word: "NOAUTH", class: engine.ClassRefused},
	{word: "WRONGPASS", class: engine.ClassRefused},
	{word: "NOPERM", class: engine.ClassRefused},
}

// meaningOf tells errors by their first word, never by their text, which differs
// between servers. An error of no server means nothing.
func meaningOf(err error) meaning {
	for _, m := range meanings {
		if redis.HasErrorPrefix(err, m.word) {
			return m
		}
	}
	return meaning{}
}

// classify says what an error means for the operation. sent tells whether the
// command was written to a connection.
func classify(err error, sent bool) engine.Class {
	switch m := meaningOf(err); {
	case m.class != 0:
		return m.class
	case !sent:
		return engine.ClassNotExecuted
	}
	return engine.ClassUnknown
}

// ofOneSlot reports whether an error concerns the keys of one slot alone.
func ofOneSlot(err error) bool { return meaningOf(err).oneSlot }

// outdated reports whether an error may come of asking a node that no longer
// serves the key: one that is gone, too.
func outdated(err error) bool {
	var answer redis.Error
	return !errors.As(err, &answer) || meaningOf(err).outdated
}
