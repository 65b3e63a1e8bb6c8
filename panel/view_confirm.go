package panel

import (
	"slices"

	"github.com/redbreaker/redbreaker/engine"
)

// otherTerm is the choice of a duration that the form does not list.
const otherTerm = "other"

// confirmView is the form of a command.
type confirmView struct {
	frame
	Row            rowView
	Action, Effect string
	Self           string
	Terms          []choiceView
	OtherTerm      string
	MustChoose     bool
	Dangerous      bool
	Reason         string
	Error          string
	Unknown        bool // whether the command was carried out
}

func (p *Panel) newConfirmView(s *engine.Snapshot, a action, o order) confirmView {
	row := p.newRow(s)
	v := confirmView{
		frame: p.newFrame(a.title+": "+row.Shown, breakerRefresh), Row: row, Action: a.title, Effect: a.effect,
		Self: row.URL + "/" + a.slug, MustChoose: a.term == mustChoose, Reason: o.Reason,
		Dangerous: a.Action == engine.ActionTrip || a.Action == engine.ActionForceOpen || a.Action == engine.ActionForceClosed,
	}
	if a.term == noTerm {
		return v
	}
	v.Terms = []choiceView{{"10m", "10 min", false}, {"30m", "30 min", false}, {"1h", "1 h", false}, {"4h", "4 h", false}}
	if a.term == mayTerm {
		v.Terms = slices.Insert(v.Terms, 0, choiceView{"", "The policy's", false})
	} else {
		v.Terms = append(v.Terms, choiceView{untilReleased, "Until released", false})
	}
	isListed := false
	for i := range v.Terms {
		// A mode has no default: how long is part of the decision.
		v.Terms[i].Current = v.Terms[i].Value == o.For && (a.term == mayTerm || o.For != "")
		isListed = isListed || v.Terms[i].Value == o.For
	}
	if !isListed {
		v.OtherTerm = o.For
	}
	return v
}
