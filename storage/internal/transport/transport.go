// Package transport is the road to Redis servers: it sends scripts, each at most
// once and each within the timeout, whatever the client's settings are.
//
// A call passes these stations. Transport.Node finds the server that holds the
// key; its guard is asked by the storage. Transport.Start makes a Flight of the call
// (flight.go), bounds it by the timeout (timeout.go), joins calls to the same
// server into pipelines (pipeline.go), loads the script where it is missing
// (script_loader.go) and follows redirects of a cluster (redirect.go). The attempt
// (attempt.go) records whether the server can have executed the call, from which
// the class of its error follows (class.go). The cluster's map of slots is kept up
// to date in cluster.go; server_mode.go detects a cluster that the client ignores.
package transport

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/guard"
	"github.com/redbreaker/redbreaker/storage/internal/taskgroup"
	"github.com/redbreaker/redbreaker/storage/internal/timeout"
)

// Transport sends scripts to a Redis server or cluster. All methods are safe for
// concurrent use.
type Transport struct {
	client     redis.UniversalClient
	underlying redis.UniversalClient // that the client wraps; the client itself if it wraps none
	timeout    time.Duration
	timeoutErr error
	// connectLimit is how long a trial may take, which makes a connection if there
	// is none.
	connectLimit time.Duration
	// closeLimit is how long the client may hold on to a call whose caller left.
	closeLimit time.Duration
	deadlines  deadlines // of flights

	tasks    taskgroup.Group // calls, trials, the cluster's upkeep
	closing  context.Context // ends when Close has waited for callers
	endCalls context.CancelFunc
	cluster  *clusterMap // nil unless the client is that of a cluster
	ring     *redis.Ring // nil unless the client is one
	// singleServers: the client asks the servers that it was given, and ignores that
	// they may belong to a cluster.
	singleServers bool
	// dialsOnce: the client returns the error of its first dial instead of trying again.
	dialsOnce bool
	protocol  int // of RESP, as the client's options say

	// single is the only server, and a cluster as long as its map is not known.
	single *Node
	nodes  nodes
}

// Call is a script call on one key.
type Call struct {
	Op, Name string // of the operation and the breaker, in errors
	Key      string
	Script   *scripts.Script
	Args     []any
	// Repeatable: the server may execute it twice without harm.
	Repeatable bool
}

// The client's timeouts where they are not known.
const (
	defaultDialTimeout = 5 * time.Second
	defaultCloseLimit  = 5 * time.Second
)

// New returns a transport over the client, which it never closes. It does no I/O.
// If the client wraps another one, underlying is that one, or nil if its Unwrap
// method returns it. Calls go through the wrapper; the underlying client knows
// the servers.
func New(client, underlying redis.UniversalClient, limit time.Duration) (*Transport, error) {
	if underlying == nil {
		underlying = unwrap(client)
	}
	t := &Transport{client: client, underlying: underlying, timeout: limit, timeoutErr: timeout.Error(limit)}
	t.closing, t.endCalls = context.WithCancel(context.Background())
	var dialTimeout, readTimeout time.Duration
	var dials int
	switch c := underlying.(type) {
	case *redis.Client:
		dialTimeout, readTimeout, dials = c.Options().DialTimeout, c.Options().ReadTimeout, c.Options().DialerRetries
		t.singleServers, t.protocol = true, c.Options().Protocol
	case *redis.ClusterClient:
		dialTimeout, readTimeout, dials = c.Options().DialTimeout, c.Options().ReadTimeout, c.Options().DialerRetries
	case *redis.Ring:
		dialTimeout, readTimeout, dials = c.Options().DialTimeout, c.Options().ReadTimeout, c.Options().DialerRetries
		t.singleServers, t.protocol = true, c.Options().Protocol
		t.ring = c
	}
	t.dialsOnce = dials == 1
	if dialTimeout <= 0 {
		dialTimeout = defaultDialTimeout
	}
	if readTimeout <= 0 {
		readTimeout = defaultCloseLimit
	}
	t.connectLimit, t.closeLimit = dialTimeout+limit, readTimeout
	t.cluster = newClusterMap(underlying, t.tasks.Spawn)
	g, err := guard.New(t.tasks.Spawn, judgeError)
	if err != nil {
		return nil, err
	}
	t.single = &Node{guard: g, server: client}
	if _, ok := underlying.(*redis.Client); ok {
		t.single.pipeline = &pipeline{transport: t}
	}
	return t, nil
}

// maxWrappers is more than any client has. A wrapper may return itself.
const maxWrappers = 32

// unwrap returns the client that wrappers, such as those that trace calls, offer by
// a method Unwrap.
func unwrap(client redis.UniversalClient) redis.UniversalClient {
	for range maxWrappers {
		w, ok := client.(interface{ Unwrap() redis.UniversalClient })
		if !ok {
			return client
		}
		inner := w.Unwrap()
		if inner == nil {
			return client
		}
		client = inner
	}
	return client
}

// Timeout is the longest that a call takes.
func (t *Transport) Timeout() time.Duration { return t.timeout }

// Underlying is the client that knows the servers, as far as it was recognized.
func (t *Transport) Underlying() redis.UniversalClient { return t.underlying }

// TimeoutError is the error of a call that took longer.
func (t *Transport) TimeoutError() error { return t.timeoutErr }

// Spawn runs f in a goroutine that Close waits for. It returns false, and does
// nothing, after Close.
func (t *Transport) Spawn(f func()) bool { return t.tasks.Spawn(f) }

// RunTask runs f in the caller's goroutine, and Close waits for f. It returns false, and
// does nothing, after Close.
func (t *Transport) RunTask(f func()) bool { return t.tasks.Run(f) }

// Node returns the server that holds the key, as far as the client knows. It does
// no I/O. A caller resolves it once, and uses it for the guard and for Run: if
// slots move meanwhile, a call must not ask one server's guard and then go to
// another.
func (t *Transport) Node(key string) *Node {
	server := t.serverOf(key)
	if server == nil {
		return t.single
	}
	return t.nodes.getOrAdd(server, func() *Node {
		g, err := guard.New(t.tasks.Spawn, judgeError)
		if err != nil { // not for a policy that was valid before
			g = t.single.guard
		}
		return &Node{guard: g, server: server, pipeline: &pipeline{transport: t}}
	})
}

// serverOf returns the client of the cluster's master or the ring's shard that holds
// the key, nil if there is one server or it is not known.
func (t *Transport) serverOf(key string) *redis.Client {
	if t.ring == nil {
		return t.cluster.masterOf(key)
	}
	shard, err := t.ring.GetShardClientForKey(key)
	if err != nil { // all shards are down
		return nil
	}
	return shard
}

// OneKeyPerShard returns of the keys the first one that lies in each shard of a ring.
// Of any other client, and of a ring without a shard that is up, it returns the first
// one.
func (t *Transport) OneKeyPerShard(keys iter.Seq[string]) []string {
	var chosen []string
	found := map[*redis.Client]bool{}
	shards := 1
	if t.ring != nil {
		shards = max(1, t.ring.Len())
	}
	for key := range keys {
		var shard *redis.Client
		if t.ring != nil {
			shard = t.serverOf(key)
		}
		if !found[shard] {
			found[shard] = true
			chosen = append(chosen, key)
		}
		if len(chosen) == shards {
			break
		}
	}
	return chosen
}

// Info returns a section of what the server says about itself.
func (t *Transport) Info(ctx context.Context, section string) (string, error) {
	var text string
	var infoErr error
	err := t.waitOrLeave(ctx, time.Now().Add(t.timeout), func(ctx context.Context) {
		text, infoErr = t.client.Info(ctx, section).Result()
	})
	if err != nil {
		return "", err
	}
	return text, infoErr
}

// Close lets no further call begin and waits for those that run. A client that
// still makes a connection after the timeout is interrupted, since no caller waits
// for it. Close returns when no call runs any more, or when the client should have
// given up on it.
func (t *Transport) Close() error {
	t.cluster.stopWatching()
	defer t.endCalls()
	first := min(t.timeout, t.closeLimit)
	if t.tasks.Stop(first) {
		return nil
	}
	t.endCalls()
	if !t.tasks.Stop(t.closeLimit - first) {
		return fmt.Errorf("redbreaker: close: the client still holds calls after %v, shorten its timeouts", t.closeLimit)
	}
	return nil
}
