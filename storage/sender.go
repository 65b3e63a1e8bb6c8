package storage

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
)

// sender takes script calls to one server. While few are under way, each goes at
// once and by itself; what comes meanwhile leaves together, as a pipeline. So
// however many breakers a process has, it keeps few connections busy, and a
// server that is slow is not asked ever more. A sender that has nothing to do
// owns no goroutine.
type sender struct {
	run *runner

	mu       sync.Mutex
	underway int
	waiting  []*parcel // in the order of their departure
}

const (
	// abroad is how many round trips to one server may be under way: one that
	// travels while the other is worked on.
	abroad = 2
	// bulk is the most calls of a pipeline: its first reply waits for the last.
	bulk = 128
)

// parcel is a call that leaves with others.
type parcel struct {
	ctx     context.Context
	attempt *attempt
	cmd     command
	done    chan struct{} // closed when the command has its result
}

// process sends a command and waits for its result, or for the context's end;
// then the command may still be executed if the attempt says so, and must not be
// looked at.
func (s *sender) process(ctx context.Context, a *attempt, cmd command) (any, error) {
	p := s.enter(ctx, a, cmd)
	if p == nil {
		return s.alone(ctx, cmd)
	}
	select {
	case <-p.done:
		return cmd.Result()
	case <-ctx.Done():
	}
	if deadline, ok := ctx.Deadline(); ok && a.underway() {
		// As go-redis does, which sees deadlines but no cancellation: the answer may
		// be a lease, and whoever has it gives it back.
		select {
		case <-p.done:
			return cmd.Result()
		case <-time.After(time.Until(deadline)):
		}
	}
	return nil, ctx.Err()
}

// enter returns nil if the command goes at once.
func (s *sender) enter(ctx context.Context, a *attempt, cmd command) *parcel {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underway < abroad && len(s.waiting) == 0 {
		s.underway++
		return nil
	}
	p := &parcel{ctx: ctx, attempt: a, cmd: cmd, done: make(chan struct{})}
	s.waiting = append(s.waiting, p)
	return p
}

// alone sends a command that has room to go by itself.
func (s *sender) alone(ctx context.Context, cmd command) (any, error) {
	if s.run.inline {
		defer s.end()
	} else {
		// The client may hold on to the call for longer than anybody waits for it.
		end := sync.OnceFunc(s.end)
		defer end()
		defer context.AfterFunc(ctx, end)()
	}
	_ = s.run.client.Process(ctx, cmd)
	return cmd.Result()
}

// end makes room, for what waits first of all.
func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 && s.run.spawn(s.drive) {
		return
	}
	s.underway--
	for _, p := range s.waiting { // the storage is closed
		p.refuse()
	}
	s.waiting = nil
}

// drive sends what waits until nothing does.
func (s *sender) drive() {
	for parcels := s.load(); len(parcels) > 0; parcels = s.load() {
		// Nobody waits for longer than that, and a client that does has to be left.
		_, err := s.run.bounded(context.Background(), time.Now(), func(ctx context.Context) (any, error) {
			s.run.ship(ctx, parcels)
			return nil, nil
		})
		if errors.Is(err, engine.ErrStopped) {
			for _, p := range parcels {
				p.refuse()
			}
		}
		runtime.Gosched() // those who have their results may have more to send
	}
}

// load is what leaves together; nothing ends the drive. What nobody will wait
// for any more stays.
func (s *sender) load() []*parcel {
	s.mu.Lock()
	defer s.mu.Unlock()
	var parcels []*parcel
	n := 0
	for ; n < len(s.waiting) && len(parcels) < bulk; n++ {
		if p := s.waiting[n]; over(p.ctx) == nil && p.attempt.claim() {
			parcels = append(parcels, p)
		}
	}
	s.waiting = append(s.waiting[:0:0], s.waiting[n:]...)
	if len(parcels) == 0 {
		s.underway--
	}
	return parcels
}

// ship sends calls in one round trip.
func (r *runner) ship(ctx context.Context, parcels []*parcel) {
	_, _ = r.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, p := range parcels {
			_ = pipe.Process(ctx, p.cmd)
		}
		return nil
	})
	var lost bool // one connection that breaks is one slip, however many it carried
	for _, p := range parcels {
		var answer redis.Error
		if err := p.cmd.Err(); err != nil && !errors.As(err, &answer) {
			if lost {
				p.cmd.SetErr(sameSlip{err})
			}
			lost = true
		}
		p.attempt.shipped()
		close(p.done)
	}
}

// sameSlip is the error of a call that was lost with others, one of which has it
// plain.
type sameSlip struct{ error }

func (e sameSlip) Unwrap() error { return e.error }

// refuse ends a call that is not sent.
func (p *parcel) refuse() {
	p.attempt.shipped()
	p.cmd.SetErr(engine.ErrStopped)
	close(p.done)
}
