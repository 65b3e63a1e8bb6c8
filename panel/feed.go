package panel

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// All event streams share one Watch of the storage: a hundred browsers cost the storage
// as much as one. It starts with the first stream and ends a while after the last, so
// that turning pages does not start it each time.

const (
	// lingerTime is how long the Watch outlives the last stream.
	lingerTime = 30 * time.Second
	// maxStreams limits the streams of one panel, each of which holds a connection.
	maxStreams = 1000
	// maxQueued is how many events wait for a browser. One that is slower is disconnected,
	// and resumes from the logs.
	maxQueued = 256
)

// feed delivers the events of a storage to streams. It is safe for concurrent use.
type feed struct {
	storage engine.Storage
	fleet   *fleet
	closed  chan struct{} // closed by endStreams

	mu      sync.Mutex
	streams map[*stream]bool
	ready   *engine.Event      // the latest EventReady or EventPushLost
	stop    context.CancelFunc // of the Watch; nil while there is none
	linger  *time.Timer
	ended   bool
	watches sync.WaitGroup
}

// stream is the queue of one browser.
type stream struct {
	events chan engine.Event
	lost   chan struct{} // closed if the queue was full
}

func newFeed(s engine.Storage, f *fleet) *feed {
	return &feed{storage: s, fleet: f, closed: make(chan struct{}), streams: map[*stream]bool{}}
}

// openStream returns a stream of the events from now on, or an error if there are too
// many streams or the panel is closed. closeStream follows.
func (f *feed) openStream() (*stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil, engine.ErrStopped
	}
	if len(f.streams) >= maxStreams {
		return nil, &fault{503, "the panel has too many open pages, close some"}
	}
	s := &stream{events: make(chan engine.Event, maxQueued), lost: make(chan struct{})}
	f.streams[s] = true
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
	if f.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		f.stop = cancel
		f.watches.Add(1)
		go f.watchStorage(ctx)
	} else if f.ready != nil {
		s.events <- *f.ready
	}
	return s, nil
}

func (f *feed) closeStream(s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.streams, s)
	if len(f.streams) == 0 && f.stop != nil && !f.ended {
		f.linger = time.AfterFunc(lingerTime, f.stopUnused)
	}
}

// stopUnused ends the Watch if no stream was opened meanwhile.
func (f *feed) stopUnused() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.streams) == 0 && f.stop != nil {
		f.stop()
		f.stop, f.ready, f.linger = nil, nil, nil
	}
}

// closeFeed ends all streams and waits for the Watch until the context ends, whose error it
// returns then.
func (f *feed) closeFeed(ctx context.Context) error {
	f.endStreams()
	ended := make(chan struct{})
	go func() {
		f.watches.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endStreams ends all streams and the Watch, and waits for neither.
func (f *feed) endStreams() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.closed)
	}
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
	if f.linger != nil {
		f.linger.Stop()
	}
}

// watchStorage delivers events until the context ends. A storage that cannot deliver
// transitions is read.
func (f *feed) watchStorage(ctx context.Context) {
	defer f.watches.Done()
	deliver := func(e engine.Event) {
		// A Watch that was stopped may still deliver, beside the one that follows it.
		if ctx.Err() == nil {
			f.deliverEvent(e)
		}
	}
	err := errors.ErrUnsupported
	if w, ok := f.storage.(engine.Watcher); ok {
		err = w.Watch(ctx, deliver)
	}
	if ctx.Err() == nil && !errors.Is(err, engine.ErrStopped) {
		f.pollRecords(ctx, deliver)
	}
}

// deliverEvent gives an event to all streams.
func (f *feed) deliverEvent(e engine.Event) {
	if e.Name != "" {
		f.fleet.markChanged(e.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Kind == engine.EventReady || e.Kind == engine.EventPushLost {
		f.ready = &e
	}
	for s := range f.streams {
		select {
		case s.events <- e:
		default:
			delete(f.streams, s)
			close(s.lost)
		}
	}
}

const (
	// pollTime is how often a storage that delivers no transitions is read.
	pollTime = time.Second
	// maxPollShare limits the share of the time that reading takes.
	maxPollShare = 20
)

// pollRecords reads the fleet again and again, and delivers what the logs have in
// addition. It returns if the context ends or the storage is closed.
func (f *feed) pollRecords(ctx context.Context, deliver func(engine.Event)) {
	known := map[string]int64{} // epochs
	unread := map[string]bool{} // breakers not read yet: what their logs have is not new
	for isFirst := true; ; {
		r, err := f.fleet.readAnew(ctx)
		if errors.Is(err, engine.ErrStopped) {
			return
		}
		pause := pollTime
		if err == nil {
			for _, b := range r.breakers {
				if !b.hasSnapshot() {
					if isFirst {
						unread[b.Name] = true
					}
					continue
				}
				if !isFirst && !unread[b.Name] {
					deliverNewer(&b.Snapshot, known[b.Name], deliver)
				}
				known[b.Name] = b.Epoch
				delete(unread, b.Name)
			}
			if isFirst {
				deliver(engine.Event{Kind: engine.EventReady})
			}
			isFirst = false
			pause = max(pause, maxPollShare*r.took)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// deliverNewer delivers the transitions of a breaker after the known epoch, 0 if the
// breaker was not known.
func deliverNewer(s *engine.Snapshot, known int64, deliver func(engine.Event)) {
	if s.Epoch == known {
		return
	}
	newer, isComplete := s.Log, len(s.Log) > 0 && s.Log[0].N == 1
	for i, t := range s.Log {
		if t.Epoch == known {
			newer, isComplete = s.Log[i+1:], true
		}
	}
	if !isComplete {
		deliver(missedEvent(s))
	}
	for _, t := range newer {
		deliver(engine.Event{Kind: engine.EventTransition, Name: s.Name, Transition: t})
	}
}

// missedEvent reports transitions that the log no longer has.
func missedEvent(s *engine.Snapshot) engine.Event {
	return engine.Event{Kind: engine.EventMissed, Name: s.Name, Epoch: s.Epoch, Missed: -1, State: s.State, Mode: s.Mode}
}
