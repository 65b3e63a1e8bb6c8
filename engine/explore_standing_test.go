package engine

import (
	"fmt"

	"github.com/google/go-cmp/cmp"
)

const invStanding invariant = "a standing changes nothing, and an outlook from it foresees the trip"

// standings asks for the standing in a state, and takes the next outcome of each host
// from there: the outlook must foresee a trip, and nothing else but where it cannot know.
func (x *explorer) standings(w *exploredState) string {
	for by := range x.hosts() {
		b := Batch{Reporter: hosts[by], AskStanding: true}
		var reply Reply
		rnd := x.fresh(&x.other, w, func(rnd int64) { reply = x.machine.step(&x.other, x.rules(by), w.now, rnd, b) })
		x.parts.become(&w.rec)
		b.AskStanding = false
		x.machine.step(&x.parts, x.rules(by), w.now, rnd, b)
		mends := x.parts.since > w.now // then a step that reads the clock writes
		if diff := cmp.Diff(x.parts.Fields(), x.other.Fields()); diff != "" && !mends {
			return "asking changes the record:\n" + diff
		}
		foreign := x.parts.shape.Kind != windowNone && x.rules(by).Window.Kind != windowNone && x.parts.shape != x.rules(by).Window
		ahead := x.parts.shape.Kind == windowTime && x.parts.cell*x.parts.shape.bucketMS() > w.now+x.parts.shape.Size
		if known := x.parts.isCounting() && !foreign && !ahead; known != reply.Standing.Known {
			return fmt.Sprintf("host %s: known is %t: %+v", hosts[by], reply.Standing.Known, reply.Standing)
		}
		for _, o := range x.outcomes {
			if text := x.foresees(&x.other, w.now, by, &reply.Standing, o); text != "" {
				return text
			}
		}
	}
	return ""
}

// foresees compares the outlook of one outcome with the outcome itself, now and after
// the next turn of a bucket.
func (x *explorer) foresees(from *Record, now int64, by int, s *Standing, o Outcome) string {
	if !s.Known {
		return ""
	}
	l := x.rules(by).Outlook(s)
	foreseen := l.Add(Run{o, 1})
	b := Batch{Reporter: hosts[by], Results: []Result{{Ticket{Epoch: from.epoch}, []Run{{o, 1}}}}}
	opens := func(at int64) bool {
		x.parts.become(from)
		return x.parts.Step(x.rules(by), at, 0, b).Transition.To == StateOpen
	}
	opensNow, opensLater := opens(now), false
	if s.TurnMS > 0 && from.mode == ModeAuto {
		opensLater = opens(now + s.TurnMS)
	}
	window := x.rules(by).Window
	exact := window.Kind != windowCount || s.Window.Calls < window.Size // a full ring drops what the standing does not show
	if (opensNow || opensLater) != foreseen && (exact || !foreseen) {
		return fmt.Sprintf("host %s: %v opens now %t, after a turn %t, foreseen %t from %+v", hosts[by], o, opensNow, opensLater, foreseen, *s)
	}
	return ""
}

// The mutants of the standing.

func bentStanding(bend func(r *Record, p *Rules, now int64, b Batch, s *Standing)) func(*Record, *Rules, int64, int64, Batch) Reply {
	return func(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
		reply := r.Step(p, now, rnd, b)
		if reply.Standing.Known {
			bend(r, p, now, b, &reply.Standing)
		}
		return reply
	}
}

var (
	// staleStanding has the window of the last outcome.
	staleStanding = bentStanding(func(r *Record, p *Rules, _ int64, _ Batch, s *Standing) {
		if r.shape == p.Window {
			s.Window, s.Leaving = WindowSums{r.calls.all, r.fails.all, r.slows.all}, WindowSums{}
		}
	})
	// keepingStanding does not see what leaves.
	keepingStanding = bentStanding(func(_ *Record, _ *Rules, _ int64, _ Batch, s *Standing) { s.Leaving = WindowSums{} })
	// countingStanding does not leave the reporter out: it vouches for itself.
	countingStanding = bentStanding(func(r *Record, p *Rules, _ int64, _ Batch, s *Standing) {
		if n := p.Reporters - 1; n > 0 && int64(len(r.reporters)) >= n {
			s.Other.Seq = r.reporters[n-1].seq
		}
	})
	// streaklessStanding forgets the streak.
	streaklessStanding = bentStanding(func(_ *Record, _ *Rules, _ int64, _ Batch, s *Standing) { s.Streak = 0 })
	// foreignStanding takes another policy's window for its own.
	foreignStanding = func(r *Record, p *Rules, now, rnd int64, b Batch) Reply {
		reply := r.Step(p, now, rnd, b)
		if b.AskStanding && r.isCounting() {
			reply.Standing.Known = true
		}
		return reply
	}
	// busyStanding counts the question as use of the record.
	busyStanding = bentStanding(func(r *Record, _ *Rules, now int64, _ Batch, _ *Standing) {
		if r.mode == ModeAuto {
			r.expires = now + maxTTL
		}
	})
)
