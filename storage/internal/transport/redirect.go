package transport

import (
	"fmt"
	"time"
)

// redirectPause is how long a redirected call waits before it is sent again: the
// slot map is read meanwhile.
const redirectPause = minReloadPause / 5

// followRedirect sends a call again after a node answered that it does not serve
// the key (MOVED, ASK), or no longer takes writes (READONLY). go-redis follows
// redirections by itself, but only as many as its options allow, and READONLY
// only after a while. The key is resolved again, since the map of slots will soon
// show which node serves it.
func (f *Flight) followRedirect() {
	f.transport.cluster.reloadMap()
	select {
	case <-f.transport.closing.Done():
	case <-time.After(redirectPause):
	}
	f.node = f.transport.Node(f.call.Key)
	f.stage = byHash
	f.dispatchCommand()
}

// redirectedError is the timeout of a call that was redirected until then. It does not
// wrap the redirect, from which the class of the error would follow: the last command
// may have been executed.
type redirectedError struct {
	timeout error
	answer  string
}

func (e redirectedError) Error() string {
	return fmt.Sprintf("%v (the servers redirect, and none took the call; the last answer was %s; use redis.NewClusterClient, and if it is one, compare CLUSTER NODES of its nodes)", e.timeout, e.answer)
}

func (e redirectedError) Unwrap() error { return e.timeout }
