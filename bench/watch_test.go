package bench

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage"
)

// floodScript publishes ARGV[2] events of the key ARGV[1] on the channel KEYS[1], each
// of which follows the one before it, from the epoch ARGV[3] on.
const floodScript = `
local epoch = ARGV[3] + 0
for i = 1, ARGV[2] do
  redis.call('PUBLISH', KEYS[1], string.format('%s %d %d %d 1795502821113 closed>open operator by=bench', ARGV[1], epoch, i, epoch + 1))
  epoch = epoch + 1
end
return epoch`

// BenchmarkWatchReceive measures the processor time and the allocations of this process
// for each event of a breaker that it follows, or does not follow: at full rate, and
// at 10 000 events/s.
func BenchmarkWatchReceive(b *testing.B) {
	for _, followed := range []bool{true, false} {
		key := map[bool]string{true: "followed", false: "other"}[followed]
		b.Run("key="+key+"/rate=full", func(b *testing.B) { receiveFlood(b, followed, 0) })
		b.Run("key="+key+"/rate=10000", func(b *testing.B) { receiveFlood(b, followed, 100*time.Millisecond) })
	}
}

const floodSize = 1000

// repeats is how often a cheap benchmark of this suite measures within one operation. The
// suite runs one operation of each benchmark in a round, because others take many seconds.
const repeats = 5

func receiveFlood(b *testing.B, followed bool, pause time.Duration) {
	s := startWatchRedis(b)
	rdb := s.servers[0].Client()
	ns := redistest.Namespace(b)
	keys, err := cluster.New(ns)
	must(b, err)
	key, err := keys.Key(tripped)
	must(b, err)
	var received atomic.Int64
	h, err := s.open(b, ns, storage.WithWatch()).Bind(tripped, tripsAtOnce, func(e engine.Event) {
		if e.Kind == engine.EventTransition {
			received.Add(1)
		}
	})
	must(b, err)
	resetBreaker(b, h)
	awaitTrue(b, "a subscription", func() bool { return s.subscribedNode(b, keys.Channel()) != nil })
	snapshot, err := s.open(b, ns).Inspect(ctx, tripped)
	must(b, err)
	awaitTrue(b, "a baseline", func() bool { return received.Load() > 0 })
	time.Sleep(time.Second) // polls of the record, which has none of the events, end
	next, subject := snapshot.Epoch, key
	if !followed {
		subject = strings.Replace(key, tripped, "another", 1)
	}
	flood := func(subject string, n int, from int64) int64 {
		epoch, err := rdb.Eval(ctx, floodScript, []string{keys.Channel()}, subject, n, from).Int64()
		must(b, err)
		return epoch
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	spent := processorTime()
	b.ResetTimer()
	for range repeats * b.N {
		last := received.Load()
		if followed {
			next = flood(subject, floodSize, next)
			awaitTrue(b, "all events", func() bool { return received.Load() == last+floodSize })
		} else {
			flood(subject, floodSize, 1<<40)
			next = flood(key, 1, next) // behind the others
			awaitTrue(b, "all events", func() bool { return received.Load() > last })
		}
		time.Sleep(pause)
	}
	b.StopTimer()
	spent = processorTime() - spent
	runtime.ReadMemStats(&after)
	events := float64(repeats * b.N * floodSize)
	each := float64(spent.Nanoseconds()) / events
	b.ReportMetric(each, "cpu-ns/event")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/events, "allocs/event")
	if pause > 0 {
		b.ReportMetric(each*10_000/1e9*100, "core-%")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkWatchFootprint measures what a storage that watches takes more than one that
// does not: of heap, goroutines, connections and of the server's memory, and the heap
// of each breaker that it follows.
func BenchmarkWatchFootprint(b *testing.B) {
	const storages, breakers = 50, 10_000
	rdb := redistest.Start(b).Client()
	addr := rdb.Options().Addr
	type usage struct{ heap, goroutines, connections, server int64 }
	measure := func() usage {
		info, err := rdb.Info(ctx, "clients", "memory").Result()
		must(b, err)
		return usage{heap(), int64(runtime.NumGoroutine()), int64(field(info, "connected_clients:")), int64(field(info, "used_memory:"))}
	}
	var closers []io.Closer
	// open opens storages, each over a client of its own, and follows a breaker with each.
	// A pool has one connection: how many of its commands coincide is chance.
	open := func(n int, opts ...storage.Option) (list []any) {
		for range n {
			client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, PoolTimeout: ample})
			store, err := storage.NewRedis(client, append(opts, storage.WithNamespace("bench"), storage.WithTimeout(ample))...)
			must(b, err)
			closers = append(closers, store, client)
			h, err := store.Bind(tripped, tripsAtOnce, nil)
			must(b, err)
			awaitTrue(b, "a baseline", func() bool { return len(opts) == 0 || h.Status().Age >= 0 })
			_, err = h.Acquire(ctx)
			must(b, err)
			list = append(list, store, h)
		}
		return list
	}
	settle := func(subscribers int64) {
		awaitTrue(b, "the subscriptions", func() bool {
			counts, err := rdb.PubSubNumSub(ctx, "bench:events").Result()
			must(b, err)
			return counts["bench:events"] == subscribers
		})
		time.Sleep(5 * time.Second) // polls and the index
	}
	for range b.N {
		kept := open(1) // loads scripts and makes the record
		settle(0)
		before := measure()
		kept = append(kept, open(storages)...)
		settle(0)
		plain := measure()
		kept = append(kept, open(storages, storage.WithWatch())...)
		settle(storages)
		watched := measure()
		each := func(of func(usage) int64) float64 {
			return float64(of(watched)-of(plain)-(of(plain)-of(before))) / storages
		}
		b.ReportMetric(each(func(u usage) int64 { return u.heap }), "B/storage")
		b.ReportMetric(each(func(u usage) int64 { return u.goroutines }), "goroutines/storage")
		b.ReportMetric(each(func(u usage) int64 { return u.connections }), "connections/storage")
		b.ReportMetric(each(func(u usage) int64 { return u.server }), "B/subscriber")
		runtime.KeepAlive(kept)
		for _, c := range closers {
			_ = c.Close()
		}
		closers = nil
		makeRecords(b, addr, breakers)
		b.ReportMetric(heapOfHandles(b, addr, breakers, storage.WithWatch())-heapOfHandles(b, addr, breakers), "B/record")
	}
	b.ReportMetric(0, "ns/op")
}

// makeRecords makes the records of the breakers of heapOfHandles.
func makeRecords(b *testing.B, addr string, n int) {
	client := connect(addr)
	defer client.Close()
	store, err := storage.NewRedis(client, storage.WithNamespace("bench"), storage.WithTimeout(ample))
	must(b, err)
	defer store.Close()
	must(b, spread(n, func(i int) error {
		h, err := store.Bind(fmt.Sprint("breaker-", i), tripsAtOnce, nil)
		if err != nil {
			return err
		}
		_, err = h.Acquire(ctx)
		return err
	}))
}

// heapOfHandles returns the heap of each of n handles of a storage that were not used, of
// breakers that exist. What the storage takes itself, its connections included, is
// allocated before the measurement.
func heapOfHandles(b *testing.B, addr string, n int, opts ...storage.Option) float64 {
	client := connect(addr)
	defer client.Close()
	store, err := storage.NewRedis(client, append(opts, storage.WithNamespace("bench"), storage.WithTimeout(ample))...)
	must(b, err)
	defer store.Close()
	handles := make([]engine.Handle, 0, n)
	bindNext := func() {
		h, err := store.Bind(fmt.Sprint("breaker-", len(handles)), tripsAtOnce, nil)
		must(b, err)
		handles = append(handles, h)
	}
	// Heads are polled in no particular order.
	awaitBaselines := func() {
		awaitTrue(b, "each handle's baseline", func() bool {
			return len(opts) == 0 || !slices.ContainsFunc(handles, func(h engine.Handle) bool { return h.Status().Age < 0 })
		})
	}
	bindNext()
	_, err = handles[0].Acquire(ctx) // loads the script
	must(b, err)
	must(b, fill(ctx, client.(*redis.Client)))
	awaitBaselines()
	before := heap()
	for len(handles) < n {
		bindNext()
	}
	awaitBaselines()
	each := float64(heap()-before) / float64(n-1)
	runtime.KeepAlive(handles)
	return each
}

// BenchmarkWatchPoll measures the poll of 500 records after a subscription has come back:
// the server's time for each, and a pipeline of as many HGETs by itself.
func BenchmarkWatchPoll(b *testing.B) {
	const records = 500
	s := startWatchRedis(b)
	rdb := s.servers[0].Client()
	ns := redistest.Namespace(b)
	keys, err := cluster.New(ns)
	must(b, err)
	active, watched := s.open(b, ns), s.open(b, ns, storage.WithWatch())
	var names []string
	for i := range records {
		h, err := active.Bind(fmt.Sprint(i), tripsAtOnce, nil)
		must(b, err)
		_, err = h.Acquire(ctx)
		must(b, err)
		_, err = watched.Bind(fmt.Sprint(i), tripsAtOnce, nil)
		must(b, err)
		key, err := keys.Key(fmt.Sprint(i))
		must(b, err)
		names = append(names, key)
	}
	awaitTrue(b, "a subscription", func() bool { return s.subscribedNode(b, keys.Channel()) != nil })
	time.Sleep(3 * time.Second) // the first polls
	pipeline := time.Duration(1 << 62)
	var polls work
	for range repeats * b.N {
		start := time.Now()
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range names {
				p.HGet(ctx, key, "head")
			}
			return nil
		})
		pipeline = min(pipeline, time.Since(start))
		must(b, err)
		before := commandWork(b, rdb, "hget")
		must(b, rdb.Do(ctx, "client", "kill", "type", "pubsub").Err())
		awaitTrue(b, "the polls", func() bool { return commandWork(b, rdb, "hget").calls >= before.calls+records })
		polls = commandWork(b, rdb, "hget").since(before)
	}
	b.ReportMetric(float64(pipeline.Nanoseconds()), "pipeline-ns")
	b.ReportMetric(polls.micros/polls.calls, "server-us/record")
	b.ReportMetric(0, "ns/op")
}

// commandWork returns the server's count and time of one command so far.
func commandWork(b *testing.B, rdb *redis.Client, command string) work {
	b.Helper()
	info, err := rdb.Info(ctx, "commandstats").Result()
	must(b, err)
	_, stat, _ := strings.Cut(info, "cmdstat_"+command+":")
	return work{field(stat, "calls="), field(stat, "usec=")}
}

// BenchmarkWatchReturns measures how long a subscription is away after a fault: killed
// by the server (cut), at a node of a cluster that dies (node_killed), behind a network
// that swallows packets for 2 s, from its end on (black_hole), and after a failover by
// sentinels, from the first command at the new primary on (failover).
func BenchmarkWatchReturns(b *testing.B) {
	b.Run("after=cut", returnsAfterCut)
	b.Run("after=node_killed", returnsAfterKill)
	b.Run("after=black_hole", returnsAfterBlackHole)
	b.Run("after=failover", returnsAfterFailover)
}

// watchOne makes a storage that watches a breaker.
func watchOne(b *testing.B, s *watchSite, ns string, client redis.UniversalClient) engine.Handle {
	b.Helper()
	store, err := storage.NewRedis(client, storage.WithNamespace(ns), storage.WithWatch())
	must(b, err)
	b.Cleanup(func() { _ = store.Close() })
	h, err := store.Bind(tripped, tripsAtOnce, nil)
	must(b, err)
	if s != nil {
		awaitTrue(b, "a subscription", func() bool { return s.subscribedNode(b, ns+":events") != nil })
	}
	return h
}

func reportAway(b *testing.B, away time.Duration) {
	b.ReportMetric(float64(away.Nanoseconds())/float64(b.N), "away-ns")
	b.ReportMetric(0, "ns/op")
}

func returnsAfterCut(b *testing.B) {
	s := startWatchRedis(b)
	ns := redistest.Namespace(b)
	watchOne(b, s, ns, s.client())
	rdb := s.servers[0].Client()
	away := time.Duration(0)
	for range repeats * b.N {
		must(b, rdb.Do(ctx, "client", "kill", "type", "pubsub").Err())
		start := time.Now()
		awaitTrue(b, "a subscription", func() bool { return s.subscribedNode(b, ns+":events") != nil })
		away += time.Since(start)
	}
	reportAway(b, away/repeats)
}

func returnsAfterKill(b *testing.B) {
	away := time.Duration(0)
	for range b.N {
		s := startWatchCluster(b)
		ns := redistest.Namespace(b)
		watchOne(b, s, ns, s.client())
		addr := s.subscribedNode(b, ns+":events").Options().Addr
		rest := &watchSite{}
		for _, server := range s.servers {
			if server.Addr() == addr {
				server.Kill()
				continue
			}
			rest.servers = append(rest.servers, server)
		}
		start := time.Now()
		awaitTrue(b, "a subscription", func() bool { return rest.subscribedNode(b, ns+":events") != nil })
		away += time.Since(start)
	}
	reportAway(b, away)
}

func returnsAfterBlackHole(b *testing.B) {
	s := startWatchRedis(b)
	ns := redistest.Namespace(b)
	active, err := s.open(b, ns).Bind(tripped, tripsAtOnce, nil)
	must(b, err)
	resetBreaker(b, active)
	proxy := faultproxy.Start(b, s.servers[0].Addr())
	client := connect(proxy.Addr())
	b.Cleanup(func() { _ = client.Close() })
	idle := watchOne(b, s, ns, client)
	away := time.Duration(0)
	for range b.N {
		resetBreaker(b, active)
		awaitTrue(b, "the state", func() bool { return idle.Status().Age >= 0 && idle.Status().State == engine.StateClosed })
		proxy.Set(faultproxy.Blackhole())
		_, err := active.Control(ctx, engine.Command{Action: engine.ActionTrip})
		must(b, err)
		time.Sleep(2 * time.Second)
		proxy.Set(faultproxy.Pass())
		start := time.Now()
		awaitTrue(b, "the transition", func() bool { return idle.Status().State == engine.StateOpen })
		away += time.Since(start)
	}
	reportAway(b, away)
}

func returnsAfterFailover(b *testing.B) {
	away := time.Duration(0)
	for range b.N {
		away += failOver(b)
	}
	reportAway(b, away)
}

// failOver makes sentinels replace a primary and returns how long the subscription was
// away. It leaves nothing behind that would work beside the next failover.
func failOver(b *testing.B) time.Duration {
	primary, replica := redistest.Start(b), redistest.Start(b)
	host, port, _ := strings.Cut(primary.Addr(), ":")
	must(b, replica.Admin().ReplicaOf(ctx, host, port).Err())
	says := func(section, text string) bool {
		return strings.Contains(replica.Admin().Info(ctx, section).Val(), text)
	}
	awaitTrue(b, "the replica", func() bool { return says("replication", "master_link_status:up") })
	sentinel := redistest.StartSentinel(b, fmt.Sprintf("sentinel monitor fleet %s %s 1\nsentinel down-after-milliseconds fleet 2000\n", host, port))
	for _, s := range []*redistest.Server{primary, replica, sentinel} {
		defer s.Kill()
	}
	client := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "fleet", SentinelAddrs: []string{sentinel.Addr()}})
	defer client.Close()
	ns := redistest.Namespace(b)
	h := watchOne(b, newWatchSite(b, primary), ns, client)
	admin := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr()})
	defer admin.Close()
	awaitTrue(b, "the failover", func() bool { return admin.Failover(ctx, "fleet").Err() == nil })
	awaitTrue(b, "the new primary", func() bool {
		_, _ = h.Control(ctx, engine.Command{Action: engine.ActionTrip})
		return says("replication", "role:master") && says("commandstats", "cmdstat_evalsha")
	})
	start := time.Now()
	after := newWatchSite(b, replica)
	awaitTrue(b, "the subscription", func() bool {
		_, _ = h.Control(ctx, engine.Command{Action: engine.ActionTrip})
		return after.subscribedNode(b, ns+":events") != nil
	})
	return time.Since(start)
}

// BenchmarkWatchClose measures Close while the network swallows packets, against the
// time bound of the storage.
func BenchmarkWatchClose(b *testing.B) {
	s := startWatchRedis(b)
	took := time.Duration(0)
	for range repeats * b.N {
		proxy := faultproxy.Start(b, s.servers[0].Addr())
		client := connect(proxy.Addr())
		b.Cleanup(func() { _ = client.Close() })
		ns := redistest.Namespace(b)
		store, err := storage.NewRedis(client, storage.WithNamespace(ns), storage.WithWatch())
		must(b, err)
		_, err = store.Bind(tripped, tripsAtOnce, nil)
		must(b, err)
		awaitTrue(b, "a subscription", func() bool { return s.subscribedNode(b, ns+":events") != nil })
		time.Sleep(100 * time.Millisecond) // the first poll ends
		proxy.Set(faultproxy.Blackhole())
		start := time.Now()
		must(b, store.Close())
		took = max(took, time.Since(start))
		proxy.Set(faultproxy.Pass())
	}
	b.ReportMetric(float64(took.Nanoseconds()), "close-ns")
	b.ReportMetric(float64(took)/float64(storage.DefaultTimeout), "x-timeout")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkListing measures the index with 10 000 breakers: entering them, the server's
// time for each, listing them, and the server's longest command of that.
func BenchmarkListing(b *testing.B) {
	const breakers = 10_000
	s := startWatchRedis(b)
	rdb := s.servers[0].Client()
	ns := redistest.Namespace(b)
	keys, err := cluster.New(ns)
	must(b, err)
	parts := map[int][]string{}
	for i := range breakers {
		key, err := keys.Key(fmt.Sprint("breaker-", i))
		must(b, err)
		member, part, _ := keys.IndexMember(key)
		parts[part] = append(parts[part], member)
	}
	must(b, rdb.ScriptLoad(ctx, scripts.Enrol.Source).Err())
	must(b, rdb.ConfigSet(ctx, "slowlog-log-slower-than", "0").Err())
	must(b, rdb.ConfigSet(ctx, "slowlog-max-len", "1000").Err())
	store := s.open(b, ns)
	enrol, list := time.Duration(1<<62), time.Duration(1<<62)
	var spent work
	longest := time.Duration(0)
	for range repeats * b.N {
		before := commandWork(b, rdb, "evalsha")
		start := time.Now()
		for part, members := range parts {
			for len(members) > 0 {
				n := min(len(members), scripts.MaxEnrolled)
				must(b, rdb.EvalSha(ctx, scripts.Enrol.SHA, []string{keys.IndexKey(part)}, scripts.EnrolArgs(1e9, members[:n])...).Err())
				members = members[n:]
			}
		}
		enrol = min(enrol, time.Since(start))
		spent = commandWork(b, rdb, "evalsha").since(before)
		must(b, rdb.Do(ctx, "slowlog", "reset").Err())
		start = time.Now()
		found := 0
		for _, err := range store.Names(ctx) {
			must(b, err)
			found++
		}
		list = min(list, time.Since(start))
		if found != breakers {
			b.Fatalf("%d breakers are listed", found)
		}
		slow, err := rdb.SlowLogGet(ctx, -1).Result()
		must(b, err)
		longest = 0
		for _, command := range slow {
			longest = max(longest, command.Duration)
		}
	}
	b.ReportMetric(float64(enrol.Nanoseconds()), "enrol-ns")
	b.ReportMetric(spent.micros/breakers, "server-us/name")
	b.ReportMetric(float64(list.Nanoseconds()), "list-ns")
	b.ReportMetric(float64(longest.Nanoseconds()), "longest-ns")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkWatchFleet measures steps of a lone caller beside 300 subscribers: with 1000
// events/s, against none. x-quiet is the ratio of the 99th percentiles. The events come
// 10 at a time from a connection of their own, at times that have nothing to do with
// those of the steps.
//
// server-core-% and harness-core-% are the processor time of the server and of this
// process meanwhile: what the drains of the subscribers take, they take from the server.
// x-quiet-together is the ratio if all events of a second come at once: then they
// share the writes to the subscribers.
func BenchmarkWatchFleet(b *testing.B) {
	const subscribers, steps = 300, 1000
	s := startWatchRedis(b)
	rdb := s.servers[0].Admin()
	lone := &site{client: s.client()}
	load(b, lone.client)
	step := newPlain(b, lone)
	for range subscribers {
		startDrain(b, s.servers[0].Addr(), "bench:events")
	}
	awaitTrue(b, "the subscribers", func() bool {
		counts, err := rdb.PubSubNumSub(ctx, "bench:events").Result()
		must(b, err)
		return counts["bench:events"] == subscribers
	})
	measure := func() time.Duration {
		var took []time.Duration
		for range steps * b.N {
			took = append(took, timed(b, step.acquire))
			time.Sleep(time.Millisecond)
		}
		return quantile(took, 0.99)
	}
	quiet := measure()
	endTogether := publishBursts(b, rdb, 1000, time.Second)
	together := measure()
	endTogether()
	end := publishBursts(b, rdb, 10, 10*time.Millisecond)
	start, server, harness := time.Now(), serverTime(b, rdb), processorTime()
	busy := measure()
	share := func(spent time.Duration) float64 { return 100 * float64(spent) / float64(time.Since(start)) }
	b.ReportMetric(share(serverTime(b, rdb)-server), "server-core-%")
	b.ReportMetric(share(processorTime()-harness), "harness-core-%")
	end()
	b.ReportMetric(float64(quiet.Nanoseconds()), "quiet-p99-ns")
	b.ReportMetric(float64(busy.Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(busy)/float64(quiet), "x-quiet")
	b.ReportMetric(float64(together)/float64(quiet), "x-quiet-together")
	b.ReportMetric(0, "ns/op")
}

// publishBursts publishes n events at each interval until end is called.
func publishBursts(b *testing.B, rdb *redis.Client, n int, interval time.Duration) (end func()) {
	stop, ended := make(chan struct{}), make(chan error)
	go func() {
		// A burst that comes late is not made up for: it would come with the next one.
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		var err error
		for err == nil {
			select {
			case <-stop:
				ended <- nil
				return
			case <-ticker.C:
			}
			_, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				for range n {
					p.Publish(ctx, "bench:events", bareEvent)
				}
				return nil
			})
		}
		<-stop
		ended <- err
	}()
	return func() {
		close(stop)
		must(b, <-ended)
	}
}

// serverTime returns the processor time that the server's main thread has taken so far.
func serverTime(b *testing.B, rdb *redis.Client) time.Duration {
	b.Helper()
	info, err := rdb.Info(ctx, "cpu").Result()
	must(b, err)
	return time.Duration((field(info, "used_cpu_sys:") + field(info, "used_cpu_user:")) * 1e9)
}

// startDrain subscribes with a bare connection and discards what arrives, many messages
// at a time: the subscribers' own work must not take the processor from the server.
func startDrain(b *testing.B, addr, channel string) {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	must(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "SUBSCRIBE %s\r\n", channel)
	must(b, err)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
}
