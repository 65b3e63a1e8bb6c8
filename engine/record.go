package engine

// schema is the version of the record's layout, which head and tally begin with. A
// release with another layout writes it in both with its first step, because the fast
// path reads the tally without the head. It changes only when an older
// release could no longer read what a newer one writes: in a rolling update both
// work on the same records.
const schema = 1

// Bounds of what an honest step writes. A number beyond its bound means damage.
const (
	maxInt   = 1<<53 - 1 // Lua's numbers are exact below 2^53
	maxEpoch = 1 << 52
	maxMS    = int64(MaxDuration / 1e6)
	maxGrant = 1 << 31
	// maxTally bounds the calls of a window: times scale they stay below 2^53.
	maxTally = 1 << 39
	// maxClock is the last ms, in the year 2109, whose epochs do not exceed maxEpoch.
	maxClock = 1<<42 - 1
	maxTTL   = 3 * maxMS // IdleTTL + 2 * the longest duration

	buckets   = 10  // of a time window
	chunk     = 128 // outcomes in one field of the count ring
	logSlots  = 16
	maxNumber = 1e15 - 1 // of a transition: 15 digits
	textBytes = 64       // of any text that a caller gives
)

// Record is all that is known of one breaker. The zero Record is absent: the
// first step creates it. All times are ms of the storage's clock. A Record is not
// safe for concurrent use.
//
// It is split by who needs what: an admission reads the head, an outcome in closed
// the tally, an outcome in half-open the round. Each is one field of the Redis
// hash, so that a step reads and writes as few fields as possible.
type Record struct {
	exists bool
	head
	modeTerm
	tally
	cells     *[buckets]cell // of a time window, by bucket number modulo 10; none before the second bucket
	ring      []byte         // of a count window, one letter for each outcome
	reporters []reporter     // newest first
	round     round
	policy    string   // the rules' text at the last transition
	log       []string // entries, see logIndex; as long as slots were used

	// junk keeps damaged fields as they are, by name, until a step writes them
	// again. So the step that needs such a field can report that it was damaged.
	junk map[string]string
	// unknown keeps fields of a later release, which must survive this one.
	unknown map[string]string
}

// head has the fields that an admission needs. It changes only in a transition, or when a
// clock went back.
type head struct {
	state       State
	mode        Mode
	rampFrom    uint16 // the share, in 1/10 000, with which the ramp begins; 0: no ramp
	epoch       int64  // changes with every transition
	fingerprint string // of the policy that made the last transition
	since       int64  // when the state began
	until       int64  // open: when probes may start; else 0
	openFor     int64  // the length of this, or the last, open period
	trips       int64  // opens in a row
	newest      int64  // number of the newest transition, from 1; its log entry is in slot newest mod 16
	rampMS      int64  // closed: the length of the ramp, which begins at since; 0: none
}

// modeTerm has the fields of a mode other than auto.
type modeTerm struct {
	modeUntil, modeFor int64 // its end and planned length; both 0: until released
	modeReason, modeBy string
}

// tally has the fields that an outcome needs in closed. It changes with almost
// every outcome, which is why it is apart from the head.
type tally struct {
	streak     int64       // consecutive failures
	seq        int64       // numbers the outcomes of this epoch, see [machine.settleClosed]
	shape      WindowShape // of the window; none while it is empty
	shapeSince int64       // when the window took its shape
	// cell is where the next outcome goes: the bucket's number, or the ring's index.
	cell  int64
	clean int64 // fast successes since the last failure or slow call, in a count window
	calls pair
	fails pair
	slows pair
	// From fastFrom to before fastUntil a step only counts, see
	// [machine.setFastInterval].
	fastFrom, fastUntil int64
	expires             int64 // when the TTL ends; 0: there is none
}

// pair is a number in the current bucket (0 in a count window) and in the whole window.
type pair struct{ current, all int64 }

// cell is a bucket of a time window that is not the current one.
type cell struct{ bucket, calls, fails, slows int64 }

// reporter is who reported a failure or a slow call, and where its last one
// lies: its number in this epoch, and its bucket.
type reporter struct {
	by          string
	seq, bucket int64
}

// round is a half-open round of probes.
type round struct {
	probes, successes, leaseMS int64 // n, m and the lease length it began with
	grants                     int64 // leases granted so far
	succeeded, failed, lapsed  int64
	late                       []lease // lapsed, without a result yet: the last n
	leases                     []lease // outstanding; each list is in the order of grants
}

// lease is a probe's permission to count.
type lease struct{ grant, deadline int64 }

// Expires is when the record's time to live ends, in ms of the storage's clock;
// 0 if it has no end, or none that reads well. A storage without expiry of its
// own takes the record as absent from then on.
func (r *Record) Expires() int64 { return r.expires }

// pastCells returns the buckets other than the current one.
func (r *Record) pastCells() []cell {
	if r.cells == nil {
		return nil
	}
	return r.cells[:]
}

// Number returns the number of the newest transition; 0 if there is no record.
func (r *Record) Number() int64 {
	if !r.exists {
		return 0
	}
	return r.newest
}

// slotEntry returns the entry in a slot of the log; "" if none was written yet.
func (r *Record) slotEntry(slot int64) string {
	if i := logIndex(slot); i < len(r.log) {
		return r.log[i]
	}
	return ""
}

// logIndex returns where the log keeps the entry of a slot: slot 1 first, because
// transitions are numbered from 1, and most records have one.
func logIndex(slot int64) int { return int((slot + logSlots - 1) % logSlots) }

func (r *Record) setSlotEntry(slot int64, entry string) {
	i := logIndex(slot)
	for len(r.log) <= i {
		r.log = append(r.log, "")
	}
	r.log[i] = entry
}

// within reports whether lo <= n <= hi.
func within(n, lo, hi int64) bool { return lo <= n && n <= hi }
