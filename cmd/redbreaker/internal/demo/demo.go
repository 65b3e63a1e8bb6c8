package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

// ErrBroken is returned by Run if a promise was broken; the summary says which.
var ErrBroken = errors.New("a promise of the breaker was broken, see the summary")

// redrawTime is the interval at which the record is read and the view is drawn.
const redrawTime = 100 * time.Millisecond

// The keys that end the demo. A terminal in raw mode delivers Ctrl-C as a key.
const (
	keyCtrlC = 3
	keyQuit  = 'q'
)

// demo is one run.
type demo struct {
	Config
	dep      *dependency
	journal  *journal
	replicas []*replica
	start    time.Time
	latest   atomic.Pointer[reading]
	closers  []func()
}

// reading is the record at the time when it was last read.
type reading struct {
	redbreaker.Snapshot
	at time.Time
}

// Run plays the demo until its time is over, ctx is done or a key ends it, and then
// writes the summary. It leaves nothing behind. The error is ErrBroken, or says why
// the demo could not start.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	d := &demo{Config: c}
	defer d.closeParts()
	if err := d.startParts(ctx); err != nil {
		return err
	}
	return d.playAndJudge(ctx)
}

// playAndJudge plays the demo and writes the summary.
func (d *demo) playAndJudge(ctx context.Context) error {
	d.playStages(ctx)
	e := d.gatherEvidence()
	v := judgeEvidence(e)
	writeSummary(d.Out, &d.Config, e, v, d.removeRecord())
	if len(v.faults) > 0 {
		return ErrBroken
	}
	return nil
}

// startParts starts the Redis, the dependency and the replicas.
func (d *demo) startParts(ctx context.Context) (err error) {
	server := d.Redis
	if d.usesEmbedded() {
		if server, err = d.startRedis(); err != nil {
			return err
		}
	}
	if d.dep, err = startDependency(); err != nil {
		return err
	}
	d.closers = append(d.closers, d.dep.stopServing)
	d.journal = &journal{}
	for i := range d.Config.Replicas {
		r, err := newReplica(&d.Config, i+1, server.Client(), d.dep, d.journal)
		d.closers = append(d.closers, r.stopReplica)
		if err != nil {
			return err
		}
		d.replicas = append(d.replicas, r)
	}
	if err := d.claimBreaker(ctx); err != nil {
		return err
	}
	if d.Panel != "" {
		if err := d.startPanel(server); err != nil {
			return err
		}
	}
	for _, r := range d.replicas {
		r.makeCall() // connects, so that the first second is like the others
	}
	return nil
}

// startRedis starts the embedded miniredis.
func (d *demo) startRedis() (target.Target, error) {
	m, err := miniredis.Run()
	if err != nil {
		return target.Target{}, fmt.Errorf("start the embedded miniredis: %w", err)
	}
	d.closers = append(d.closers, m.Close)
	return target.Parse(m.Addr(), target.Settings{})
}

// claimBreaker checks that the Redis works and that the breaker does not exist: the
// demo would open the circuit of a service, and remove its record at the end.
func (d *demo) claimBreaker(ctx context.Context) error {
	store := d.replicas[0].store
	s, err := store.Inspect(ctx, d.Name)
	if err != nil {
		return err
	}
	if s.Exists {
		return fmt.Errorf("there is a breaker %s in namespace %s, which the demo does not touch: "+
			"wait a few minutes if it belongs to another demo, or choose another --name or --namespace", plaintext.Quote(d.Name), plaintext.Quote(d.Namespace))
	}
	return store.Ping(ctx)
}

// playStages lets the replicas call, and draws, until the time is over.
func (d *demo) playStages(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, d.totalLength())
	defer cancel()
	if d.Screen != nil && d.Screen.Keys != nil {
		restore := d.Screen.Keys(func(key byte) {
			if key == keyCtrlC || key == keyQuit {
				cancel()
			}
		})
		defer restore()
	}
	view := d.newView()
	defer view.close()
	d.start = d.journal.startClock()
	var running sync.WaitGroup
	background := func(f func()) {
		running.Add(1)
		go func() {
			defer running.Done()
			f()
		}()
	}
	for _, r := range d.replicas {
		background(func() { r.callUntilDone(ctx, d.Rate) })
	}
	background(func() { d.pollRecord(ctx) })

	tick := time.NewTicker(redrawTime)
	defer tick.Stop()
	for ctx.Err() == nil {
		d.dep.enterStage(d.stageAt(time.Since(d.start)))
		view.draw(d.currentFrame())
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	running.Wait()
	view.draw(d.currentFrame())
}

// pollRecord reads the record until ctx is done.
func (d *demo) pollRecord(ctx context.Context) {
	tick := time.NewTicker(redrawTime)
	defer tick.Stop()
	for {
		s, err := d.replicas[0].store.Inspect(ctx, d.Name)
		if err == nil {
			d.latest.Store(&reading{s, time.Now()})
			d.journal.addFromLog(s.Log, hookTime)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// currentFrame returns what a view shows now.
func (d *demo) currentFrame() frame {
	f := frame{
		config:  &d.Config,
		elapsed: min(time.Since(d.start), d.totalLength()),
		stage:   d.dep.currentStage(),
		entries: d.journal.listEntries(),
	}
	if r := d.latest.Load(); r != nil {
		f.record, f.age = r.Snapshot, time.Since(r.at)
	}
	for _, r := range d.replicas {
		f.replicas = append(f.replicas, r.currentTally())
	}
	return f
}

// gatherEvidence collects the evidence after all calls have ended.
func (d *demo) gatherEvidence() *evidence {
	e := &evidence{
		probes: d.policyProbes(), threshold: int64(d.Policy.ConsecutiveFailures), start: d.start,
	}
	e.visits, e.recoveredAt = d.dep.countedVisits()
	for _, r := range d.replicas {
		e.replicas = append(e.replicas, r.currentTally())
		for s := range r.rejected {
			e.rejected[s] += r.rejected[s].Load()
		}
		s, err := r.store.Inspect(context.Background(), d.Name)
		e.records = append(e.records, record{r.name, s, err})
		d.journal.addFromLog(s.Log, 0)
	}
	e.entries = d.journal.listEntries()
	return e
}

// policyProbes returns the policy's number of probes after defaults.
func (d *demo) policyProbes() int {
	return max(d.Policy.HalfOpen.Probes, d.Policy.HalfOpen.Successes, 1)
}

// removeRecord removes the record of the breaker.
func (d *demo) removeRecord() error {
	keys, err := cluster.New(d.Namespace)
	if err != nil {
		return err
	}
	key, err := keys.Key(d.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	return d.replicas[0].rdb.Del(ctx, key).Err()
}

// closeParts ends what was started, in reverse order.
func (d *demo) closeParts() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
}
