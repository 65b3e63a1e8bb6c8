package integration_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/integration/servers"
	"github.com/redbreaker/redbreaker/storage"
)

// staysOpen is a policy under which only commands change the state, so that a test
// knows each transition.
var staysOpen = engine.Policy{ConsecutiveFailures: 1000, OpenFor: time.Hour}

// readBound is the time within which a process knows a transition without a call of its
// own and whatever happens to events: 30 s and one read.
const readBound = 30*time.Second + storage.DefaultTimeout

// watched is a process that watches breakers, beside another one that moves them.
type watched struct {
	t       *testing.T
	channel string
	active  *storage.Redis
	moved   []engine.Handle // of the active process
	idle    []*follower
}

// follower is one breaker of the process that watches.
type follower struct {
	name   string
	handle engine.Handle
	base   int64 // number of the transition at which it began

	mu     sync.Mutex
	events []engine.Event
}

func (f *follower) add(e engine.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// newWatched makes both processes, and returns when the second one is subscribed at one
// of the nodes and knows each breaker.
func newWatched(t *testing.T, nodes []*servers.Node, active, idle redis.UniversalClient) *watched {
	t.Helper()
	ns := namespace()
	open := func(client redis.UniversalClient, opts ...storage.Option) *storage.Redis {
		s, err := storage.NewRedis(client, append(opts, storage.WithNamespace(ns), storage.WithTimeout(time.Second))...)
		check(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	w := &watched{t: t, channel: ns + ":events", active: open(active)}
	store := open(idle, storage.WithWatch())
	for _, name := range breakerNames(12) {
		h := bind(t, w.active, name, staysOpen)
		await(t, "a record is made", time.Minute, func() bool { _, err := h.Acquire(context.Background()); return err == nil })
		f := &follower{name: name, base: w.inspect(name).Log[0].N}
		var err error
		f.handle, err = store.Bind(name, staysOpen, f.add)
		check(t, err)
		w.moved, w.idle = append(w.moved, h), append(w.idle, f)
	}
	await(t, "a subscription", time.Minute, func() bool { return w.subscribedAt(nodes) != nil })
	await(t, "each breaker is known", time.Minute, func() bool {
		return !slices.ContainsFunc(w.idle, func(f *follower) bool { return f.handle.Status().Age < 0 })
	})
	return w
}

// inspect returns a record. The server may be away for a while.
func (w *watched) inspect(name string) (s engine.Snapshot) {
	w.t.Helper()
	await(w.t, "a record can be read", time.Minute, func() (ok bool) {
		var err error
		s, err = w.active.Inspect(context.Background(), name)
		return err == nil && s.Exists
	})
	return s
}

// subscribedAt returns the node at which the process is subscribed; nil if at none that
// answers.
func (w *watched) subscribedAt(nodes []*servers.Node) *servers.Node {
	for _, n := range nodes {
		reply, err := n.Try("pubsub", "numsub", w.channel)
		if err != nil {
			continue
		}
		switch r := reply.(type) {
		case []any:
			if len(r) == 2 && r[1] != int64(0) {
				return n
			}
		case map[any]any:
			if r[w.channel] != int64(0) {
				return n
			}
		}
	}
	return nil
}

// startMoving opens and closes the breakers in turn until stop is called. Commands that
// fail are not repeated: whether they had an effect shows the record.
func (w *watched) startMoving(pause time.Duration) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			h := w.moved[i%len(w.moved)]
			action := engine.ActionTrip
			if i/len(w.moved)%2 == 1 {
				action = engine.ActionReset
			}
			_, _ = h.Control(context.Background(), engine.Command{Action: action})
			select {
			case <-done:
				return
			case <-time.After(pause):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// mustAgree checks the process that watches once nothing moves any more: it shows each
// record within the bound, without a call of its own, and got each transition once and
// in order, or counted as missed. Records that may have lost acknowledged writes
// cannot say how many transitions there were.
func (w *watched) mustAgree(lossless bool) {
	w.t.Helper()
	last := map[string]engine.Snapshot{}
	for _, f := range w.idle {
		last[f.name] = w.inspect(f.name)
	}
	took := await(w.t, "the process shows each record", readBound+10*slack, func() bool {
		return !slices.ContainsFunc(w.idle, func(f *follower) bool { return !f.isAt(last[f.name]) })
	})
	w.t.Logf("it shows each record %v after the last transition", took.Round(time.Millisecond))
	delivered, missed := int64(0), int64(0)
	for _, f := range w.idle {
		d, m := f.mustBeWhole(w.t, last[f.name], lossless)
		delivered, missed = delivered+d, missed+m
	}
	w.t.Logf("%d transitions were delivered, %d were counted as missed", delivered, missed)
}

// isAt reports whether the follower's status and its newest event are those of the record.
func (f *follower) isAt(s engine.Snapshot) bool {
	status := f.handle.Status()
	f.mu.Lock()
	defer f.mu.Unlock()
	newest := int64(0)
	for _, e := range f.events {
		newest = max(newest, e.Epoch, e.Transition.Epoch)
	}
	return status.State == s.State && status.Mode == s.Mode && (newest == s.Epoch || f.base == s.Log[len(s.Log)-1].N)
}

// mustBeWhole checks order and count of what was delivered.
func (f *follower) mustBeWhole(t *testing.T, s engine.Snapshot, lossless bool) (delivered, missed int64) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	unknown := false
	var epochs []int64
	for _, e := range f.events {
		switch e.Kind {
		case engine.EventTransition:
			epochs = append(epochs, e.Transition.Epoch)
		case engine.EventMissed:
			missed += max(0, e.Missed)
			unknown = unknown || e.Missed < 0
		}
	}
	delivered = int64(len(epochs))
	if !slices.IsSortedFunc(epochs, cmp.Compare[int64]) || len(slices.Compact(slices.Clone(epochs))) != len(epochs) {
		t.Errorf("%s: the epochs are out of order, or twice: %v", f.name, epochs)
	}
	total := s.Log[len(s.Log)-1].N - f.base
	if lossless && (unknown || delivered+missed != total) {
		t.Errorf("%s: of %d transitions %d were delivered and %d counted as missed (unknown: %v)", f.name, total, delivered, missed, unknown)
	}
	return delivered, missed
}

// mustReceive checks that push works: a transition is known before anything would have
// been read.
func (w *watched) mustReceive() {
	w.t.Helper()
	ctx := context.Background()
	for _, action := range []engine.Action{engine.ActionForceOpen, engine.ActionRelease} {
		for i, h := range w.moved {
			f := w.idle[i]
			await(w.t, "a command succeeds", time.Minute, func() bool {
				_, err := h.Control(ctx, engine.Command{Action: action})
				return err == nil
			})
			await(w.t, "a transition is received", 20*time.Second, func() bool {
				forced := f.handle.Status().Mode == engine.ModeForcedOpen
				return forced == (action == engine.ActionForceOpen)
			})
		}
	}
}

// pair returns the clients of two processes.
func pair(c *servers.ClusterOf) (active, idle redis.UniversalClient) {
	return c.Client(nil), c.Client(nil)
}

// roles names the masters, so that a test sees whether they have changed.
func roles(c *servers.ClusterOf) (addrs string) {
	for _, n := range c.Masters() {
		addrs += n.Addr() + " "
	}
	return addrs
}

// The subscribed node of a cluster dies: another one is subscribed.
func TestWatch_nodeKilled(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	active, idle := pair(c)
	w := newWatched(t, c.Nodes, active, idle)
	w.mustReceive()
	stop := w.startMoving(5 * time.Millisecond)
	node := w.subscribedAt(c.Nodes)
	before := slices.Contains(c.Masters(), node)
	node.Kill()
	took := await(t, "another node is subscribed", time.Minute, func() bool { return w.subscribedAt(c.Nodes) != nil })
	t.Logf("another node is subscribed after %v", took.Round(time.Millisecond))
	c.AwaitHealthy(time.Minute)
	time.Sleep(time.Second)
	stop()
	w.mustAgree(!before)
	w.mustReceive()
}

// The subscribed node hangs, and works again as a replica of the one that was elected in
// its place. The connection works all the time.
func TestWatch_nodePaused(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	active, idle := pair(c)
	w := newWatched(t, c.Nodes, active, idle)
	w.mustReceive()
	stop := w.startMoving(5 * time.Millisecond)
	node := w.subscribedAt(c.Nodes)
	node.Pause()
	time.Sleep(12 * time.Second)
	node.Resume()
	c.AwaitHealthy(time.Minute)
	time.Sleep(time.Second)
	stop()
	w.mustAgree(false)
	w.mustReceive()
}

// The subscribed node hangs for good: the subscription is given up.
func TestWatch_nodeHangs(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	active, idle := pair(c)
	w := newWatched(t, c.Nodes, active, idle)
	stop := w.startMoving(5 * time.Millisecond)
	node := w.subscribedAt(c.Nodes)
	node.Pause()
	took := await(t, "another node is subscribed", 2*time.Minute, func() bool {
		others := slices.DeleteFunc(slices.Clone(c.Nodes), func(n *servers.Node) bool { return n == node })
		return w.subscribedAt(others) != nil
	})
	t.Logf("another node is subscribed after %v", took.Round(time.Millisecond))
	stop()
	w.mustAgree(false)
	w.mustReceive()
	node.Resume()
}

// The subscribed node stalls for less than the node timeout: nothing fails over, and
// the others have dropped what they had for it.
func TestWatch_nodeStalls(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	active, idle := pair(c)
	w := newWatched(t, c.Nodes, active, idle)
	before := roles(c)
	stop := w.startMoving(5 * time.Millisecond)
	for range 3 {
		node := w.subscribedAt(c.Nodes)
		if node == nil { // it changes nodes at the moment
			continue
		}
		node.Pause()
		time.Sleep(servers.NodeTimeout * 7 / 10)
		node.Resume()
		time.Sleep(time.Second)
	}
	stop()
	c.AwaitHealthy(time.Minute)
	w.mustAgree(roles(c) == before)
	w.mustReceive()
}

// A failover that its master agrees to loses nothing, whatever node is subscribed.
func TestWatch_cleanFailover(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	active, idle := pair(c)
	w := newWatched(t, c.Nodes, active, idle)
	stop := w.startMoving(5 * time.Millisecond)
	for _, replica := range c.Nodes[3:] {
		c.Promote(replica)
	}
	time.Sleep(time.Second)
	stop()
	c.AwaitHealthy(time.Minute)
	w.mustAgree(true)
	w.mustReceive()
}

// Slots that move take their breakers' events along.
func TestWatch_slotMoves(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	active, idle := pair(c)
	w := newWatched(t, c.Nodes, active, idle)
	stop := w.startMoving(5 * time.Millisecond)
	f := &fleet{namespace: w.channel[:len(w.channel)-len(":events")]}
	for _, b := range w.idle[:6] {
		slot := f.slot(t, b.name)
		for _, to := range c.Masters() {
			c.MigrateSlot(slot, to)
		}
	}
	stop()
	w.mustAgree(true)
	w.mustReceive()
}

// The bus between the subscribed node and one master is cut: all nodes work, the
// connection too, and the events of that master are lost without a sign.
func TestWatch_busCut(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t, servers.BusProxied())
	active, idle := pair(c)
	w := newWatched(t, c.Nodes, active, idle)
	w.mustReceive()
	node := w.subscribedAt(c.Nodes)
	others := slices.DeleteFunc(c.Masters(), func(n *servers.Node) bool { return n == node })
	cut := others[0]
	c.CutBus(node, cut)
	for _, n := range c.Nodes {
		if !seesAllSlots(n) {
			t.Errorf("the cluster does not work, says %s", n.Addr())
		}
	}
	stop := w.startMoving(20 * time.Millisecond)
	time.Sleep(5 * time.Second)
	stop()
	w.mustAgree(true) // by reading
	// What was read shows that the subscription starves, so it is at another node now.
	await(t, "another node is subscribed", time.Minute, func() bool {
		stop := w.startMoving(20 * time.Millisecond)
		time.Sleep(2 * time.Second)
		stop()
		for _, f := range w.idle {
			_, _ = f.handle.Acquire(context.Background())
		}
		at := w.subscribedAt(c.Nodes)
		return at != nil && at != node
	})
	w.mustReceive()
	c.HealBus(node, cut)
	w.mustAgree(true)
}

// Sentinels promote the replica, and go-redis leaves the subscription at the old
// primary. Its own calls show the process that it starves.
func TestWatch_sentinelFailover(t *testing.T) {
	t.Parallel()
	watchSentinels(t, func(s *servers.SentinelOf) { s.Promote() })
}

// The same where the primary dies.
func TestWatch_sentinelKilled(t *testing.T) {
	t.Parallel()
	watchSentinels(t, func(s *servers.SentinelOf) {
		before := s.Primary()
		before.Kill()
		await(t, "the sentinels have replaced the primary", time.Minute, func() bool { return s.Primary() != before })
	})
}

func watchSentinels(t *testing.T, failOver func(*servers.SentinelOf)) {
	s := servers.Sentinel(t)
	w := newWatched(t, s.Data, s.Client(nil), s.Client(nil))
	w.mustReceive()
	stop := w.startMoving(5 * time.Millisecond)
	failOver(s)
	primary := s.Primary()
	await(t, "commands reach the new primary", time.Minute, func() bool {
		_, err := w.moved[0].Control(context.Background(), engine.Command{Action: engine.ActionTrip})
		return err == nil && primary.Info("commandstats")["cmdstat_evalsha"] != ""
	})
	took := await(t, "the new primary is subscribed", time.Minute, func() bool {
		for _, f := range w.idle {
			_, _ = f.handle.Acquire(context.Background())
		}
		return w.subscribedAt([]*servers.Node{primary}) != nil
	})
	t.Logf("the new primary is subscribed %v after commands reach it", took.Round(time.Millisecond))
	stop()
	w.mustAgree(false)
	w.mustReceive()
}

// A single server hangs for 12 s: a ping waits for its answer, and the subscription
// goes on.
func TestWatch_serverPaused(t *testing.T) {
	t.Parallel()
	n := servers.Standalone(t, servers.Args("--maxclients", "1000")) // an argument makes it a private server
	w := newWatched(t, []*servers.Node{n}, n.Client(nil), n.Client(nil))
	stop := w.startMoving(5 * time.Millisecond)
	n.Pause()
	time.Sleep(12 * time.Second)
	n.Resume()
	time.Sleep(time.Second)
	stop()
	w.mustAgree(true)
	w.mustReceive()
}

// Killed subscriptions come back, and what happened meanwhile is read.
func TestWatch_subscribersKilled(t *testing.T) {
	t.Parallel()
	n := servers.Standalone(t, servers.Args("--maxclients", "1000"))
	w := newWatched(t, []*servers.Node{n}, n.Client(nil), n.Client(nil))
	stop := w.startMoving(time.Millisecond)
	for range 50 {
		n.Do("client", "kill", "type", "pubsub")
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	w.mustAgree(true)
	w.mustReceive()
}
