package storage_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// watchAll runs Watch in a goroutine and returns its events and its end.
func watchAll(t testing.TB, s *storage.Redis) (*events, context.CancelFunc, <-chan error) {
	t.Helper()
	e := &events{}
	watching, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(watching, e.add) }()
	t.Cleanup(cancel)
	eventually(t, "the watch to be ready", func() bool { return e.of(engine.EventReady) == 1 })
	return e, cancel, ended
}

// transitionsOf returns the transitions of one breaker.
func (e *events) transitionsOf(name string) (list []engine.Transition) {
	for _, move := range e.transitions() {
		if move.Name == name {
			list = append(list, move)
		}
	}
	return list
}

// Watch delivers the transitions of listed breakers and of new ones, not those from
// before.
func TestWatchAll(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		for what, opts := range map[string][]storage.Option{"spread": nil, "colocated": {storage.WithColocation("tag")}} {
			active := newStorage(t, rdb, opts...)
			old, err := active.Bind("old"+what, opensAtOnce, nil)
			must(t, err)
			fails(t, old, 1)
			awaitNames(t, active, []string{"old" + what})
			e, cancel, ended := watchAll(t, newStorage(t, rdb, opts...))
			must(t, act(old, 1))
			long := strings.Repeat("x", 600)
			for _, n := range []string{"new" + what, long} {
				h, err := active.Bind(n, opensAtOnce, nil)
				must(t, err)
				fails(t, h, 1)
			}
			eventually(t, what+": all transitions", func() bool { return len(e.transitions()) == 5 })
			if list := e.transitionsOf("old" + what); len(list) != 1 || list[0].To != engine.StateClosed || list[0].Own {
				t.Errorf("%s: of the listed breaker: %+v", what, list)
			}
			if list := e.transitionsOf("new" + what); len(list) != 2 || list[0].Cause != engine.CauseCreated {
				t.Errorf("%s: of the new breaker: %+v", what, list)
			}
			for _, move := range e.transitions() {
				if move.Name == "" {
					t.Errorf("%s: a transition without a name: %+v", what, move)
				}
			}
			if e.list[0].Kind != engine.EventReady {
				t.Errorf("%s: the first event is %v", what, e.list[0].Kind)
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Watch ended with %v", what, err)
			}
		}
	})
}

// Events of an unknown breaker are verified: anyone may publish on the channel.
func TestWatchAll_forged(t *testing.T) {
	eachServer(t, func(t *testing.T, rdb *redis.Client) {
		h, _ := bind(t, newStorage(t, rdb), opensAtOnce)
		acquire(t, h)
		e, _, _ := watchAll(t, newStorage(t, rdb))
		for _, payload := range []string{
			key + " 7 2 8 9 closed>open operator", fleet + ":{absent} 0 1 8 9 closed>closed created",
			"other:{x} 0 1 8 9 closed>closed created", fleet + ":{#ping} 0 1 8 9 closed>closed created", "", strings.Repeat("x", 1<<20),
		} {
			must(t, rdb.Publish(ctx, fleet+":events", payload).Err())
		}
		must(t, act(h, 0))
		eventually(t, "the true transition", func() bool { return len(e.transitions()) > 0 })
		time.Sleep(200 * time.Millisecond)
		if list := e.transitions(); len(list) != 2 && len(list) != 1 || list[len(list)-1].To != engine.StateOpen {
			t.Errorf("delivered %+v", list)
		}
		if list := e.transitionsOf("absent"); len(list) > 0 {
			t.Errorf("a forged transition is delivered: %+v", list)
		}
	})
}

// A slow function does not hold the reader up; the events that are too many are
// counted.
func TestWatchAll_slow(t *testing.T) {
	const last = "last-of-all"
	m, rdb := redistest.Mini(t)
	arrived := make(chan struct{})
	s := newStorage(t, open(t, &redis.Options{Addr: m.Addr(), Dialer: dialNoticing(last, sync.OnceFunc(func() { close(arrived) }))}))
	active := newStorage(t, rdb)
	h, _ := bind(t, active, opensAtOnce)
	acquire(t, h)
	awaitNames(t, active, []string{name})
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	release := make(chan struct{})
	var got, dropped int
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Watch(watching, func(e engine.Event) {
			switch e.Kind {
			case engine.EventReady:
				close(ready)
				<-release
			case engine.EventTransition:
				got++
			case engine.EventDropped:
				dropped += e.Dropped
			}
			if e.Kind == engine.EventTransition && e.Transition.To == engine.StateOpen && e.Transition.Text == last {
				cancel()
			}
		})
	}()
	<-ready
	const moves = 5000
	for i := range moves {
		must(t, act(h, 1+i%2))
	}
	_, err := h.Control(ctx, engine.Command{Action: engine.ActionTrip, Reason: last})
	must(t, err)
	select {
	case <-arrived: // and all before it but the few that the client has buffered
	case <-time.After(time.Minute):
		t.Fatal("the last event does not arrive")
	}
	close(release)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if dropped == 0 || got > 4096 {
		t.Errorf("%d of %d transitions were delivered, %d dropped", got, moves, dropped)
	}
}

// dialNoticing returns a dialer whose connections call seen when they have read a text.
func dialNoticing(text string, seen func()) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &noticingConn{Conn: c, text: text, seen: seen}, err
	}
}

type noticingConn struct {
	net.Conn
	text string
	seen func()
	tail string // of what was read before, in which the text may begin
}

func (c *noticingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.tail += string(p[:n])
	if strings.Contains(c.tail, c.text) {
		c.seen()
	}
	c.tail = c.tail[max(0, len(c.tail)-len(c.text)):]
	return n, err
}

// Watch ends with its storage, and cannot begin where it may not subscribe.
func TestWatchAll_ends(t *testing.T) {
	server := redistest.Start(t)
	s := newStorage(t, server.Client())
	_, _, ended := watchAll(t, s)
	must(t, s.Close())
	if err := <-ended; !errors.Is(err, engine.ErrStopped) {
		t.Errorf("when the storage is closed, Watch ends with %v", err)
	}
	if err := s.Watch(ctx, func(engine.Event) {}); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("Watch of a closed storage: %v", err)
	}
	denied := newStorage(t, user(t, server.Addr(), viewerRights))
	var failed *engine.StorageError
	if err := denied.Watch(ctx, func(engine.Event) {}); !errors.As(err, &failed) || failed.Class != engine.ClassRefused {
		t.Errorf("Watch without the right: %v", err)
	}
}

// A viewer may watch with the documented rights.
func TestWatchAll_rights(t *testing.T) {
	server := redistest.Start(t)
	h, _ := bind(t, newStorage(t, server.Client()), opensAtOnce)
	acquire(t, h)
	e, _, _ := watchAll(t, newStorage(t, user(t, server.Addr(), viewerRights+" &fleet:* +hmget "+watchRights)))
	must(t, act(h, 0))
	eventually(t, "the transition", func() bool { return len(e.transitions()) > 0 })
}

// Many breakers are followed from where they are.
func TestWatchAll_many(t *testing.T) {
	_, rdb := redistest.Mini(t)
	// A breaker that is not listed yet is read when its first event arrives, and only 100
	// are in a second. The close of a storage lists those that commands used.
	commands, active := newStorage(t, rdb), newStorage(t, rdb)
	var handles []engine.Handle
	names := make([]string, 1500)
	for i := range names {
		names[i] = fmt.Sprintf("%04d", i)
		_, err := commands.Control(ctx, names[i], engine.Command{Action: engine.ActionReset})
		must(t, err)
		h, err := active.Bind(names[i], opensAtOnce, nil)
		must(t, err)
		handles = append(handles, h)
	}
	must(t, commands.Close())
	awaitNames(t, active, names)
	e, _, _ := watchAll(t, newStorage(t, rdb))
	for _, h := range handles {
		must(t, act(h, 0))
	}
	eventually(t, "all openings", func() bool {
		n := 0
		for _, move := range e.transitions() {
			if move.To == engine.StateOpen {
				n++
			}
		}
		return n == len(handles)
	})
}
