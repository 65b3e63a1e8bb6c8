package storage

import (
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// notExecuted begins the server's errors that mean: not here, not now, nothing
// was done.
var notExecuted = []string{"NOSCRIPT", "MOVED", "ASK", "TRYAGAIN"}

// refusedBy begins the server's errors that mean: it will not, as things are.
// They are checked before the script starts or at its first write, so nothing
// was done either; but asking again at once would not help.
var refusedBy = []string{
	"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "MISCONF", "NOREPLICAS", "OOM",
	"max number of clients", "NOAUTH", "WRONGPASS", "NOPERM", "CROSSSLOT",
}

// classify says what an error means for the operation. Errors are told by their
// first word, never by their text, which differs between servers. sent tells
// whether the command was written to a connection.
func classify(err error, sent bool) engine.Class {
	for _, prefix := range notExecuted {
		if redis.HasErrorPrefix(err, prefix) {
			return engine.ClassNotExecuted
		}
	}
	for _, prefix := range refusedBy {
		if redis.HasErrorPrefix(err, prefix) {
			return engine.ClassRefused
		}
	}
	if !sent {
		return engine.ClassNotExecuted
	}
	return engine.ClassUnknown
}
