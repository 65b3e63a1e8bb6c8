package watch

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pingAfter is how long a subscription is silent before it is asked for a sign
	// of life, giveUpAfter how long before it is given up.
	pingAfter   = 10 * time.Second
	giveUpAfter = 20 * time.Second
	// confirmLimit is how long a server may take to confirm a subscription.
	confirmLimit = 5 * time.Second
	// A subscription that failed is made again after minBackoff, then after twice
	// as long each time, up to maxBackoff; one that was refused, after refusedPause.
	// The pauses grow until a subscription has lasted for lastingAfter: a server or proxy
	// may confirm each one and then end it.
	minBackoff   = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
	lastingAfter = 2 * time.Second
	refusedPause = 30 * time.Second
)

// subscription keeps one channel of one server subscribed. Its goroutine reads
// with PubSub.Receive without a timeout: a read that times out may end within a
// frame, and PubSub.Channel hides failures and drops messages. A connection that
// is silent is found out by pings, see keepAlive.
type subscription struct {
	channel string
	// subscribe returns a PubSub on the channel, and the server's address if there
	// are several; avoid is the address that failed last.
	subscribe func(ctx context.Context, avoid string) (ps *redis.PubSub, addr string, err error)
	receive   func(payload string)
	becameUp  func() // each time the server has confirmed the subscription
	refused   func(err error)
	now       func() time.Duration
	spawn     func(func()) bool

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	// soundAt is when anything was received, upSince when the server confirmed the
	// subscription, 0 while it has not: both in ns since the start.
	soundAt, upSince atomic.Int64

	mu       sync.Mutex
	pubsub   *redis.PubSub // nil while there is none
	openedAt time.Duration
	pinged   time.Duration // the silence that was pinged already, by the time of its last sound
	dropped  *redis.PubSub // closed by dropConnection, not by the client
}

// refusedError wraps a server's refusal to subscribe.
type refusedError struct{ error }

// Unwrap returns the server's error.
func (e refusedError) Unwrap() error { return e.error }

// keepSubscribed keeps the channel subscribed until the subscription is closed, or the
// client.
func (s *subscription) keepSubscribed() {
	defer close(s.done)
	backoff, avoid := minBackoff, ""
	for s.ctx.Err() == nil {
		addr, lasted, err := s.runConnection(avoid)
		var refusal refusedError
		pause := backoff
		switch {
		case errors.Is(err, redis.ErrClosed):
			return // the client is closed
		case errors.As(err, &refusal):
			s.refused(refusal.error)
			pause = refusedPause
		case lasted: // a new failure, not one more of the same
			backoff, pause = minBackoff, minBackoff
		}
		// On a cluster the next attempt uses another node: this one may be dead, or cut off from
		// the bus that carries the events.
		avoid = addr
		s.sleepOrClose(pause)
		backoff = min(2*backoff, maxBackoff)
	}
}

// sleepOrClose waits, but not beyond the end of the subscription.
func (s *subscription) sleepOrClose(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// runConnection subscribes and reads until the connection is of no more use. lasted
// reports whether a subscription over it was confirmed and did not end at once.
func (s *subscription) runConnection(avoid string) (addr string, lasted bool, err error) {
	// go-redis dials within Subscribe. The limit is that of the dial alone: the PubSub
	// does not keep the context.
	ctx, cancel := context.WithTimeout(s.ctx, confirmLimit)
	ps, addr, err := s.subscribe(ctx, avoid)
	cancel()
	if err != nil {
		return addr, false, err
	}
	s.openConnection(ps)
	defer s.closeConnection(ps)
	// The first failure is left to go-redis, which has connected and subscribed again
	// when Receive returns it. A second one in a row means that this does not help: a
	// new PubSub asks the sentinels again, or goes to another node. A confirmation between
	// the two does not count, unless it lasted: go-redis connects again without a pause.
	for failures := 0; failures < 2; {
		message, err := ps.Receive(s.ctx)
		if s.hasLasted() {
			failures, lasted = 0, true
		}
		switch {
		case err == nil:
			s.soundAt.Store(int64(s.now()))
			s.takeMessage(message)
		case isAnswer(err): // even if it refuses
			s.soundAt.Store(int64(s.now()))
			// Before the confirmation it answers SUBSCRIBE. After it, it refuses a PING, and the
			// events still arrive.
			switch up := s.upSince.Load() != 0; {
			case !up && isRefusal(err):
				return addr, lasted, refusedError{err}
			case !up: // full of clients, or loading: another attempt may do
				return addr, lasted, err
			}
		case errors.Is(err, redis.ErrClosed) && s.wasDropped(ps):
			return addr, lasted, errDropped
		case errors.Is(err, redis.ErrClosed):
			return addr, lasted, err
		default: // go-redis has connected again already
			failures++
			s.upSince.Store(0)
		}
	}
	return addr, lasted, errDropped
}

// isAnswer reports whether the error came from the server, so that the connection works.
func isAnswer(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

// isRefusal reports whether the server will refuse the subscription until the
// user's rights or the server change.
func isRefusal(err error) bool {
	return redis.IsPermissionError(err) || redis.IsAuthError(err) || strings.Contains(err.Error(), "unknown command")
}

var errDropped = errors.New("the connection was given up")

// hasLasted reports whether the server has confirmed the subscription a while ago.
func (s *subscription) hasLasted() bool {
	up := time.Duration(s.upSince.Load())
	return up != 0 && s.now() >= up+lastingAfter
}

// takeMessage takes in a confirmation or an event.
func (s *subscription) takeMessage(message any) {
	switch m := message.(type) {
	case *redis.Subscription:
		if m.Kind == "subscribe" {
			// Once per connection: go-redis subscribes again by itself after it has reconnected,
			// and each gap may have lost events.
			s.upSince.Store(int64(s.now()))
			s.becameUp()
		}
	case *redis.Message:
		s.receive(m.Payload)
	}
}

// openConnection registers a PubSub, so that it can be pinged and dropped. The time
// without a sign of life begins here.
func (s *subscription) openConnection(ps *redis.PubSub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pubsub, s.openedAt, s.pinged = ps, s.now(), 0
	s.soundAt.Store(int64(s.openedAt))
	if s.ctx.Err() != nil { // close came while there was no connection
		s.dropConnectionLocked()
	}
}

// closeConnection forgets a PubSub and closes it. From now on until the next
// confirmation nothing is received: the transitions of that time are no signs of a
// starved subscription, since upSince is 0.
func (s *subscription) closeConnection(ps *redis.PubSub) {
	s.upSince.Store(0)
	s.mu.Lock()
	s.pubsub = nil
	s.mu.Unlock()
	go func() { _ = ps.Close() }() // it may wait for a lock under which go-redis dials
}

// wasDropped reports whether dropConnection closed the PubSub. Then its ErrClosed
// does not mean that the client is closed.
func (s *subscription) wasDropped(ps *redis.PubSub) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped == ps
}

// dropConnection makes keepSubscribed subscribe again, on a cluster at another node.
func (s *subscription) dropConnection() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropConnectionLocked()
}

// dropConnectionLocked closes the PubSub that is in use, once. The reader then gets
// an error and subscribes again.
func (s *subscription) dropConnectionLocked() {
	if ps := s.pubsub; ps != nil && s.dropped != ps {
		s.dropped = ps
		go func() { _ = ps.Close() }()
	}
}

// keepAlive pings a connection that is silent, and gives up one that stays silent. It
// returns when it has to be called next.
func (s *subscription) keepAlive(now time.Duration) (next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pubsub == nil {
		return now + pingAfter
	}
	// Anything that was received counts as a sign of life, not the answer to this ping
	// in particular: servers answer in different forms, and may refuse PING.
	sound := time.Duration(s.soundAt.Load())
	switch {
	case s.upSince.Load() == 0 && now >= s.openedAt+confirmLimit, now >= sound+giveUpAfter:
		s.dropConnectionLocked()
		return now + pingAfter
	case s.upSince.Load() == 0:
		return s.openedAt + confirmLimit
	case now < sound+pingAfter:
		return sound + pingAfter
	case s.pinged != sound:
		// One ping for each silence. PubSub.Ping takes the lock under which go-redis dials, so
		// it runs in a goroutine: the tick must not wait for a dial.
		s.pinged = sound
		ps := s.pubsub
		s.spawn(func() { _ = ps.Ping(s.ctx) })
	}
	return sound + giveUpAfter
}

// endSubscription ends the subscription; done is closed when its goroutine has ended.
func (s *subscription) endSubscription() {
	s.cancel()
	s.dropConnection()
}

// subscribeTo returns how to subscribe to a channel over the client. It takes a
// node of a cluster at random: ClusterClient.Subscribe would take the same one in
// all processes, which would do the work for all of them.
func subscribeTo(client redis.UniversalClient, channel string) func(context.Context, string) (*redis.PubSub, string, error) {
	nodes, ok := client.(*redis.ClusterClient)
	if !ok {
		return func(ctx context.Context, _ string) (*redis.PubSub, string, error) {
			return client.Subscribe(ctx, channel), "", nil
		}
	}
	return func(ctx context.Context, avoid string) (*redis.PubSub, string, error) {
		node, err := pickNode(ctx, nodes, avoid)
		if err != nil {
			return nil, "", err
		}
		return node.Subscribe(ctx, channel), node.Options().Addr, nil
	}
}

// pickNode returns a node of the cluster at random, but avoid only if there is no
// other.
func pickNode(ctx context.Context, client *redis.ClusterClient, avoid string) (*redis.Client, error) {
	var mu sync.Mutex
	var all, others []*redis.Client
	err := client.ForEachShard(ctx, func(_ context.Context, node *redis.Client) error {
		// ForEachShard calls this from a goroutine for each node, and returns after all.
		mu.Lock()
		defer mu.Unlock()
		all = append(all, node)
		if node.Options().Addr != avoid {
			others = append(others, node)
		}
		return nil
	})
	if len(others) == 0 {
		others = all
	}
	if len(others) == 0 {
		return nil, errors.Join(errors.New("redbreaker: the cluster has no nodes"), err)
	}
	return others[rand.IntN(len(others))], nil
}
