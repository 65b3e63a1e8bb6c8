package panel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// A page of the list shows the breakers that matter most, so it needs all of them.
// Requests share one reading of the whole fleet while it is young. What changed
// meanwhile, as far as the feed or a command of this panel shows, is read again by
// itself, so a page never shows less than the event that made it load.

const (
	// maxReadingAge is how long requests share a reading.
	maxReadingAge = time.Second
	// maxReadingShare limits the share of the time that is spent on reading the fleet: a
	// reading lives this many times as long as it took.
	maxReadingShare = 10
	// readTimeout limits a reading. The storage has a timeout for each operation, of
	// which a large fleet needs many.
	readTimeout = 30 * time.Second
)

// breaker is a breaker of a reading. It has a snapshot, or only a name and a fault if it
// could not be read, or only a key if its name is too long to be stored.
type breaker struct {
	engine.Snapshot
	key    string
	fault  error
	at     time.Time // when it was read
	danger float64   // how much of its nearest threshold it has reached, 0 to 1
}

// hasSnapshot reports whether the state of the breaker is known.
func (b *breaker) hasSnapshot() bool { return b.key == "" && b.fault == nil }

// reading is the whole fleet. It is not changed after it was made.
type reading struct {
	began    time.Time
	listedAt time.Time     // when all names were listed
	took     time.Duration // of the reading that listed them
	breakers []*breaker    // by name
	err      error         // of the parts of the index that could not be read
}

// problems returns the errors of the index and of the breakers that could not be read.
func (r *reading) problems() error {
	faults := []error{r.err}
	for _, b := range r.breakers {
		faults = append(faults, b.fault)
	}
	return errors.Join(faults...)
}

// fleet reads all breakers of a storage. It is safe for concurrent use.
type fleet struct {
	storage engine.Storage
	lister  engine.Lister

	mu       sync.Mutex
	latest   *reading
	changed  map[string]bool // names to read again
	inFlight *readJob
}

// readJob is a reading in flight.
type readJob struct {
	done chan struct{}
	err  error // set before done is closed
}

func newFleet(s engine.Storage, l engine.Lister) *fleet {
	return &fleet{storage: s, lister: l, changed: map[string]bool{}}
}

// markChanged makes the next reading read the breaker again. If the next reading lists
// all names anyway, there is nothing to mark: while events are followed but no page is
// loaded, the marks would grow with every name.
func (f *fleet) markChanged(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inFlight == nil && (f.latest == nil || f.latest.isOld()) {
		return
	}
	f.changed[name] = true
}

// readFleet returns a reading that shows everything that was marked as changed before
// the call. The error is the context's, or that of a storage of which nothing could be
// read.
func (f *fleet) readFleet(ctx context.Context) (*reading, error) {
	return f.readSince(ctx, false)
}

// readAnew returns a reading of all breakers that began after the call.
func (f *fleet) readAnew(ctx context.Context) (*reading, error) {
	return f.readSince(ctx, true)
}

func (f *fleet) readSince(ctx context.Context, all bool) (*reading, error) {
	arrived := time.Now()
	for {
		f.mu.Lock()
		r := f.latest
		// A reading that began later shows what was marked before. To wait until nothing is
		// marked could take as long as breakers change.
		if r != nil && (!r.began.Before(arrived) && (!all || r.began.Equal(r.listedAt)) || !all && f.isCurrentLocked(r)) {
			f.mu.Unlock()
			return r, nil
		}
		job := f.startLocked(all)
		f.mu.Unlock()
		select {
		case <-job.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if job.err != nil {
			return nil, job.err
		}
	}
}

func (f *fleet) isCurrentLocked(r *reading) bool {
	return len(f.changed) == 0 && !r.isOld()
}

// isOld reports whether the names must be listed again.
func (r *reading) isOld() bool {
	return time.Since(r.listedAt) >= max(maxReadingAge, maxReadingShare*r.took)
}

// startLocked returns the reading in flight, or starts one.
func (f *fleet) startLocked(all bool) *readJob {
	if f.inFlight != nil {
		return f.inFlight
	}
	job, changed, base := &readJob{done: make(chan struct{})}, f.changed, f.latest
	f.inFlight, f.changed = job, map[string]bool{}
	if base == nil || base.isOld() {
		all = true
	}
	go func() {
		// Not the context of the request that started it, which others wait for too.
		ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
		defer cancel()
		var r *reading
		if all {
			r, job.err = f.readAll(ctx)
		} else {
			r, job.err = f.readChanged(ctx, base, changed)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inFlight = nil
		if job.err == nil {
			f.latest = r
		} else {
			for name := range changed { // still to be read
				f.changed[name] = true
			}
		}
		close(job.done)
	}()
	return job
}

// readAll lists and reads all breakers.
func (f *fleet) readAll(ctx context.Context) (*reading, error) {
	r := &reading{began: time.Now()}
	r.listedAt = r.began
	var names []string
	var faults []error
	for l, err := range f.lister.Names(ctx) {
		switch {
		case err != nil:
			faults = append(faults, err)
		case l.Name == "":
			r.breakers = append(r.breakers, &breaker{key: l.Key})
		default:
			names = append(names, l.Name)
		}
	}
	found, fault, err := f.inspectNames(ctx, names)
	r.err = errors.Join(append(faults, fault)...)
	if err != nil {
		return nil, errors.Join(err, r.err)
	}
	r.breakers = append(r.breakers, found...)
	wasRead := func(b *breaker) bool { return b.fault == nil }
	if problems := r.problems(); problems != nil && !slices.ContainsFunc(r.breakers, wasRead) {
		return nil, problems
	}
	slices.SortFunc(r.breakers, compareNames)
	r.took = time.Since(r.began)
	return r, nil
}

// readChanged returns the base with the named breakers read again. One that cannot be read
// does not hide the others.
func (f *fleet) readChanged(ctx context.Context, base *reading, changed map[string]bool) (*reading, error) {
	r := &reading{began: time.Now(), listedAt: base.listedAt, took: base.took, err: base.err}
	var names []string
	for name := range changed {
		names = append(names, name)
	}
	found, fault, err := f.inspectNames(ctx, names)
	if err != nil {
		return nil, err
	}
	r.err = errors.Join(r.err, fault)
	r.breakers = slices.DeleteFunc(slices.Clone(base.breakers), func(b *breaker) bool { return b.key == "" && changed[b.Name] })
	r.breakers = append(r.breakers, found...)
	slices.SortFunc(r.breakers, compareNames)
	return r, nil
}

func compareNames(a, b *breaker) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.key, b.key))
}

// inspectNames returns the breakers that exist, those with a fault among them, and the
// joined faults that name none of them. The error is that of a storage which read nothing
// because the context has ended or it is closed.
func (f *fleet) inspectNames(ctx context.Context, names []string) (found []*breaker, rest, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	snapshots, err := f.inspectMany(ctx, names)
	switch {
	case ctx.Err() != nil:
		return nil, nil, errors.Join(ctx.Err(), err)
	case len(snapshots) != len(names):
		return nil, nil, cmp.Or(err, errNothingRead)
	}
	faults, rest := faultsByName(err)
	now := time.Now()
	all := make([]breaker, 0, len(snapshots))
	found = make([]*breaker, 0, len(snapshots))
	for i := range snapshots {
		b := breaker{Snapshot: snapshots[i], at: now}
		switch b.fault = faults[names[i]]; {
		case b.fault != nil:
			b.Snapshot = engine.Snapshot{Name: names[i]}
		case b.Exists:
			b.danger = nearestGauge(&b.Snapshot)
		default:
			continue // it was removed meanwhile
		}
		all = append(all, b)
		found = append(found, &all[len(all)-1])
	}
	return found, rest, nil
}

// errNothingRead is the error of a storage that returns neither breakers nor an error.
var errNothingRead = errors.New("redbreaker: the storage returned fewer breakers than it was asked for, correct its InspectMany")

// faultsByName returns joined errors by the breakers that they name, and the rest.
func faultsByName(err error) (all map[string]error, rest error) {
	all = map[string]error{}
	var collect func(error)
	collect = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				collect(e)
			}
			return
		}
		var failure *engine.StorageError
		if errors.As(err, &failure) && failure.Name != "" {
			all[failure.Name] = err
		} else {
			rest = errors.Join(rest, err)
		}
	}
	if err != nil {
		collect(err)
	}
	return all, rest
}

func (f *fleet) inspectMany(ctx context.Context, names []string) ([]engine.Snapshot, error) {
	if many, ok := f.storage.(engine.ManyInspector); ok {
		return many.InspectMany(ctx, names)
	}
	all := make([]engine.Snapshot, len(names))
	var faults []error
	for i, name := range names {
		var err error
		if all[i], err = f.storage.Inspect(ctx, name); err != nil {
			if errors.Is(err, engine.ErrStopped) {
				return nil, err
			}
			all[i] = engine.Snapshot{Name: name}
			var failure *engine.StorageError
			if !errors.As(err, &failure) || failure.Name != name {
				err = &engine.StorageError{Class: engine.ClassUnknown, Op: "inspect", Name: name, Err: err}
			}
			faults = append(faults, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return all, errors.Join(faults...)
}

// findName returns the name that a segment of a path means.
func (f *fleet) findName(ctx context.Context, segment string) (string, error) {
	if !isDigest(segment) {
		return decodeName(segment), nil
	}
	r, err := f.readFleet(ctx)
	if err != nil {
		return "", err
	}
	for _, b := range r.breakers {
		if len(b.Name) > maxPathName/3 && encodeName(b.Name) == segment {
			return b.Name, nil
		}
	}
	return "", &fault{404, fmt.Sprintf("there is no breaker with the digest %s", strings.TrimPrefix(segment, digestPrefix))}
}

// ageSnapshot returns the snapshot of a breaker that was read a while ago as it is now,
// if nothing happened meanwhile.
func (b *breaker) ageSnapshot(now time.Time) engine.Snapshot {
	s, passed := b.Snapshot, now.Sub(b.at)
	if passed <= 0 || !b.hasSnapshot() {
		return s
	}
	s.Age += passed
	s.RetryAfter = max(0, s.RetryAfter-passed)
	if s.ModeFor > 0 {
		s.ModeFor = max(time.Millisecond, s.ModeFor-passed) // 0 has another meaning: without end
	}
	s.RampFor = max(0, s.RampFor-passed)
	s.Log = slices.Clone(s.Log)
	for i := range s.Log {
		s.Log[i].Ago += passed
	}
	return s
}
