//go:build go1.25

package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/faultproxy"
)

// TestFaults has the rows that are no outage, or not one that simply ends.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		id, what string
		place    place
		test     func(w *world)
	}{
		{"F4", "the reply is lost to a reset", bubble, func(w *world) { cut(w, 0) }},
		{"F5", "the reply is cut after its first byte", bubble, func(w *world) { cut(w, 1) }},
		{"F5", "the reply is cut in its middle", bubble, func(w *world) { cut(w, 9) }},
		{"F6", "the network flaps", bubble, flaps},
		{"F10", "a result arrives, its reply does not", bubble, replyVanishes},
		{"F11", "SCRIPT FLUSH", bubble, scriptFlush},
		{"F11", "SCRIPT FLUSH in a loop, under load", sockets, scriptFlushes},
		{"F11", "SCRIPT FLUSH in a loop, on a server", onServer(), scriptFlushes},
		{"F11", "the server restarts and has forgotten all", onServer(), restart},
		{"F11", "600 other scripts, which evict ours from 7.4 on", onServer(), evicted},
		{"F12", "FLUSHALL in the midst of a probe", bubble, flushAll},
		{"F20", "the record is junk", bubble, junk},
		{"F37", "the holder of a probe is gone", bubble, holderGone},
		{"F38", "the result comes after its lease", bubble, afterLease},
		{"F39", "the result is of an earlier epoch", bubble, earlierEpoch},
		{"F40", "a permit is settled twice", bubble, settledTwice},
		{"F42", "twenty processes come back", bubble, herd},
		{"F43", "the call panics or exits", bubble, panics},
		{"F44", "the caller cancels", bubble, cancels},
		{"F45", "Stop and Close under traffic", bubble, closes},
		{"F45", "Close while Redis is dead", bubble, closesDead},
		{"F49", "extreme policies", bubble, extremes},
		{"F51", "EVAL alone is denied", onServer(), func(w *world) { denied(w, "-eval") }},
		{"F51", "SCRIPT LOAD alone is denied", onServer(), func(w *world) { denied(w, "-script|load") }},
		{"F54", "the record outlives its open period", bubble, ttl},
		{"F2", "256 goroutines, packets vanish", bubble, blackhole256},
		{"F2", "what was known before the outage holds", bubble, known},
		{"F2", "two processes agree again", bubble, agreeAgain},
	} {
		t.Run(row.id+" "+row.what, func(t *testing.T) {
			row.place(t, func(w *world) {
				row.test(w)
				w.Logf("%-4s %s", row.id, row.what)
			})
		})
	}
}

func cut(w *world, after int) {
	m := w.member(policy)
	m.runs(fail)
	p := m.permit()
	executed := w.executions()
	w.net.Set(faultproxy.CutReply(after))
	p.Failure(errDown)
	if n := executed(); n["EVALSHA"] != 1 || len(n) != 1 {
		w.Errorf("the server got %v, want one EVALSHA", n)
	}
	m.wantDegraded(unknown, "report", "")
	m.wantStreak(2) // once, and the next replies are the next calls'
	m.recovers(calm)
	m.wantState(redbreaker.StateClosed)
}

// A storage that comes and goes faster than it is believed is one outage.
func flaps(w *world) {
	m := w.member(redbreaker.Policy{ConsecutiveFailures: 1_000_000})
	m.runs(succeed)
	dials := w.dials.Load()
	for range 10 {
		for _, f := range []faultproxy.Fault{faultproxy.Refuse(), faultproxy.Pass()} {
			w.net.Set(f)
			for range 30 {
				start := time.Now()
				m.runs(succeed)
				if took := time.Since(start); took > 2*w.bound {
					w.Errorf("a call took %v", took)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	if n := w.dials.Load() - dials; n > 10*20 {
		w.Errorf("%d connections were tried in 6 s", n)
	}
	m.recovers(guardMax + calm)
}

func replyVanishes(w *world) {
	m := w.member(policy)
	p := m.permit()
	w.net.Set(faultproxy.DropReplies())
	start := time.Now()
	p.Failure(errDown)
	if took := time.Since(start); took != w.bound {
		w.Errorf("it took %v", took)
	}
	m.wantDegraded(unknown, "report", "no answer within")
	w.net.Set(faultproxy.Pass())
	time.Sleep(10 * time.Second) // whatever might still be sent has been
	m.wantStreak(1)
	m.recovers(guardMax + calm)
}

func scriptFlush(w *world) {
	m := w.member(policy)
	m.runs(fail)
	p := m.permit()
	w.must(m.client.ScriptFlush(ctx).Err())
	executed := w.executions()
	p.Failure(errDown)
	if n := executed(); n["EVALSHA"] != 2 || n["SCRIPT"] != 1 || n["EVAL"] != 0 {
		w.Errorf("the server got %v, want EVALSHA twice and one load", n)
	}
	m.wantStreak(2)
	m.undisturbed()
}

func scriptFlushes(w *world) {
	const callers, each = 8, 12
	w.bound = 20 * time.Second
	m := w.member(redbreaker.Policy{ConsecutiveFailures: 1_000_000})
	var all sync.WaitGroup
	var running atomic.Int64
	for range callers {
		running.Add(1)
		all.Go(func() {
			defer running.Add(-1)
			for range each {
				m.runs(fail)
			}
		})
	}
	for running.Load() > 0 {
		w.must(w.admin.ScriptFlush(ctx).Err())
		time.Sleep(time.Millisecond)
	}
	all.Wait()
	m.wantStreak(callers * each)
	m.undisturbed()
}

// evicted: only scripts that came by EVAL are, so this user may not load any.
func evicted(w *world) {
	w.do("acl", "setuser", "breaker", "-script|load")
	m := w.member(policy)
	m.runs(fail)
	_, err := w.admin.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 600 {
			p.Eval(ctx, fmt.Sprintf("return %d", i), nil)
		}
		return nil
	})
	w.must(err)
	m.runs(fail)
	m.wantStreak(2)
	m.undisturbed()
}

// What is lost is lost, but never silently open, and all agree on what is new.
func restart(w *world) {
	a, b := w.member(hasty), w.member(hasty)
	a.runs(fail)
	b.rejects(redbreaker.ReasonOpen)
	before := a.record().Epoch
	w.server.Restart()
	w.do("acl", "setuser", "breaker", "on", ">secret", "~*", "&*", "+@all")
	w.until(guardMax, "the new record", func() bool {
		return a.Do(ctx, succeed) == nil && !errors.Is(b.Do(ctx, succeed), redbreaker.ErrRejected)
	})
	// To who comes second it looks as if the record had moved on.
	w.until(time.Second, "EventLost", func() bool { return len(a.heard(redbreaker.EventLost)) == 1 })
	if after := a.record().Epoch; after == before {
		w.Errorf("the new record has the old epoch %d", after)
	}
	a.runs(fail)
	b.rejects(redbreaker.ReasonOpen)
}

func flushAll(w *world) {
	m := w.member(hasty)
	m.runs(fail)
	m.halfOpens()
	probe := m.permit()
	before := m.record().Epoch
	w.mini.FlushAll()
	probe.Failure(errDown) // of a record that is no more
	m.runs(succeed)
	m.wantState(redbreaker.StateClosed)
	if after := m.record().Epoch; after == before {
		w.Errorf("the new record has the old epoch %d", after)
	}
	m.undisturbed()
	if told := m.heard(redbreaker.EventLost); len(told) != 1 || told[0].Epoch != before {
		w.Errorf("heard %+v, want that epoch %d was lost", told, before)
	}
	m.runs(fail)
	m.rejects(redbreaker.ReasonOpen)
}

// A record that cannot be read begins anew, and that is told.
func junk(w *world) {
	m := w.member(hasty)
	m.runs(fail)
	head := w.mini.HGet(key, "head")
	epoch := regexp.MustCompile(`epoch=\d+`)
	wounds := []string{"", "junk", "1 open", head[:len(head)/2], strings.Repeat("x", 100_000), "\x00\xff"}
	for _, n := range []string{"nan", "-5", "1e308", "inf", "", "99999999999999999999999", "0x10"} {
		wounds = append(wounds, epoch.ReplaceAllString(head, "epoch="+n))
	}
	for i, wound := range wounds {
		w.mini.HSet(key, "head", wound)
		m.runs(succeed)
		m.undisturbed()
		if n := len(m.heard(redbreaker.EventHealed)); n != i+1 {
			w.Fatalf("head %.80q: healed %d times, want %d", wound, n, i+1)
		}
		m.runs(fail)
		m.rejects(redbreaker.ReasonOpen)
	}
}

// holderGone: nobody settles the permit, as after a kill.
func holderGone(w *world) {
	a, b := w.member(hasty), w.member(hasty)
	a.halfOpens()
	a.permit()
	r := b.rejects(redbreaker.ReasonProbing)
	if r.RetryAfter() != hasty.HalfOpen.Lease {
		w.Errorf("retry after %v, want the lease", r.RetryAfter())
	}
	time.Sleep(hasty.HalfOpen.Lease - time.Millisecond)
	b.rejects(redbreaker.ReasonProbing)
	time.Sleep(time.Millisecond)
	b.runs(succeed)
	b.wantState(redbreaker.StateClosed)
	b.undisturbed()
}

func afterLease(w *world) {
	a, b := w.member(hasty), w.member(hasty)
	for _, lease := range []string{"taken by another", "taken by nobody"} {
		a.halfOpens()
		late := a.permit()
		time.Sleep(hasty.HalfOpen.Lease)
		if lease == "taken by another" {
			next := b.permit()
			late.Failure(errDown)
			a.wantState(redbreaker.StateHalfOpen)
			next.Success()
			a.wantState(redbreaker.StateClosed)
			continue
		}
		late.Failure(errDown)
		a.wantState(redbreaker.StateHalfOpen)
		b.runs(succeed)
		a.wantState(redbreaker.StateClosed)
	}
	a.undisturbed()
}

func earlierEpoch(w *world) {
	a, b := w.member(hasty), w.member(hasty)
	late := []*redbreaker.Permit{a.permit(), a.permit(), a.permit()}
	b.runs(fail)
	for i, state := range []redbreaker.State{redbreaker.StateOpen, redbreaker.StateHalfOpen, redbreaker.StateClosed} {
		switch state {
		case redbreaker.StateHalfOpen:
			b.halfOpens()
		case redbreaker.StateClosed:
			b.runs(succeed)
		}
		late[i].Failure(errDown)
		a.wantState(state)
		a.wantStreak(0)
	}
	a.undisturbed()
}

func settledTwice(w *world) {
	m := w.member(policy)
	p := m.permit()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { p.Failure(errDown) })
	}
	all.Wait()
	m.wantStreak(1)
	m.undisturbed()
}

// herd: each process asks once by itself, at a time of its own, and together
// they load the script about once.
func herd(w *world) {
	const fleet, every = 20, 100 * time.Millisecond
	members := make([]*member, fleet)
	for i := range members {
		members[i] = w.member(policy)
		members[i].runs(succeed)
	}
	w.net.Set(faultproxy.Refuse())
	play := func(d time.Duration, each func(m *member)) {
		var all sync.WaitGroup
		for _, m := range members {
			all.Go(func() {
				for start := time.Now(); time.Since(start) < d; time.Sleep(every) {
					each(m)
				}
			})
		}
		all.Wait()
	}
	call := func(m *member) { _ = m.Do(ctx, succeed) }
	play(time.Minute, call)
	w.must(func() error { w.net.Set(faultproxy.Pass()); return members[0].client.ScriptFlush(ctx).Err() }())

	var mu sync.Mutex
	var trials []time.Time
	loads := 0
	w.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case cmd == "SCRIPT":
			loads++
		case cmd == "EVALSHA" && args[3][0] == '0': // no admissions
			if len(args) == 5 { // no results
				trials = append(trials, time.Now())
			}
		}
		return false
	})
	healed := time.Now()
	play(guardMax+calm+time.Second, call)
	w.mini.Server().SetPreHook(nil)
	for _, m := range members {
		if len(m.heard(redbreaker.EventDegraded)) != 1 || len(m.heard(redbreaker.EventRestored)) != 1 {
			w.Errorf("told %d, %d; want one outage each", len(m.heard(redbreaker.EventDegraded)), len(m.heard(redbreaker.EventRestored)))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	// Who finds the script missing loads it and asks once more: the first, and
	// those of the same moment.
	if len(trials) != fleet+loads || loads == 0 || loads > fleet/4 {
		w.Errorf("%d processes made %d trials and loaded the script %d times", fleet, len(trials), loads)
	}
	busiest := 0
	for i := range trials {
		n := 0
		for _, at := range trials[i:] {
			if at.Sub(trials[i]) < 100*time.Millisecond {
				n++
			}
		}
		busiest = max(busiest, n)
	}
	if busiest > fleet/2 {
		w.Errorf("%d of %d processes asked within 100 ms", busiest, fleet)
	}
	w.Logf("%d trials within %v of the return, at most %d in 100 ms", len(trials), trials[len(trials)-1].Sub(healed), busiest)
}

func panics(w *world) {
	m := w.member(hasty)
	for _, end := range []func(){func() { panic("boom") }, runtime.Goexit} {
		m.halfOpens()
		var recovered any
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { recovered = recover() }()
			_ = m.Do(ctx, func(context.Context) error { end(); return nil })
		}()
		<-done
		if recovered != nil && recovered != "boom" {
			w.Errorf("recovered %v", recovered)
		}
		m.wantState(redbreaker.StateOpen) // the probe has failed
	}
	m.undisturbed()
}

func cancels(w *world) {
	m := w.member(hasty)
	m.halfOpens()
	// While the call runs: its probe's slot comes back at once.
	during, cancel := context.WithCancel(ctx)
	err := m.Do(during, func(ctx context.Context) error { cancel(); return ctx.Err() })
	if err != context.Canceled {
		w.Errorf("got %v", err)
	}
	m.wantState(redbreaker.StateHalfOpen)
	m.runs(succeed)
	m.wantState(redbreaker.StateClosed)
	// While the storage is asked.
	w.net.Set(faultproxy.Blackhole())
	for range 10 {
		short, cancel := context.WithTimeout(ctx, w.bound/5)
		start := time.Now()
		if err := m.Do(short, succeed); err != context.DeadlineExceeded {
			w.Errorf("got %v", err)
		}
		if took := time.Since(start); took != w.bound/5 {
			w.Errorf("it took %v", took)
		}
		cancel()
	}
	w.net.Set(faultproxy.Pass())
	// Before.
	if err := m.Do(during, succeed); err != context.Canceled {
		w.Errorf("got %v", err)
	}
	m.runs(succeed)
	m.undisturbed()
}

func closes(w *world) {
	w.net.Set(faultproxy.Delay(time.Millisecond))
	for what, end := range map[string]func(m *member){
		"Stop":  func(m *member) { m.Stop() },
		"Close": func(m *member) { w.must(m.store.Close()) },
	} {
		m := w.member(policy)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					if err := m.Do(ctx, succeed); err != nil {
						if err != redbreaker.ErrStopped {
							w.Errorf("%s: a call got %v", what, err)
						}
						return
					}
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		end(m)
		all.Wait()
		m.mu.Lock()
		if len(m.events) != 0 {
			w.Errorf("%s: heard %+v", what, m.events)
		}
		m.mu.Unlock()
	}
}

// closesDead: the bubble would not end if a goroutine were left.
func closesDead(w *world) {
	w.options.ContextTimeoutEnabled = false
	m := w.member(policy)
	m.runs(succeed)
	w.net.Set(faultproxy.Blackhole())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { m.runs(succeed) })
	}
	all.Wait()
	start := time.Now()
	w.must(m.store.Close())
	if took := time.Since(start); took > 5*time.Second { // the client's read timeout
		w.Errorf("Close took %v", took)
	}
	if err := m.Do(ctx, succeed); err != redbreaker.ErrStopped {
		w.Errorf("after Close: %v", err)
	}
}

func extremes(w *world) {
	const most = time.Duration(math.MaxInt64)
	m := w.member(policy)
	for _, p := range []redbreaker.Policy{
		{ConsecutiveFailures: -1},
		{ConsecutiveFailures: math.MaxInt},
		{OpenFor: -1},
		{OpenFor: most},
		{IdleTTL: most},
		{Backoff: redbreaker.Backoff{Multiplier: math.Inf(1)}},
		{Backoff: redbreaker.Backoff{Multiplier: math.NaN()}},
		{Backoff: redbreaker.Backoff{Jitter: 2}},
		{HalfOpen: redbreaker.HalfOpen{Probes: math.MaxInt}},
		{HalfOpen: redbreaker.HalfOpen{Probes: 1, Successes: 2}},
		{HalfOpen: redbreaker.HalfOpen{Lease: most}},
		{Window: redbreaker.Window{Calls: math.MaxInt, FailureRate: 0.5}},
		{Window: redbreaker.Window{Calls: 1, Period: time.Second, FailureRate: 0.5}},
		{Window: redbreaker.Window{Period: most, FailureRate: 0.5}},
		{Window: redbreaker.Window{Calls: 10, FailureRate: math.NaN()}},
		{MinReporters: -1},
	} {
		if _, err := redbreaker.New(name, p, redbreaker.WithStorage(m.store)); !errors.Is(err, redbreaker.ErrInvalid) {
			w.Errorf("%+v: got %v", p, err)
		}
	}
	if n := w.dials.Load(); n != 0 {
		w.Errorf("New made %d connections", n)
	}

	half := redbreaker.HalfOpen{Probes: engine.MaxProbes, Successes: engine.MaxProbes, Lease: engine.MaxDuration}
	slow := redbreaker.Backoff{Multiplier: 10, Max: engine.MaxDuration, Jitter: 1}
	for _, p := range []redbreaker.Policy{
		{ConsecutiveFailures: engine.MaxThreshold, OpenFor: engine.MaxDuration, Backoff: slow, HalfOpen: half, IdleTTL: engine.MaxDuration},
		{Window: redbreaker.Window{Calls: engine.MaxCalls, FailureCount: engine.MaxCalls}, OpenFor: engine.MaxDuration, HalfOpen: half, IdleTTL: 1},
		{Window: redbreaker.Window{Period: engine.MaxDuration, FailureRate: 0.0001, MinCalls: engine.MaxThreshold}, OpenFor: 1, MinReporters: engine.MaxReporters},
	} {
		w.mini.FlushAll()
		m := w.member(p)
		m.runs(fail)
		m.control(redbreaker.Command{Action: redbreaker.ActionTrip, For: engine.MaxDuration})
		m.rejects(redbreaker.ReasonOpen)
		m.halfOpens()
		m.runs(fail)
		m.undisturbed()
		if n := len(m.heard(redbreaker.EventHealed)); n != 0 {
			w.Errorf("%+v: its record was unreadable %d times", p, n)
		}
	}
}

// denied: EVALSHA and one of EVAL and SCRIPT LOAD are enough.
func denied(w *world, right string) {
	w.do("acl", "setuser", "breaker", right)
	m := w.member(policy)
	m.runs(fail)
	w.must(w.admin.ScriptFlush(ctx).Err())
	m.runs(fail)
	m.wantStreak(2)
	w.must(m.Ping(ctx))
	m.undisturbed()
}

func ttl(w *world) {
	const openFor = 72 * time.Hour
	m := w.member(redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: openFor, IdleTTL: time.Minute})
	m.runs(fail)
	if got := w.mini.TTL(key); got < openFor {
		w.Errorf("the record lives for %v, its circuit is open for %v", got, openFor)
	}
	time.Sleep(openFor - time.Second)
	m.rejects(redbreaker.ReasonOpen)
	time.Sleep(time.Second)
	m.runs(fail) // the probe
	m.wantState(redbreaker.StateOpen)
	m.undisturbed()
}

// blackhole256: the first calls of each goroutine cost the bound, once; later
// ones send nothing, however many; and the log has a line
// for the record that was made, and two for the outage.
func blackhole256(w *world) {
	const callers, each = 256, 50
	var lines lockedBuffer
	m := w.member(redbreaker.Policy{ConsecutiveFailures: 1_000_000},
		redbreaker.WithHooks(redbreaker.LogHooks(slog.New(slog.NewTextHandler(&lines, nil)))))
	warm := []*redbreaker.Permit{m.permit(), m.permit()}
	for _, p := range warm {
		p.Success()
	}
	w.net.Set(faultproxy.Blackhole())
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			start := time.Now()
			m.runs(fail)
			if took := time.Since(start); took > w.bound {
				w.Errorf("the first call took %v", took)
			}
		})
	}
	all.Wait()

	writes, dials := w.writes.Load(), w.dials.Load()
	start := time.Now()
	for range callers {
		all.Go(func() {
			for range each {
				m.runs(fail)
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took != 0 {
		w.Errorf("%d calls took %v", callers*each, took)
	}
	if n := w.writes.Load() - writes; n != 0 {
		w.Errorf("they wrote %d times to the network", n)
	}
	if n := w.dials.Load() - dials; n > callers { // of first calls whose dials go on
		w.Errorf("they dialed %d times", n)
	}

	// One trial at a time, ever less often.
	writes = w.writes.Load()
	for range 6000 {
		m.runs(fail)
		time.Sleep(10 * time.Millisecond)
	}
	if n := w.writes.Load() - writes; n > 40 {
		w.Errorf("a minute of calls wrote %d times to the network", n)
	}
	w.net.Reset()
	w.net.Set(faultproxy.Pass())
	m.recovers(guardMax + calm + w.bound)
	time.Sleep(time.Second)
	if log := lines.String(); strings.Count(log, "\n") != 3 || !strings.Contains(log, "created") || !strings.Contains(log, "does not answer") || !strings.Contains(log, "answers again") {
		w.Errorf("the log says\n%s", log)
	}
}

// known: an open circuit, a forced one and a round of probes go on in the outage,
// for the time that they had left.
func known(w *world) {
	for what, test := range map[string]struct {
		set    func(m *member)
		reason redbreaker.Reason
		left   time.Duration
	}{
		"open":        {func(m *member) { m.runs(fail); m.rejects(redbreaker.ReasonOpen) }, redbreaker.ReasonOpen, hasty.OpenFor},
		"forced open": {func(m *member) { m.control(redbreaker.Command{Action: redbreaker.ActionForceOpen, For: time.Hour}) }, redbreaker.ReasonForced, time.Hour},
		"half-open":   {func(m *member) { m.halfOpens(); m.permit() }, redbreaker.ReasonOpen, hasty.HalfOpen.Lease},
	} {
		w.mini.FlushAll()
		m := w.member(hasty)
		m.runs(succeed)
		test.set(m)
		from := time.Now()
		w.net.Set(faultproxy.Blackhole())
		for time.Since(from) < test.left-2*w.bound {
			m.rejects(test.reason)
			time.Sleep(test.left / 100)
		}
		time.Sleep(test.left)
		m.runs(succeed)
		if !m.Status().Degraded {
			w.Errorf("%s: the outage is over", what)
		}
		w.net.Reset()
		w.net.Set(faultproxy.Pass())
		time.Sleep(guardMax)
		w.mini.FlushAll() // what the record says is told elsewhere
		m.recovers(guardMax + calm)
	}
}

// agreeAgain: after an outage in which one process tripped by itself and another
// did not, the record decides for both within the guard's longest pause.
func agreeAgain(w *world) {
	const every = 50 * time.Millisecond
	a, b := w.member(policy), w.member(policy)
	a.runs(succeed)
	b.runs(succeed)
	w.net.Set(faultproxy.Blackhole())
	for range threshold {
		a.runs(fail)
	}
	for start := time.Now(); time.Since(start) < 2*time.Minute; time.Sleep(every) {
		a.rejects(redbreaker.ReasonOpen) // of the local breaker
		b.runs(succeed)
	}
	w.net.Reset()
	w.net.Set(faultproxy.Pass())
	healed := time.Now()
	w.until(guardMax+w.bound, "a to be admitted by the record", func() bool { _ = b.Do(ctx, succeed); return a.Do(ctx, succeed) == nil })
	w.until(guardMax+w.bound-time.Since(healed), "b to trip the record", func() bool {
		_ = b.Do(ctx, fail)
		s, err := a.Inspect(ctx)
		return err == nil && s.State == redbreaker.StateOpen
	})
	w.Logf("they agree %v after the return", time.Since(healed))
	a.rejects(redbreaker.ReasonOpen)
	b.rejects(redbreaker.ReasonOpen)
	time.Sleep(calm)
	a.recovers(calm)
	b.recovers(calm)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
