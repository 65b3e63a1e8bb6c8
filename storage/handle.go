package storage

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/enrol"
	"github.com/redbreaker/redbreaker/storage/internal/follow"
	"github.com/redbreaker/redbreaker/storage/internal/handle"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
	"github.com/redbreaker/redbreaker/storage/internal/watch"
)

// redisHandle is the handle on one breaker in Redis. Its operations take the road of
// handle.Base: they become batches, which the group commit sends as steps. Only
// commands take a road of their own, see Control.
type redisHandle struct {
	handle.Base
	group groupCommit // the Sender of Base
	redis *Redis
	key   string
	rules engine.Rules
	entry *enrol.Entry // in the index
	// followed delivers the transitions of all processes; nil without WithWatch.
	followed *watch.Followed
	// unpublished is set once the server has refused to publish a transition.
	unpublished atomic.Bool
}

func newHandle(r *Redis, name, key string, rules engine.Rules, sink func(engine.Event)) *redisHandle {
	h := &redisHandle{redis: r, key: key, rules: rules}
	h.group.handle, h.group.readReply = h, (*pendingOp).replyFrom
	h.Base = handle.Base{Sender: &h.group, Name: name, Reporter: r.reporter, Start: r.start, StorageClosed: &r.closed}
	h.Tracker = engine.NewTracker(name, &h.rules, h.Now, sink)
	h.entry = r.index.Add(key, &h.rules, func(err error) {
		if sink != nil {
			sink(engine.Event{Kind: engine.EventUnlisted, Name: name, Err: err})
		}
	})
	// Last: from here on the tracker may get events, so the handle must be whole.
	if r.watcher != nil {
		h.followed = r.watcher.Follow(key, h.Tracker)
	}
	return h
}

// node returns the server that holds the breaker. It is resolved for each step,
// because slots move while the handle lives.
func (h *redisHandle) node() *transport.Node { return h.redis.transport.Node(h.key) }

// sentStep is a step that was sent.
type sentStep struct {
	id    follow.StepID // for the Watcher
	asked int64         // the handle's clock just before it was sent
}

// startStep sends a batch as one step to the node; the timeout counts from since.
// Unless it fails, decodeStep must be called with what it returns.
func (h *redisHandle) startStep(ctx context.Context, since time.Time, node *transport.Node, op string, b engine.Batch) (*transport.Flight, sentStep, error) {
	if h.redis.closed.Load() {
		return nil, sentStep{}, engine.ErrStopped
	}
	sent := h.beginStep()
	f, err := h.redis.transport.Start(ctx, since, node, h.newCall(op, b))
	if err != nil {
		h.endFollowed(sent.id)
		h.reportStep(since, b, err)
	}
	return f, sent, err
}

// reportStep reports a step that has ended to the storage's observer.
func (h *redisHandle) reportStep(since time.Time, b engine.Batch, err error) {
	h.redis.observer.ReportStep(h.redis.Kind(), since, b.Admissions+b.Outcomes(), err)
}

// beginStep begins a step before its command can be sent: the event of its transition
// may arrive at once, and the record in its reply is not older than asked.
func (h *redisHandle) beginStep() sentStep { return sentStep{id: h.beginFollowed(), asked: h.Now()} }

// runTrial runs an empty step for the guard of the node. An empty step asks for no
// admission: if its reply is lost, no probe's lease is lost with it.
func (h *redisHandle) runTrial() error {
	const op = "step"
	since, b := time.Now(), h.WithStanding(engine.Batch{})
	sent := h.beginStep()
	reply, err := h.redis.transport.RunTrial(h.node(), h.newCall(op, b))
	_, err = h.decodeStep(sent, since, op, b, reply, err)
	return err
}

func (h *redisHandle) newCall(op string, b engine.Batch) *transport.Call {
	return &transport.Call{
		Op: op, Name: h.Name, Key: h.key, Script: scripts.Step, Args: scripts.StepArgs(&h.rules, engine.Random(), b),
		Repeatable: h.isRepeatable(b),
	}
}

// isRepeatable reports whether the server may run the batch twice. It counts a result
// each time. It grants an admission no lease while the circuit is closed. If the circuit
// has opened since the last reply, a second lease may be granted, and lapses.
func (h *redisHandle) isRepeatable(b engine.Batch) bool {
	if len(b.Results) > 0 || b.Admissions == 0 {
		return len(b.Results) == 0
	}
	s := h.Status()
	return s.Age >= 0 && s.State == engine.StateClosed
}

// decodeStep reads the reply of a step and passes it on to the tracker, the index and
// the observer.
func (h *redisHandle) decodeStep(sent sentStep, since time.Time, op string, b engine.Batch, reply any, err error) (engine.Reply, error) {
	r, err := h.applyReply(sent, since, op, b, reply, err)
	h.reportStep(since, b, err)
	return r, err
}

func (h *redisHandle) applyReply(sent sentStep, since time.Time, op string, b engine.Batch, reply any, err error) (engine.Reply, error) {
	if err != nil {
		h.endFollowed(sent.id)
		return engine.Reply{}, err
	}
	// A reply that makes no sense still ends the step: one that never ends would hold back
	// the events of this record for good.
	r, err := scripts.DecodeStep(reply, &h.rules, b)
	if err != nil {
		h.endFollowed(sent.id)
		return engine.Reply{}, newReplyError(op, h.Name, err)
	}
	if h.followed != nil {
		h.followed.ApplyReply(sent.id, h.Tracker, b, r, sent.asked)
	} else {
		h.ApplyReply(b, r, sent.asked)
	}
	h.noteUnpublished(r.Unpublished)
	// Only a reply lists the breaker: a step that failed may have made no record.
	h.entry.Observe(since, &r)
	return r, nil
}

// noteUnpublished raises an event the first time that a transition of this handle was
// not published.
func (h *redisHandle) noteUnpublished(refused bool) {
	if refused && !h.unpublished.Swap(true) {
		h.Raise(engine.Event{Kind: engine.EventPushLost, Err: errUnpublished})
	}
}

var errUnpublished = errors.New("redbreaker: the user may not publish transitions, so other processes learn of them late; grant what docs/operations.md lists")

// beginFollowed registers a step that is about to be sent: the event of its
// transition may arrive before its reply.
func (h *redisHandle) beginFollowed() follow.StepID {
	if h.followed == nil {
		return 0
	}
	return h.followed.BeginStep()
}

// endFollowed ends a step whose reply was lost or makes no sense.
func (h *redisHandle) endFollowed(id follow.StepID) {
	if h.followed != nil {
		h.followed.EndStep(id)
	}
}

// Control applies a command with the handle's policy. It runs between the handle's
// steps, so that the tracker learns of its transitions in their order. It passes the
// guard, because an operator must reach the storage as soon as it is back.
func (h *redisHandle) Control(ctx context.Context, c engine.Command) (engine.Snapshot, error) {
	if err := h.CheckCommand(c); err != nil {
		return engine.Snapshot{}, err
	}
	var result commandResult
	// err is that of the turn, verdict that of the command. They are read only if the function
	// ran to its end: a caller that leaves before has err, and the driver still writes the
	// others.
	var verdict error
	err := h.group.runExclusive(ctx, func(ctx context.Context, since time.Time) {
		id := h.beginFollowed()
		result, verdict = h.redis.controlRecord(ctx, since, h.Name, h.key, scripts.ControlArgs(&h.rules, false, engine.Random(), c))
		if h.followed != nil {
			h.followed.ApplyCommand(id, h.Tracker, result.snapshot, result.transitions, result.unpublished)
		} else {
			h.ApplyCommand(result.snapshot, result.transitions)
		}
		h.noteUnpublished(result.unpublished)
		if verdict == nil {
			h.redis.enterAfterCommand(h.key, &result.snapshot)
		}
	})
	if err != nil {
		return engine.Snapshot{}, err
	}
	return result.snapshot, verdict
}

// Close makes further operations fail with engine.ErrStopped.
func (h *redisHandle) Close() error {
	h.entry.Remove()
	if h.followed != nil {
		h.followed.Unfollow(h.Tracker)
	}
	return h.Base.Close()
}
