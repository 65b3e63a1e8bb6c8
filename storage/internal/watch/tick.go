package watch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/scripts"
	"github.com/redbreaker/redbreaker/storage/internal/follow"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

const (
	// retryAfter is how long a read or poll that failed waits.
	retryAfter = time.Second
	// unreadableAfter is the same for a record that cannot be read, such as that
	// of a newer release.
	unreadableAfter = 30 * time.Second
)

// A read or poll that failed is not repeated at once: while the server is away, every
// process of the fleet would ask for every record.

// limiter lets most things happen within a time.
//
// The windows of a limiter follow each other and do not slide: around the end of one,
// twice as many may happen. That is accepted, since the limits guard the server from a
// flood that lasts and not from a burst.
type limiter struct {
	most  int
	per   time.Duration
	since time.Duration
	used  int
}

// take returns how many of n may happen now.
func (l *limiter) take(now time.Duration, n int) int {
	if now >= l.since+l.per {
		l.since, l.used = now, 0
	}
	n = min(n, l.most-l.used)
	l.used += n
	return n
}

// schedule makes the Watcher look at the record at the time.
func (w *Watcher) schedule(r *Followed, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scheduleLocked(r, at)
}

// scheduleLocked ignores records that are not followed any more: a read or poll may
// end after the last handle was closed.
func (w *Watcher) scheduleLocked(r *Followed, at time.Duration) {
	// A record that was forgotten and followed again is another Followed: compare the
	// pointer, not the key.
	if w.followed[r.key] == r {
		w.pending[r] = true
		w.armLocked(at)
	}
}

// armLocked sets the timer, unless it is due earlier anyway.
func (w *Watcher) armLocked(at time.Duration) {
	if w.closed.Load() || w.wakeAt != 0 && w.wakeAt <= at {
		return
	}
	w.wakeAt = at
	if w.ticking {
		return // endTick sets the timer: two ticks at a time would exceed the limits
	}
	wait := max(0, at-w.now())
	if w.timer == nil {
		// tick is a task of the transport, so that its Close waits for a tick that runs, and
		// none begins after it. It runs in the goroutine of the timer.
		w.timer = time.AfterFunc(wait, func() { w.transport.RunTask(w.tick) })
		return
	}
	w.timer.Reset(wait)
}

// tick counts overdue events, reads and polls the records that are due, and pings
// the subscription.
func (w *Watcher) tick() {
	now := w.now()
	records, subs := w.beginTick(now)
	var reads, polls, silent []*Followed
	next, scanAt := now+pingAfter, now+follow.PollAfter
	for r := range records {
		due := r.findDue(now)
		switch {
		case due.read:
			reads = append(reads, r)
		case due.poll:
			polls = append(polls, r)
		case due.silent:
			silent = append(silent, r)
		}
		if due.at > 0 {
			w.schedule(r, due.at)
		}
		scanAt = min(scanAt, due.silentAt)
	}
	// No record that was looked at becomes due before: it can only be confirmed meanwhile.
	w.scanBy(max(scanAt, now+scanEvery))
	for _, s := range subs {
		next = min(next, s.keepAlive(now))
	}
	w.startReads(now, reads)
	w.startPolls(now, &w.polls, polls)
	w.startPolls(now, &w.silent, silent)
	w.endTick(next)
}

// beginTick returns the records to look at: those that have something due, or all
// of them if it is time to look for silent ones.
func (w *Watcher) beginTick(now time.Duration) (map[*Followed]bool, []*subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// From here on armLocked only notes the time, which endTick takes into account.
	w.ticking, w.wakeAt = true, 0
	// Between two looks at all records, only those that have something due are looked
	// at: of 10 000 breakers, few move at a time.
	records := w.pending
	w.pending = map[*Followed]bool{}
	if now >= w.scanAt {
		w.scanAt = now + follow.PollAfter // if no record asks for less
		for _, r := range w.followed {
			records[r] = true
		}
	}
	var subs []*subscription
	for _, s := range w.subs {
		subs = append(subs, s)
	}
	return records, subs
}

// scanEvery is the least time between two looks at all records, for those that no reply or
// read has confirmed for long. Records that become due within it are polled together.
const scanEvery = 5 * time.Second

// scanBy makes the next look at all records come at the time at the latest.
func (w *Watcher) scanBy(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at < w.scanAt {
		w.scanAt = at
		w.armLocked(at)
	}
}

// endTick sets the timer for whatever comes first: the next ping, the next look at
// all records, or a record that was scheduled while tick ran.
func (w *Watcher) endTick(next time.Duration) {
	w.startSubscriptionsOfRing()
	w.mu.Lock()
	defer w.mu.Unlock()
	// Without records nothing can be silent, and the timer serves the pings alone.
	if len(w.followed) > 0 {
		next = min(next, w.scanAt)
	}
	w.ticking = false
	if w.wakeAt != 0 {
		next = min(next, w.wakeAt)
	}
	w.wakeAt = 0
	w.armLocked(next)
}

// startSubscriptionsOfRing subscribes to shards that were down before.
func (w *Watcher) startSubscriptionsOfRing() {
	if w.isRing() {
		w.startSubscriptions()
	}
}

// dueWork names the work that a record needs now. At most one of read, poll and silent is set.
type dueWork struct {
	read   bool
	poll   bool          // whatever is known
	silent bool          // a poll, because nothing has confirmed the record for long
	at     time.Duration // when to look again; 0: only after a long silence
	// silentAt is when the silence will have been long.
	silentAt time.Duration
}

// findDue counts the record's overdue events, and returns what it needs.
func (r *Followed) findDue(now time.Duration) dueWork {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out follow.Output
	r.follower.Tick(now, &out)
	r.deliverLocked(&out)
	if len(out.Signs) > 0 {
		r.watcher.addSigns(now, out.Signs)
	}
	due := dueWork{at: r.dueLocked(now), silentAt: r.follower.PollDue()}
	// Reading comes before polling: it answers all that a poll can.
	switch at := r.follower.ReadDue(); {
	// The result of a read or poll is an input of the record, which schedules it again. So
	// nothing is due for it meanwhile.
	case at > 0 && at <= now:
		due.read, due.at = true, 0
	case r.needsPollLocked() && now >= r.retryAt:
		due.poll, due.at = true, 0
	// A silent record has a limiter of its own: thousands of idle records must not delay
	// the poll of one that has no baseline. It is polled now if it is due before the next
	// look at all records.
	case !r.polling && now >= r.retryAt && now+scanEvery > due.silentAt:
		due.silent = true
	}
	// A poll confirms the record, or applyPoll asks for a look in time.
	if due.poll || due.silent || r.polling {
		due.silentAt = now + follow.PollAfter
	}
	return due
}

// startReads reads as many of the records as the limit allows. The others wait.
func (w *Watcher) startReads(now time.Duration, records []*Followed) {
	records = w.takeAllowed(now, &w.reads, records)
	if len(records) == 0 {
		return
	}
	calls := make([]*transport.Call, len(records))
	// The follower notes when the read is sent, before it is: events that arrive from
	// now on may be newer than the result.
	for i, r := range records {
		r.mu.Lock()
		known := r.follower.SendRead(now)
		r.mu.Unlock()
		calls[i] = &transport.Call{Op: "watch", Name: r.key, Key: r.key, Script: scripts.Since, Args: scripts.SinceArgs(known)}
	}
	// After Close nothing is spawned, and nothing has to be read any more.
	w.transport.Spawn(func() {
		answers, err := w.transport.RunMany(context.Background(), calls)
		for i, r := range records {
			var a transport.Answer
			if a.Err = err; err == nil {
				a = answers[i]
			}
			r.applyRead(a)
		}
	})
}

// takeAllowed returns as many records as the limit allows, and schedules the rest.
func (w *Watcher) takeAllowed(now time.Duration, l *limiter, records []*Followed) []*Followed {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := l.take(now, len(records))
	// The rest is looked at again when the window ends. Its follower still has the read or
	// poll as due, so nothing else has to be kept.
	for _, r := range records[n:] {
		w.scheduleLocked(r, l.since+l.per)
	}
	return records[:n]
}

// applyRead gives the result of a read to the follower. A record that cannot be read
// is tried again later: only its own processes can mend it.
func (r *Followed) applyRead(a transport.Answer) {
	record, now, err := engine.Record{}, int64(0), a.Err
	if err == nil {
		record, now, err = scripts.DecodeInspect(a.Reply)
	}
	r.applyInput(func(at time.Duration, out *follow.Output) {
		s := record.Snapshot("", now)
		switch {
		case err != nil && !isPermanent(err):
			r.follower.FailRead(at + retryAfter)
		case err != nil || slices.Contains(s.Unreadable, "head"):
			r.follower.FailRead(at + unreadableAfter)
		default:
			r.follower.Read(at, follow.Record{Known: knownOf(&s), N: record.Number(), Log: s.Log}, out)
		}
	})
}

// isPermanent reports whether the record itself cannot be read.
func isPermanent(err error) bool {
	return errors.Is(err, engine.ErrForeignKey) || errors.Is(err, engine.ErrNewerLayout)
}

// knownOf returns the part of a snapshot that a follower needs. An absent record has
// epoch 0 here, as in the event of the transition that creates it.
func knownOf(s *engine.Snapshot) follow.Known {
	k := follow.Known{Exists: s.Exists, State: s.State, Mode: s.Mode, Epoch: max(0, s.Epoch), Left: s.RetryAfter, ModeLeft: s.ModeFor}
	if s.Mode == engine.ModeForcedOpen {
		// A circuit that is forced open lets calls through when the mode ends, not when the
		// open period below it does.
		k.Left = s.ModeFor
	}
	return k
}

// startPolls polls as many of the records as the limit allows. The others wait.
func (w *Watcher) startPolls(now time.Duration, l *limiter, records []*Followed) {
	records = w.takeAllowed(now, l, records)
	if len(records) == 0 {
		return
	}
	keys := make([]string, len(records))
	marks := make([]uint32, len(records))
	for i, r := range records {
		r.mu.Lock()
		// polling keeps a second poll of the record from being sent. pollNow is cleared before
		// the poll is sent, not after its result: a subscription that is confirmed meanwhile
		// sets it again, since this poll may have been answered before.
		r.polling = true
		r.pollNow.Store(false)
		marks[i] = r.follower.SendPoll()
		r.mu.Unlock()
		keys[i] = r.key
	}
	w.transport.Spawn(func() {
		answers, err := w.transport.ReadField(context.Background(), "watch", "head", keys)
		for i, r := range records {
			var a transport.Answer
			if a.Err = err; err == nil {
				a = answers[i]
			}
			r.applyPoll(marks[i], a)
		}
	})
}

// applyPoll gives the head to the follower. A reply of nil is an absent record.
func (r *Followed) applyPoll(mark uint32, a transport.Answer) {
	var record engine.Record
	err := a.Err
	// The head has state, mode, epoch and number, which is all that shows a change.
	if head, ok := a.Reply.(string); ok && err == nil {
		record, err = engine.ParseRecord([]engine.Field{{Name: "head", Value: head}})
	}
	r.applyInput(func(now time.Duration, out *follow.Output) {
		r.polling = false
		s := record.Snapshot("", 0)
		switch {
		case err != nil && !isPermanent(err):
			r.retryAt = now + retryAfter
		case err != nil || slices.Contains(s.Unreadable, "head"):
			r.retryAt = now + unreadableAfter
		default:
			r.follower.Polled(now, mark, knownOf(&s), record.Number(), out)
		}
		// findDue has assumed that this poll confirms the record.
		r.watcher.scanBy(max(r.follower.PollDue(), now+scanEvery))
	})
}
