package transport

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/timeout"
)

// pipeline sends script calls to one node. While few round trips are in flight,
// each call is sent at once and by itself; what comes meanwhile is sent together,
// as a pipeline. So however many breakers a process has, it keeps few connections
// busy, and a server that is slow is not flooded. A pipeline that is idle owns no
// goroutine.
type pipeline struct {
	transport *Transport

	mu       sync.Mutex
	inFlight int           // round trips
	waiting  []*queuedCall // in the order of their arrival
}

const (
	// maxInFlight is how many round trips to one server may be in flight: one that
	// travels while the other is worked on.
	maxInFlight = 2
	// maxPipelined is the most calls of a pipeline: its first reply waits for the
	// last.
	maxPipelined = 128
)

// queuedCall is a call that is sent with others.
type queuedCall struct {
	ctx     context.Context
	attempt *attempt
	cmd     command
	done    chan struct{} // closed when the command has its result
}

// send sends a command and waits for its result or for the context's end. After
// the latter the command may still be executed if the attempt says so, and must
// not be looked at.
func (p *pipeline) send(ctx context.Context, a *attempt, cmd command) (any, error) {
	q := p.enqueue(ctx, a, cmd)
	if q == nil {
		return p.sendAlone(ctx, cmd)
	}
	select {
	case <-q.done:
		return cmd.Result()
	case <-ctx.Done():
	}
	if deadline, ok := ctx.Deadline(); ok && a.isInFlight() {
		// The caller canceled. As go-redis does, which sees deadlines but no
		// cancellation, wait for the answer: it may be a lease to return.
		select {
		case <-q.done:
			return cmd.Result()
		case <-time.After(time.Until(deadline)):
		}
	}
	return nil, ctx.Err()
}

// enqueue returns nil if the command may be sent at once.
func (p *pipeline) enqueue(ctx context.Context, a *attempt, cmd command) *queuedCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inFlight < maxInFlight && len(p.waiting) == 0 {
		p.inFlight++
		return nil
	}
	q := &queuedCall{ctx: ctx, attempt: a, cmd: cmd, done: make(chan struct{})}
	p.waiting = append(p.waiting, q)
	return q
}

// sendAlone sends a command by itself.
func (p *pipeline) sendAlone(ctx context.Context, cmd command) (any, error) {
	if p.transport.honorsDeadlines {
		defer p.release()
	} else {
		// The client may hold on to the call for longer than its caller waits.
		release := sync.OnceFunc(p.release)
		defer release()
		defer context.AfterFunc(ctx, release)()
	}
	_ = p.transport.client.Process(ctx, cmd)
	return cmd.Result()
}

// release ends a round trip. What waits is sent in its place.
func (p *pipeline) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > 0 && p.transport.Spawn(p.drive) {
		return
	}
	p.inFlight--
	for _, q := range p.waiting { // the storage is closed
		q.stop()
	}
	p.waiting = nil
}

// drive sends what waits until nothing does.
func (p *pipeline) drive() {
	for calls := p.takeBatch(); len(calls) > 0; calls = p.takeBatch() {
		// Callers wait no longer than that; a client that does is left behind.
		_, err := p.transport.limit(context.Background(), time.Now(), func(ctx context.Context) (any, error) {
			p.transport.sendBatch(ctx, calls)
			return nil, nil
		})
		if errors.Is(err, engine.ErrStopped) {
			for _, q := range calls {
				q.stop()
			}
		}
		runtime.Gosched() // callers that have their results may have more to send
	}
}

// takeBatch returns the calls of the next pipeline; an empty batch stops the
// driver. It drops calls whose callers have left.
func (p *pipeline) takeBatch() []*queuedCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	var batch []*queuedCall
	n := 0
	for ; n < len(p.waiting) && len(batch) < maxPipelined; n++ {
		if q := p.waiting[n]; timeout.Ended(q.ctx) == nil && q.attempt.claim() {
			batch = append(batch, q)
		}
	}
	p.waiting = append(p.waiting[:0:0], p.waiting[n:]...)
	if len(batch) == 0 {
		p.inFlight--
	}
	return batch
}

// sendBatch sends calls in one round trip.
func (t *Transport) sendBatch(ctx context.Context, calls []*queuedCall) {
	_, refused := t.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range calls {
			_ = p.Process(ctx, q.cmd)
		}
		return nil
	})
	var lost bool
	for _, q := range calls {
		setMissingError(q.cmd, refused)
		var answer redis.Error
		if err := q.cmd.Err(); err != nil && !errors.As(err, &answer) {
			if lost {
				q.cmd.SetErr(sharedFailure{err})
			}
			lost = true
		}
		q.attempt.unclaim()
		close(q.done)
	}
}

// setMissingError sets the error of a pipeline on a command that has neither a reply
// nor an error. go-redis leaves commands in that state if the server refuses the
// connection itself, as it does for a wrong password.
func setMissingError(cmd command, err error) {
	if err != nil && cmd.Err() == nil && cmd.Val() == nil {
		cmd.SetErr(err)
	}
}

// sharedFailure is the error of a call that was lost with others, one of which
// has the error as it is. A connection that breaks is one failure of the server,
// however many calls it carried.
type sharedFailure struct{ error }

func (e sharedFailure) Unwrap() error { return e.error }

// stop ends a call that is not sent.
func (q *queuedCall) stop() {
	q.attempt.unclaim()
	q.cmd.SetErr(engine.ErrStopped)
	close(q.done)
}
