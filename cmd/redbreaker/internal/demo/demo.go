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
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
)

// ErrBroken is returned by Run where a promise did not hold; the summary says which.
var ErrBroken = errors.New("a promise of the breaker did not hold, see the summary")

// redraw is how often the record is read and the screen drawn.
const redraw = 100 * time.Millisecond

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

// reading is the record as it was read last.
type reading struct {
	redbreaker.Snapshot
	at time.Time
}

// Run plays until its time is over or ctx is done, then writes the summary. It
// leaves nothing behind. The error is ErrBroken, or says why it could not start.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	d := &demo{Config: c}
	defer d.close()
	if err := d.open(ctx); err != nil {
		return err
	}
	return d.perform(ctx)
}

// perform plays, and writes what came of it.
func (d *demo) perform(ctx context.Context) error {
	d.play(ctx)
	e := d.evidence()
	v := judge(e)
	writeSummary(d.Out, &d.Config, e, v, d.clear())
	if len(v.faults) > 0 {
		return ErrBroken
	}
	return nil
}

// open starts the Redis, the dependency and the replicas.
func (d *demo) open(ctx context.Context) (err error) {
	server := d.Redis
	if d.embedded() {
		if server, err = d.startRedis(); err != nil {
			return err
		}
	}
	if d.dep, err = startDependency(); err != nil {
		return err
	}
	d.closers = append(d.closers, d.dep.close)
	d.journal = &journal{}
	for i := range d.Config.Replicas {
		r, err := newReplica(&d.Config, i+1, server.Client(), d.dep, d.journal)
		d.closers = append(d.closers, r.close)
		if err != nil {
			return err
		}
		d.replicas = append(d.replicas, r)
	}
	if err := d.claim(ctx); err != nil {
		return err
	}
	for _, r := range d.replicas {
		r.call() // connects, so that the first second is like the others
	}
	return nil
}

// startRedis starts the embedded one.
func (d *demo) startRedis() (target.Target, error) {
	m, err := miniredis.Run()
	if err != nil {
		return target.Target{}, fmt.Errorf("start the embedded miniredis: %w", err)
	}
	d.closers = append(d.closers, m.Close)
	return target.Parse(m.Addr())
}

// claim makes sure that the Redis works and that the record is not somebody's:
// the demo would open their circuit, and remove it at the end.
func (d *demo) claim(ctx context.Context) error {
	store := d.replicas[0].store
	if err := store.Ping(ctx); err != nil {
		return err
	}
	s, err := store.Inspect(ctx, d.Name)
	if err != nil {
		return err
	}
	if s.Exists {
		return fmt.Errorf("there is a breaker %q in namespace %q, which the demo does not touch: "+
			"wait a few minutes if it is of another demo, or choose another --name or --namespace", d.Name, d.Namespace)
	}
	return nil
}

// play lets the replicas call, and draws, until the time is over.
func (d *demo) play(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, d.length())
	defer cancel()
	d.start = d.journal.begin()
	var running sync.WaitGroup
	background := func(f func()) {
		running.Add(1)
		go func() {
			defer running.Done()
			f()
		}()
	}
	for _, r := range d.replicas {
		background(func() { r.run(ctx, d.Rate) })
	}
	background(func() { d.watch(ctx) })

	view := d.newView()
	defer view.close()
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for ctx.Err() == nil {
		d.dep.enter(d.phaseAt(time.Since(d.start)))
		view.draw(d.frame())
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	running.Wait()
	view.draw(d.frame())
}

// watch reads the record until ctx is done.
func (d *demo) watch(ctx context.Context) {
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		s, err := d.replicas[0].store.Inspect(ctx, d.Name)
		if err == nil {
			d.latest.Store(&reading{s, time.Now()})
			d.journal.read(s.Log, hookTime)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// frame is what there is to see now.
func (d *demo) frame() frame {
	f := frame{
		config:  &d.Config,
		elapsed: min(time.Since(d.start), d.length()),
		phase:   d.dep.now(),
		entries: d.journal.all(),
	}
	if r := d.latest.Load(); r != nil {
		f.record, f.age = r.Snapshot, time.Since(r.at)
	}
	for _, r := range d.replicas {
		f.replicas = append(f.replicas, r.tally())
	}
	return f
}

// evidence is gathered when all calls have ended.
func (d *demo) evidence() *evidence {
	e := &evidence{probes: d.probes(), start: d.start}
	e.visits, e.recoveredAt = d.dep.seen()
	for _, r := range d.replicas {
		e.replicas = append(e.replicas, r.tally())
		for p := range r.rejected {
			e.rejected[p] += r.rejected[p].Load()
		}
		s, err := r.store.Inspect(context.Background(), d.Name)
		e.records = append(e.records, record{r.name, s, err})
		d.journal.read(s.Log, 0)
	}
	e.entries = d.journal.all()
	return e
}

// probes is the policy's number of probes, after defaults.
func (d *demo) probes() int { return max(d.Policy.HalfOpen.Probes, d.Policy.HalfOpen.Successes, 1) }

// clear removes the record, and says what it could not.
func (d *demo) clear() error {
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

// close ends what was started, last first.
func (d *demo) close() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
}
