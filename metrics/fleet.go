package metrics

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/engine"
)

// FleetSource is a storage that lists its breakers, such as that of package storage.
// If it is an [engine.ManyInspector] too, records are read in few round trips.
type FleetSource interface {
	engine.Lister
	Inspect(ctx context.Context, name string) (engine.Snapshot, error)
}

// Fleet reads all records of a storage, for the one process that exports them. Make it
// with [NewFleet]. All methods are safe for concurrent use.
type Fleet struct {
	source FleetSource
	listed int
	errors atomic.Int64

	mu       sync.Mutex
	inFlight *fleetRead
}

// NewFleet returns a reader of a storage's records. At most listed of them have series
// of their own, those first that are not closed and in auto; the others share the
// series of fleet.status and fleet.override without a name. Zero means 200. The error
// wraps redbreaker.ErrInvalid.
func NewFleet(s FleetSource, listed int) (*Fleet, error) {
	var faults []error
	if engine.IsNil(s) {
		faults = append(faults, engine.Invalid("the fleet's storage is nil, check the error of what made it"))
	}
	if listed < 0 {
		faults = append(faults, engine.Invalid("%d records are listed, use 1 or more, or 0 for %d", listed, DefaultListed))
	}
	if listed == 0 {
		listed = DefaultListed
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Fleet{source: s, listed: listed}, nil
}

// maxRead is how many records are read at once, so that their logs do not take memory
// at the same time.
const maxRead = 500

// record is the part of a snapshot that has samples.
type record struct {
	label              string
	state              redbreaker.State
	mode               redbreaker.Mode
	transitions, trips float64
	age, retryAfter    float64 // in s
	tally              [4]float64
	thresholds         [5]float64 // 0: off
}

// tallies and thresholds are the values of their attributes.
var (
	tallies    = [...]string{"streak", "calls", "failures", "slow"}
	thresholds = [...]string{"consecutive_failures", "failure_count", "failure_rate", "slow_call_rate", "min_calls"}
)

// Collect reads the storage and calls add for every value of the [FleetInstruments].
// What cannot be read is missing, counts in fleet.errors, and is in the joined error. If
// nothing could be read, only fleet.errors has a value.
//
// Calls at the same time share one reading, so the values may be as old as that reading.
// It ends with the deadline of the call that began it, or when the contexts of all its calls
// have ended, and gives what it has read until then. A call whose context ends while others
// wait returns the context's error, and adds nothing.
func (f *Fleet) Collect(ctx context.Context, add func(Sample)) error {
	all, isRead, err := f.shareRead(ctx)
	if !isRead {
		return err
	}
	records, hidden := splitRecords(all, f.listed)
	var labels []string
	for i := range records {
		labels = append(labels, records[i].label)
	}
	circuits := newCensus(0, labels...)
	for _, all := range [][]record{records, hidden} {
		for i := range all {
			circuits.addCircuit(all[i].label, all[i].state, all[i].mode)
		}
	}
	if err == nil || len(all) > 0 { // a storage that cannot be read must not look like one without open circuits
		circuits.collectCensus(FleetStatus, FleetOverride, nil, add)
	}
	for i := range records {
		records[i].collectRecord(add)
	}
	add(Sample{FleetErrors, nil, float64(f.errors.Load())})
	return err
}

// readRecords returns the records that could be read.
func (f *Fleet) readRecords(ctx context.Context) ([]record, error) {
	names, err := f.readNames(ctx)
	faults := []error{err}
	var records []record
	for some := range slices.Chunk(names, maxRead) {
		if ctx.Err() != nil { // one error, not one for each record
			faults = append(faults, ctx.Err())
			break
		}
		snapshots, err := f.inspectNames(ctx, some)
		faults = append(faults, err)
		for i := range snapshots {
			if snapshots[i].Exists {
				records = append(records, newRecord(&snapshots[i]))
			}
		}
	}
	return records, errors.Join(faults...)
}

func (f *Fleet) readNames(ctx context.Context) ([]string, error) {
	var names []string
	var faults []error
	for listed, err := range f.source.Names(ctx) {
		if err != nil {
			faults = append(faults, err)
		} else if listed.Name != "" {
			names = append(names, listed.Name)
		}
	}
	return names, errors.Join(faults...)
}

func (f *Fleet) inspectNames(ctx context.Context, names []string) ([]engine.Snapshot, error) {
	if many, ok := f.source.(engine.ManyInspector); ok {
		return many.InspectMany(ctx, names)
	}
	var snapshots []engine.Snapshot
	var faults []error
	for _, name := range names {
		if ctx.Err() != nil {
			faults = append(faults, ctx.Err())
			break
		}
		s, err := f.source.Inspect(ctx, name)
		snapshots, faults = append(snapshots, s), append(faults, err)
	}
	return snapshots, errors.Join(faults...)
}

// countErrors returns how many errors were joined.
func countErrors(err error) int64 {
	if err == nil {
		return 0
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return 1
	}
	n := int64(0)
	for _, e := range joined.Unwrap() {
		n += countErrors(e)
	}
	return n
}

func newRecord(s *engine.Snapshot) record {
	r := record{
		label: engine.PrintableName(s.Name), state: s.State, mode: s.Mode, trips: float64(s.Trips),
		age: s.Age.Seconds(), retryAfter: s.RetryAfter.Seconds(),
		tally: [...]float64{float64(s.Streak), float64(s.Calls), float64(s.Failures), float64(s.Slow)},
	}
	if n := len(s.Log); n > 0 {
		r.transitions = float64(s.Log[n-1].N)
	}
	if p := s.Policy; p != nil {
		r.thresholds = [...]float64{
			float64(p.ConsecutiveFailures), float64(p.Window.FailureCount), p.Window.FailureRate, p.Window.SlowCallRate, float64(p.Window.MinCalls),
		}
	}
	return r
}

func (r *record) isQuiet() bool {
	return r.state == redbreaker.StateClosed && r.mode == redbreaker.ModeAuto
}

// compareRecords orders records that are not closed and in auto first, then by name, so
// that the same ones are listed in scrape after scrape.
func compareRecords(a, b record) int {
	if a.isQuiet() != b.isQuiet() {
		if b.isQuiet() {
			return -1
		}
		return 1
	}
	return strings.Compare(a.label, b.label)
}

// splitRecords returns the records with series of their own, and the others. Long names
// may print alike; then the first one has the series.
func splitRecords(records []record, listed int) (shown, hidden []record) {
	seen := map[string]bool{}
	for _, r := range records {
		if len(shown) == listed || seen[r.label] {
			hidden = append(hidden, r)
			continue
		}
		seen[r.label] = true
		shown = append(shown, r)
	}
	return shown, hidden
}

func (r *record) collectRecord(add func(Sample)) {
	addOne := func(i *Instrument, value float64, attribute ...string) {
		add(Sample{i, append([]string{r.label}, attribute...), value})
	}
	addOne(FleetTransitions, r.transitions)
	addOne(FleetTrips, r.trips)
	for i, name := range tallies {
		addOne(FleetTally, r.tally[i], name)
	}
	for i, name := range thresholds {
		if r.thresholds[i] > 0 {
			addOne(FleetThreshold, r.thresholds[i], name)
		}
	}
	addOne(FleetAge, r.age)
	addOne(FleetRetryAfter, r.retryAfter)
}
