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
	"github.com/redbreaker/redbreaker/scripts"
)

// TestFaults has the rows that are not an outage with a beginning and an end;
// TestOutages has those.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		id, what    string
		environment environment
		test        func(bed *testbed)
	}{
		{"F4", "the reply is lost to a reset", inBubble, func(bed *testbed) { cut(bed, 0) }},
		{"F5", "the reply is cut after its first byte", inBubble, func(bed *testbed) { cut(bed, 1) }},
		{"F5", "the reply is cut in its middle", inBubble, func(bed *testbed) { cut(bed, 9) }},
		{"F6", "the network flaps", inBubble, flaps},
		{"F10", "a result arrives, its reply does not", inBubble, replyVanishes},
		{"F11", "SCRIPT FLUSH", inBubble, scriptFlush},
		{"F11", "SCRIPT FLUSH in a loop, under load", onSockets, scriptFlushes},
		{"F11", "SCRIPT FLUSH in a loop, on a server", onServer(), scriptFlushes},
		{"F11", "the server restarts and has forgotten all", onServer(), restart},
		{"F11", "600 other scripts, which evict ours from 7.4 on", onServer(), evicted},
		{"F12", "FLUSHALL in the midst of a probe", inBubble, flushAll},
		{"F20", "the record is junk", inBubble, junk},
		{"F37", "the holder of a probe is gone", inBubble, holderGone},
		{"F38", "the result comes after its lease", inBubble, afterLease},
		{"F39", "the result is of an earlier epoch", inBubble, earlierEpoch},
		{"F40", "a permit is settled twice", inBubble, settledTwice},
		{"F42", "twenty processes come back", inBubble, herd},
		{"F43", "the call panics or exits", inBubble, panics},
		{"F44", "the caller cancels", inBubble, cancels},
		{"F45", "Stop and Close under traffic", inBubble, closes},
		{"F45", "Close while Redis is dead", inBubble, closesDead},
		{"F49", "extreme policies", inBubble, extremes},
		{"F51", "EVAL alone is denied", onServer(), func(bed *testbed) { denied(bed, "-eval") }},
		{"F51", "SCRIPT LOAD alone is denied", onServer(), func(bed *testbed) { denied(bed, "-script|load") }},
		{"F54", "the record outlives its open period", inBubble, ttl},
		{"F2", "256 goroutines, packets vanish", inBubble, blackhole256},
		{"F2", "what was known before the outage holds", inBubble, known},
		{"F2", "two processes agree again", inBubble, agreeAgain},
	} {
		t.Run(row.id+" "+row.what, func(t *testing.T) {
			row.environment(t, func(bed *testbed) {
				row.test(bed)
				bed.Logf("%-4s %s", row.id, row.what)
			})
		})
	}
}

func cut(bed *testbed, after int) {
	m := bed.addMember(policy)
	m.mustRun(fail)
	p := m.mustAcquire()
	executed := bed.countScripts()
	bed.net.Set(faultproxy.CutReply(after))
	p.Failure(errDown)
	if n := executed(); n["EVALSHA"] != 1 || len(n) != 1 {
		bed.Errorf("the server got %v, want one EVALSHA", n)
	}
	m.wantDegraded(unknown, "report", "")
	m.wantStreak(2) // counted once; later replies still belong to their own calls
	m.mustRecover(quietTime)
	m.wantState(redbreaker.StateClosed)
}

// flaps: a storage that returns for less than quietTime at a time is in one outage.
func flaps(bed *testbed) {
	m := bed.addMember(redbreaker.Policy{ConsecutiveFailures: 1_000_000})
	m.mustRun(succeed)
	dials := bed.dials.Load()
	for range 10 {
		for _, f := range []faultproxy.Fault{faultproxy.Refuse(), faultproxy.Pass()} {
			bed.net.Set(f)
			for range 30 {
				start := time.Now()
				m.mustRun(succeed)
				if took := time.Since(start); took > 2*bed.timeout {
					bed.Errorf("a call took %v", took)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	if n := bed.dials.Load() - dials; n > 10*20 {
		bed.Errorf("%d connections were tried in 6 s", n)
	}
	m.mustRecover(guardMax + quietTime)
}

func replyVanishes(bed *testbed) {
	m := bed.addMember(policy)
	p := m.mustAcquire()
	bed.net.Set(faultproxy.DropReplies())
	start := time.Now()
	p.Failure(errDown)
	if took := time.Since(start); took != bed.timeout {
		bed.Errorf("it took %v", took)
	}
	m.wantDegraded(unknown, "report", "no answer within")
	bed.net.Set(faultproxy.Pass())
	time.Sleep(10 * time.Second) // longer than any retry could take
	m.wantStreak(1)
	m.mustRecover(guardMax + quietTime)
}

func scriptFlush(bed *testbed) {
	m := bed.addMember(policy)
	m.mustRun(fail)
	p := m.mustAcquire()
	bed.must(m.client.ScriptFlush(ctx).Err())
	executed := bed.countScripts()
	p.Failure(errDown)
	if n := executed(); n["EVALSHA"] != 2 || n["SCRIPT"] != 1 || n["EVAL"] != 0 {
		bed.Errorf("the server got %v, want EVALSHA twice and one load", n)
	}
	m.wantStreak(2)
	m.wantNoOutage()
}

func scriptFlushes(bed *testbed) {
	const callers, each = 8, 12
	bed.timeout = 20 * time.Second
	m := bed.addMember(redbreaker.Policy{ConsecutiveFailures: 1_000_000})
	var all sync.WaitGroup
	var running atomic.Int64
	for range callers {
		running.Add(1)
		all.Go(func() {
			defer running.Add(-1)
			for range each {
				m.mustRun(fail)
			}
		})
	}
	for running.Load() > 0 {
		bed.must(bed.admin.ScriptFlush(ctx).Err())
		time.Sleep(time.Millisecond)
	}
	all.Wait()
	m.wantStreak(callers * each)
	m.wantNoOutage()
}

// evicted: Redis evicts only scripts that came by EVAL, so this user may not
// run SCRIPT LOAD.
func evicted(bed *testbed) {
	bed.mustDo("acl", "setuser", "breaker", "-script|load")
	m := bed.addMember(policy)
	m.mustRun(fail)
	_, err := bed.admin.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 600 {
			p.Eval(ctx, fmt.Sprintf("return %d", i), nil)
		}
		return nil
	})
	bed.must(err)
	m.mustRun(fail)
	m.wantStreak(2)
	m.wantNoOutage()
}

// restart: a record that is gone is reported, and all processes agree on the new one.
func restart(bed *testbed) {
	a, b := bed.addMember(hasty), bed.addMember(hasty)
	a.mustRun(fail)
	b.mustReject(redbreaker.ReasonOpen)
	before := a.mustInspect().Epoch
	bed.server.Restart()
	bed.mustDo("acl", "setuser", "breaker", "on", ">secret", "~*", "&*", "+@all")
	bed.waitUntil(guardMax, "the new record", func() bool {
		return a.Do(ctx, succeed) == nil && !errors.Is(b.Do(ctx, succeed), redbreaker.ErrRejected)
	})
	// Only the first process finds no record; the second finds a new epoch.
	bed.waitUntil(time.Second, "EventLost", func() bool { return len(a.eventsOf(redbreaker.EventLost)) == 1 })
	if after := a.mustInspect().Epoch; after == before {
		bed.Errorf("the new record has the old epoch %d", after)
	}
	a.mustRun(fail)
	b.mustReject(redbreaker.ReasonOpen)
}

func flushAll(bed *testbed) {
	m := bed.addMember(hasty)
	m.mustRun(fail)
	m.mustHalfOpen()
	probe := m.mustAcquire()
	before := m.mustInspect().Epoch
	bed.mini.FlushAll()
	probe.Failure(errDown) // its record is gone
	m.mustRun(succeed)
	m.wantState(redbreaker.StateClosed)
	if after := m.mustInspect().Epoch; after == before {
		bed.Errorf("the new record has the old epoch %d", after)
	}
	m.wantNoOutage()
	if lost := m.eventsOf(redbreaker.EventLost); len(lost) != 1 || lost[0].Epoch != before {
		bed.Errorf("events %+v, want one for the lost epoch %d", lost, before)
	}
	m.mustRun(fail)
	m.mustReject(redbreaker.ReasonOpen)
}

// junk: an unreadable record is replaced and reported as healed.
func junk(bed *testbed) {
	m := bed.addMember(hasty)
	m.mustRun(fail)
	head := bed.mini.HGet(key, "head")
	epoch := regexp.MustCompile(`epoch=\d+`)
	wounds := []string{"", "junk", "1 open", head[:len(head)/2], strings.Repeat("x", 100_000), "\x00\xff"}
	for _, n := range []string{"nan", "-5", "1e308", "inf", "", "99999999999999999999999", "0x10"} {
		wounds = append(wounds, epoch.ReplaceAllString(head, "epoch="+n))
	}
	for i, wound := range wounds {
		bed.mini.HSet(key, "head", wound)
		m.mustRun(succeed)
		m.wantNoOutage()
		if n := len(m.eventsOf(redbreaker.EventHealed)); n != i+1 {
			bed.Fatalf("head %.80q: healed %d times, want %d", wound, n, i+1)
		}
		m.mustRun(fail)
		m.mustReject(redbreaker.ReasonOpen)
	}
}

// holderGone: the permit is never settled, as after a kill.
func holderGone(bed *testbed) {
	a, b := bed.addMember(hasty), bed.addMember(hasty)
	a.mustHalfOpen()
	a.mustAcquire()
	r := b.mustReject(redbreaker.ReasonProbing)
	if after := r.RetryAfter(); after <= 0 || after > hasty.HalfOpen.Lease {
		bed.Errorf("retry after %v, want at most the lease", after)
	}
	time.Sleep(hasty.HalfOpen.Lease - time.Millisecond)
	b.mustReject(redbreaker.ReasonProbing)
	time.Sleep(time.Millisecond)
	b.mustRun(succeed)
	b.wantState(redbreaker.StateClosed)
	b.wantNoOutage()
}

// afterLease: a paused process reports late. Its result counts once while its round
// lasts, and changes nothing afterwards.
func afterLease(bed *testbed) {
	a, b := bed.addMember(hasty), bed.addMember(hasty)
	overdue := func() *redbreaker.Permit {
		a.mustHalfOpen()
		late := a.mustAcquire()
		time.Sleep(hasty.HalfOpen.Lease)
		a.wantState(redbreaker.StateHalfOpen)
		return late
	}

	late := overdue()
	next := b.mustAcquire() // the slot is taken by another
	late.Success()
	a.wantState(redbreaker.StateClosed)
	next.Failure(errDown)
	a.wantState(redbreaker.StateClosed)

	late = overdue()
	late.Failure(errDown)
	a.wantState(redbreaker.StateOpen)
	time.Sleep(hasty.OpenFor)
	b.mustRun(succeed)
	a.wantState(redbreaker.StateClosed)

	late = overdue()
	b.mustRun(succeed) // the round is over
	late.Failure(errDown)
	a.wantState(redbreaker.StateClosed)
	a.wantNoOutage()
}

func earlierEpoch(bed *testbed) {
	a, b := bed.addMember(hasty), bed.addMember(hasty)
	late := []*redbreaker.Permit{a.mustAcquire(), a.mustAcquire(), a.mustAcquire()}
	b.mustRun(fail)
	for i, state := range []redbreaker.State{redbreaker.StateOpen, redbreaker.StateHalfOpen, redbreaker.StateClosed} {
		switch state {
		case redbreaker.StateHalfOpen:
			b.mustHalfOpen()
		case redbreaker.StateClosed:
			b.mustRun(succeed)
		}
		late[i].Failure(errDown)
		a.wantState(state)
		a.wantStreak(0)
	}
	a.wantNoOutage()
}

func settledTwice(bed *testbed) {
	m := bed.addMember(policy)
	p := m.mustAcquire()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { p.Failure(errDown) })
	}
	all.Wait()
	m.wantStreak(1)
	m.wantNoOutage()
}

// herd: each process sends one trial, at a random time of its own, and together
// they load the script about once.
func herd(bed *testbed) {
	const fleet, every = 20, 100 * time.Millisecond
	members := make([]*member, fleet)
	for i := range members {
		members[i] = bed.addMember(policy)
		members[i].mustRun(succeed)
	}
	bed.net.Set(faultproxy.Refuse())
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
	bed.must(func() error { bed.net.Set(faultproxy.Pass()); return members[0].client.ScriptFlush(ctx).Err() }())

	var mu sync.Mutex
	var trials []time.Time
	loads := 0
	bed.mini.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case cmd == "SCRIPT" && args[1] == scripts.Step.Source:
			loads++
		case cmd == "EVALSHA" && args[0] == scripts.Step.SHA && args[3][0] == '0': // no admissions
			if len(args) == 5 { // no results
				trials = append(trials, time.Now())
			}
		}
		return false
	})
	healed := time.Now()
	play(guardMax+quietTime+time.Second, call)
	bed.mini.Server().SetPreHook(nil)
	for _, m := range members {
		if len(m.eventsOf(redbreaker.EventDegraded)) != 1 || len(m.eventsOf(redbreaker.EventRestored)) != 1 {
			bed.Errorf("%d degraded and %d restored events; want one each", len(m.eventsOf(redbreaker.EventDegraded)), len(m.eventsOf(redbreaker.EventRestored)))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	// A process that finds the script missing loads it and repeats its trial: the
	// first one, and those that ask before the load is done.
	if len(trials) != fleet+loads || loads == 0 || loads > fleet/4 {
		bed.Errorf("%d processes made %d trials and loaded the script %d times", fleet, len(trials), loads)
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
		bed.Errorf("%d of %d processes asked within 100 ms", busiest, fleet)
	}
	bed.Logf("%d trials within %v of the return, at most %d in 100 ms", len(trials), trials[len(trials)-1].Sub(healed), busiest)
}

func panics(bed *testbed) {
	m := bed.addMember(hasty)
	for _, end := range []func(){func() { panic("boom") }, runtime.Goexit} {
		m.mustHalfOpen()
		var recovered any
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { recovered = recover() }()
			_ = m.Do(ctx, func(context.Context) error { end(); return nil })
		}()
		<-done
		if recovered != nil && recovered != "boom" {
			bed.Errorf("recovered %v", recovered)
		}
		m.wantState(redbreaker.StateOpen) // the probe has failed
	}
	m.wantNoOutage()
}

func cancels(bed *testbed) {
	m := bed.addMember(hasty)
	m.mustHalfOpen()
	// While the call runs: its probe's slot is free again at once.
	during, cancel := context.WithCancel(ctx)
	err := m.Do(during, func(ctx context.Context) error { cancel(); return ctx.Err() })
	if err != context.Canceled {
		bed.Errorf("got %v", err)
	}
	m.wantState(redbreaker.StateHalfOpen)
	m.mustRun(succeed)
	m.wantState(redbreaker.StateClosed)
	// While the storage step is in flight.
	bed.net.Set(faultproxy.Blackhole())
	for range 10 {
		short, cancel := context.WithTimeout(ctx, bed.timeout/5)
		start := time.Now()
		if err := m.Do(short, succeed); err != context.DeadlineExceeded {
			bed.Errorf("got %v", err)
		}
		if took := time.Since(start); took != bed.timeout/5 {
			bed.Errorf("it took %v", took)
		}
		cancel()
	}
	bed.net.Set(faultproxy.Pass())
	// Before the call.
	if err := m.Do(during, succeed); err != context.Canceled {
		bed.Errorf("got %v", err)
	}
	m.mustRun(succeed)
	m.wantNoOutage()
}

func closes(bed *testbed) {
	bed.net.Set(faultproxy.Delay(time.Millisecond))
	for what, end := range map[string]func(m *member){
		"Stop":  func(m *member) { m.Stop() },
		"Close": func(m *member) { bed.must(m.store.Close()) },
	} {
		m := bed.addMember(policy)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					if err := m.Do(ctx, succeed); err != nil {
						if err != redbreaker.ErrStopped {
							bed.Errorf("%s: a call got %v", what, err)
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
			bed.Errorf("%s: events %+v, want none", what, m.events)
		}
		m.mu.Unlock()
	}
}

// closesDead: the bubble does not end while a goroutine of the storage runs.
func closesDead(bed *testbed) {
	bed.options.ContextTimeoutEnabled = false
	m := bed.addMember(policy)
	m.mustRun(succeed)
	bed.net.Set(faultproxy.Blackhole())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { m.mustRun(succeed) })
	}
	all.Wait()
	start := time.Now()
	bed.must(m.store.Close())
	if took := time.Since(start); took > 5*time.Second { // the client's read timeout
		bed.Errorf("Close took %v", took)
	}
	if err := m.Do(ctx, succeed); err != redbreaker.ErrStopped {
		bed.Errorf("after Close: %v", err)
	}
}

func extremes(bed *testbed) {
	const most = time.Duration(math.MaxInt64)
	m := bed.addMember(policy)
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
			bed.Errorf("%+v: got %v", p, err)
		}
	}
	if n := bed.dials.Load(); n != 0 {
		bed.Errorf("New made %d connections", n)
	}

	half := redbreaker.HalfOpen{Probes: engine.MaxProbes, Successes: engine.MaxProbes, Lease: engine.MaxDuration}
	slow := redbreaker.Backoff{Multiplier: 10, Max: engine.MaxDuration, Jitter: 1}
	for _, p := range []redbreaker.Policy{
		{ConsecutiveFailures: engine.MaxThreshold, OpenFor: engine.MaxDuration, Backoff: slow, HalfOpen: half, IdleTTL: engine.MaxDuration},
		{Window: redbreaker.Window{Calls: engine.MaxCalls, FailureCount: engine.MaxCalls}, OpenFor: engine.MaxDuration, HalfOpen: half, IdleTTL: 1},
		{Window: redbreaker.Window{Period: engine.MaxDuration, FailureRate: 0.0001, MinCalls: engine.MaxThreshold}, OpenFor: 1, MinReporters: engine.MaxReporters},
	} {
		bed.mini.FlushAll()
		m := bed.addMember(p)
		m.mustRun(fail)
		m.mustControl(redbreaker.Command{Action: redbreaker.ActionTrip, For: engine.MaxDuration})
		m.mustReject(redbreaker.ReasonOpen)
		m.mustHalfOpen()
		m.mustRun(fail)
		m.wantNoOutage()
		if n := len(m.eventsOf(redbreaker.EventHealed)); n != 0 {
			bed.Errorf("%+v: its record was unreadable %d times", p, n)
		}
	}
}

// denied: a user needs EVALSHA and one of EVAL and SCRIPT LOAD.
func denied(bed *testbed, right string) {
	bed.mustDo("acl", "setuser", "breaker", right)
	m := bed.addMember(policy)
	m.mustRun(fail)
	bed.must(bed.admin.ScriptFlush(ctx).Err())
	m.mustRun(fail)
	m.wantStreak(2)
	bed.must(m.Ping(ctx))
	m.wantNoOutage()
}

func ttl(bed *testbed) {
	const openFor = 72 * time.Hour
	m := bed.addMember(redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: openFor, IdleTTL: time.Minute})
	m.mustRun(fail)
	if got := bed.mini.TTL(key); got < openFor {
		bed.Errorf("the record lives for %v, its circuit is open for %v", got, openFor)
	}
	time.Sleep(openFor - time.Second)
	m.mustReject(redbreaker.ReasonOpen)
	time.Sleep(time.Second)
	m.mustRun(fail) // the probe
	m.wantState(redbreaker.StateOpen)
	m.wantNoOutage()
}

// blackhole256: the first three calls of each goroutine take the timeout, since
// calls that fail at the same time count as one failure; later calls send nothing, and the log has one line for the new record and two for the outage.
func blackhole256(bed *testbed) {
	const callers, each = 256, 50
	var lines lockedBuffer
	m := bed.addMember(redbreaker.Policy{ConsecutiveFailures: 1_000_000},
		redbreaker.WithHooks(redbreaker.LogHooks(slog.New(slog.NewTextHandler(&lines, nil)))))
	warm := []*redbreaker.Permit{m.mustAcquire(), m.mustAcquire()}
	for _, p := range warm {
		p.Success()
	}
	bed.net.Set(faultproxy.Blackhole())
	var all sync.WaitGroup
	for range 3 {
		for range callers {
			all.Go(func() {
				start := time.Now()
				m.mustRun(fail)
				if took := time.Since(start); took > bed.timeout {
					bed.Errorf("a first call took %v", took)
				}
			})
		}
		all.Wait()
	}

	writes, dials := bed.writes.Load(), bed.dials.Load()
	start := time.Now()
	for range callers {
		all.Go(func() {
			for range each {
				m.mustRun(fail)
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took != 0 {
		bed.Errorf("%d calls took %v", callers*each, took)
	}
	if n := bed.writes.Load() - writes; n != 0 {
		bed.Errorf("they wrote %d times to the network", n)
	}
	if n := bed.dials.Load() - dials; n > callers { // dials of the first calls may still run
		bed.Errorf("they dialed %d times", n)
	}

	// The guard sends one trial at a time, at growing intervals.
	writes = bed.writes.Load()
	for range 6000 {
		m.mustRun(fail)
		time.Sleep(10 * time.Millisecond)
	}
	if n := bed.writes.Load() - writes; n > 40 {
		bed.Errorf("a minute of calls wrote %d times to the network", n)
	}
	bed.net.Reset()
	bed.net.Set(faultproxy.Pass())
	m.mustRecover(guardMax + quietTime + bed.timeout)
	time.Sleep(time.Second)
	log := lines.String()
	for _, want := range []string{"created", "storage unavailable", "storage available again"} {
		if strings.Count(log, "\n") != 3 || !strings.Contains(log, want) {
			bed.Errorf("the log says\n%s\nwant three lines, one with %q", log, want)
		}
	}
}

// known: during an outage an open circuit, a forced mode and a round of probes
// last for the time that they had left.
func known(bed *testbed) {
	for what, test := range map[string]struct {
		set    func(m *member)
		reason redbreaker.Reason
		left   time.Duration
	}{
		"open":        {func(m *member) { m.mustRun(fail); m.mustReject(redbreaker.ReasonOpen) }, redbreaker.ReasonOpen, hasty.OpenFor},
		"forced open": {func(m *member) { m.mustControl(redbreaker.Command{Action: redbreaker.ActionForceOpen, For: time.Hour}) }, redbreaker.ReasonForced, time.Hour},
		"half-open":   {func(m *member) { m.mustHalfOpen(); m.mustAcquire() }, redbreaker.ReasonOpen, hasty.HalfOpen.Lease},
	} {
		bed.mini.FlushAll()
		m := bed.addMember(hasty)
		m.mustRun(succeed)
		test.set(m)
		from := time.Now()
		bed.net.Set(faultproxy.Blackhole())
		for time.Since(from) < test.left-2*bed.timeout {
			m.mustReject(test.reason)
			time.Sleep(test.left / 100)
		}
		time.Sleep(test.left)
		m.mustRun(succeed)
		if !m.Status().Degraded {
			bed.Errorf("%s: the outage is over", what)
		}
		bed.net.Reset()
		bed.net.Set(faultproxy.Pass())
		time.Sleep(guardMax)
		bed.mini.FlushAll() // only the outage matters here
		m.mustRecover(guardMax + quietTime)
	}
}

// agreeAgain: one process trips its local breaker during the outage, another does
// not; afterwards the record decides for both within the guard's longest pause.
func agreeAgain(bed *testbed) {
	const every = 50 * time.Millisecond
	a, b := bed.addMember(policy), bed.addMember(policy)
	a.mustRun(succeed)
	b.mustRun(succeed)
	bed.net.Set(faultproxy.Blackhole())
	for range threshold {
		a.mustRun(fail)
	}
	for start := time.Now(); time.Since(start) < 2*time.Minute; time.Sleep(every) {
		a.mustReject(redbreaker.ReasonOpen) // of the local breaker
		b.mustRun(succeed)
	}
	bed.net.Reset()
	bed.net.Set(faultproxy.Pass())
	healed := time.Now()
	bed.waitUntil(guardMax+bed.timeout, "a to be admitted by the record", func() bool { _ = b.Do(ctx, succeed); return a.Do(ctx, succeed) == nil })
	bed.waitUntil(guardMax+bed.timeout-time.Since(healed), "b to trip the record", func() bool {
		_ = b.Do(ctx, fail)
		s, err := a.Inspect(ctx)
		return err == nil && s.State == redbreaker.StateOpen
	})
	bed.Logf("they agree %v after the return", time.Since(healed))
	a.mustReject(redbreaker.ReasonOpen)
	b.mustReject(redbreaker.ReasonOpen)
	time.Sleep(quietTime)
	a.mustRecover(quietTime)
	b.mustRecover(quietTime)
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
