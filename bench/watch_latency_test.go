package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage"
)

// tripsAtOnce opens on the first failure and stays open longer than a benchmark.
var tripsAtOnce = engine.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}

// BenchmarkWatchLatency measures how long it takes until another process has a trip,
// from before the report that makes it until its hook would run. Its floors take turns
// with it, each from before its command until a plain subscriber has the message:
//
//	publish   PUBLISH of an event of the same length
//	evalsha   EVALSHA of a script that only publishes it
//	step      EVALSHA of the same step, without a storage on either side
func BenchmarkWatchLatency(b *testing.B) {
	b.Run("storage=redis", func(b *testing.B) { measureTrips(b, startWatchRedis(b)) })
	b.Run("storage=cluster", func(b *testing.B) { measureTrips(b, startWatchCluster(b)) })
}

// watchSite is a server or a cluster of the benchmark alone.
type watchSite struct {
	client  func() redis.UniversalClient
	servers []*redistest.Server
}

func startWatchRedis(b *testing.B) *watchSite {
	b.Helper()
	return newWatchSite(b, redistest.Start(b))
}

func startWatchCluster(b *testing.B) *watchSite {
	b.Helper()
	return newWatchSite(b, redistest.StartCluster(b, 3)...)
}

func newWatchSite(b *testing.B, servers ...*redistest.Server) *watchSite {
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr()
	}
	return &watchSite{servers: servers, client: func() redis.UniversalClient {
		c := connect(addrs...)
		b.Cleanup(func() { _ = c.Close() })
		return c
	}}
}

// open returns a storage of a process of its own.
func (s *watchSite) open(b *testing.B, namespace string, opts ...storage.Option) *storage.Redis {
	b.Helper()
	store, err := storage.NewRedis(s.client(), append(opts, storage.WithNamespace(namespace), storage.WithTimeout(ample))...)
	must(b, err)
	b.Cleanup(func() { _ = store.Close() })
	return store
}

// subscribedNode returns a client of the server at which the channel is subscribed; nil
// if at none.
func (s *watchSite) subscribedNode(b *testing.B, channel string) *redis.Client {
	b.Helper()
	for _, server := range s.servers {
		client := server.Admin()
		counts, err := client.PubSubNumSub(ctx, channel).Result()
		must(b, err)
		if counts[channel] > 0 {
			return client
		}
	}
	return nil
}

// masterOf returns a client of the server that has the key.
func (s *watchSite) masterOf(b *testing.B, key string) *redis.Client {
	b.Helper()
	for _, server := range s.servers {
		client := server.Admin()
		if client.Get(ctx, key).Err() == redis.Nil {
			return client
		}
	}
	b.Fatalf("no server has %s", key)
	return nil
}

const tripped = "payments"

func measureTrips(b *testing.B, s *watchSite) {
	watched := newWatchedTrip(b, s)
	floors := newTripFloors(b, s, watched.channel)
	var seen, published, evaluated, stepped []time.Duration
	b.ResetTimer()
	for range b.N {
		seen = append(seen, watched.measure(b))
		published = append(published, floors.publish(b))
		evaluated = append(evaluated, floors.evalsha(b))
		stepped = append(stepped, floors.step(b))
	}
	b.StopTimer()
	for _, q := range []struct {
		name  string
		share float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		got := quantile(seen, q.share)
		b.ReportMetric(float64(got.Nanoseconds()), q.name+"-ns")
		for name, list := range map[string][]time.Duration{"publish": published, "evalsha": evaluated, "step": stepped} {
			b.ReportMetric(float64(got)/float64(quantile(list, q.share)), "x-"+q.name+"-"+name)
		}
	}
	b.ReportMetric(0, "ns/op") // the time of all together means nothing
}

func quantile(list []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[int(share*float64(len(sorted)-1))]
}

// watchedTrip makes trips that another process watches.
type watchedTrip struct {
	channel   string
	active    engine.Handle
	delivered chan engine.State
}

func newWatchedTrip(b *testing.B, s *watchSite) *watchedTrip {
	b.Helper()
	ns := redistest.Namespace(b)
	w := &watchedTrip{channel: ns + ":events", delivered: make(chan engine.State, 16)}
	var err error
	w.active, err = s.open(b, ns).Bind(tripped, tripsAtOnce, nil)
	must(b, err)
	resetBreaker(b, w.active)
	idle, err := s.open(b, ns, storage.WithWatch()).Bind(tripped, tripsAtOnce, func(e engine.Event) {
		if e.Kind == engine.EventTransition {
			w.delivered <- e.Transition.To
		}
	})
	must(b, err)
	awaitTrue(b, "a baseline", func() bool { return idle.Status().Age >= 0 })
	awaitTrue(b, "a subscription", func() bool { return s.subscribedNode(b, w.channel) != nil })
	return w
}

func (w *watchedTrip) measure(b *testing.B) time.Duration {
	resetBreaker(b, w.active)
	<-w.delivered
	ticket, err := w.active.Acquire(ctx)
	must(b, err)
	start := time.Now()
	_, err = w.active.Report(ctx, ticket, engine.Failure, 0, nil)
	for to := engine.StateClosed; to != engine.StateOpen; {
		to = <-w.delivered
	}
	took := time.Since(start)
	must(b, err)
	return took
}

func resetBreaker(b *testing.B, h engine.Handle) {
	b.Helper()
	_, err := h.Control(ctx, engine.Command{Action: engine.ActionReset})
	must(b, err)
}

func awaitTrue(b *testing.B, what string, ok func() bool) {
	b.Helper()
	for deadline := time.Now().Add(ample); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("timed out: %s", what)
		}
	}
}

// tripFloors are a plain client and a plain subscriber at the servers where the storage
// has its own.
type tripFloors struct {
	key, channel string
	master       *redis.Client // of the key
	events, bare *redis.PubSub
	helper       engine.Handle // prepares the record of step
	rules        engine.Rules
	publisher    string // a script
}

const bareEvent = " 1838974768991048 7 1838974768995000 1795502821113 closed>open consecutive for=3600000 streak=1 calls=0 failures=0 slow=0 by=-"

func newTripFloors(b *testing.B, s *watchSite, watchedChannel string) *tripFloors {
	b.Helper()
	ns := redistest.Namespace(b)
	keys, err := cluster.New(ns)
	must(b, err)
	f := &tripFloors{channel: ns + ":bare"}
	f.key, err = keys.Key(tripped)
	must(b, err)
	f.master = s.masterOf(b, f.key)
	at := s.subscribedNode(b, watchedChannel)
	f.events, f.bare = subscribePlain(b, at, keys.Channel()), subscribePlain(b, at, f.channel)
	f.rules, err = tripsAtOnce.Rules()
	must(b, err)
	f.helper, err = s.open(b, ns).Bind(tripped, tripsAtOnce, nil)
	must(b, err)
	f.publisher, err = f.master.ScriptLoad(ctx, "return redis.call('PUBLISH', ARGV[1], ARGV[2])").Result()
	must(b, err)
	must(b, f.master.ScriptLoad(ctx, scripts.Step.Source).Err())
	return f
}

func subscribePlain(b *testing.B, at *redis.Client, channel string) *redis.PubSub {
	b.Helper()
	ps := at.Subscribe(ctx, channel)
	b.Cleanup(func() { _ = ps.Close() })
	_, err := ps.Receive(ctx)
	must(b, err)
	return ps
}

// receive waits until a message holds the text.
func receive(b *testing.B, ps *redis.PubSub, text string) {
	for {
		m, err := ps.ReceiveMessage(ctx)
		must(b, err)
		if strings.Contains(m.Payload, text) {
			return
		}
	}
}

func (f *tripFloors) publish(b *testing.B) time.Duration {
	start := time.Now()
	err := f.master.Publish(ctx, f.channel, f.key+bareEvent).Err()
	receive(b, f.bare, bareEvent)
	took := time.Since(start)
	must(b, err)
	return took
}

func (f *tripFloors) evalsha(b *testing.B) time.Duration {
	start := time.Now()
	err := f.master.EvalSha(ctx, f.publisher, []string{f.key}, f.channel, f.key+bareEvent).Err()
	receive(b, f.bare, bareEvent)
	took := time.Since(start)
	must(b, err)
	return took
}

func (f *tripFloors) step(b *testing.B) time.Duration {
	resetBreaker(b, f.helper)
	ticket, err := f.helper.Acquire(context.Background())
	must(b, err)
	args := scripts.StepArgs(&f.rules, engine.Random(), engine.Batch{
		Results: []engine.Result{{Ticket: ticket, Runs: []engine.Run{{Outcome: engine.Failure, N: 1}}}}, Reporter: "bench",
	})
	epoch := fmt.Sprintf(" %d ", ticket.Epoch)
	// The bus of a cluster may hold back an event that closely follows another one.
	receive(b, f.events, epoch)
	start := time.Now()
	err = f.master.EvalSha(ctx, scripts.Step.SHA, []string{f.key}, args...).Err()
	receive(b, f.events, epoch) // the event names the epoch before
	took := time.Since(start)
	must(b, err)
	return took
}
