package transport

import (
	"context"
	"time"
)

// redirectPause is how long a redirected call waits before it is sent again: the
// slot map is read meanwhile.
const redirectPause = minReloadPause / 5

// callRedirected calls the node that serves the key, also in the moments in which
// another node takes over, and however few redirections the client follows by
// itself. The node that the caller resolved has the first try. After a redirect
// the key is resolved again.
func (t *Transport) callRedirected(ctx context.Context, a *attempt, node *Node, c *Call) (any, error) {
	for {
		reply, err := t.callScript(ctx, a, node, c)
		if err == nil || !t.waitForRedirect(ctx, err) {
			return reply, err
		}
		a.retry()
		node = t.Node(c.Key)
	}
}

// waitForRedirect reports whether a call that failed must be sent again, and
// waits for the moment to do so. It must if a node answered that it does not
// serve the key, or no longer takes writes: nothing was executed then, and the
// map will soon show which node does.
func (t *Transport) waitForRedirect(ctx context.Context, err error) bool {
	if t.cluster == nil || !meaningOf(err).staleMap {
		return false
	}
	t.cluster.reload()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(redirectPause):
		return true
	}
}
