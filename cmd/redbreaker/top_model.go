package main

import (
	"cmp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/terminal"
)

// topTerm is how long a mode lasts that begins in top. Its end must not be forgotten.
const topTerm = 10 * time.Minute

// topView decides the meaning of a key and the content of a frame.
type topView int

const (
	viewTable   topView = iota
	viewBreaker         // one breaker
	viewFilter          // the table, while a filter is typed
	viewActions         // the choice of an action
	viewConfirm         // the question before an action
	viewReason          // the question, while a reason is typed
)

// topActions are the actions by their keys.
var topActions = []struct{ key, use string }{
	{"t", "trip"}, {"h", "half-open"}, {"r", "reset"}, {"o", "force-open"}, {"c", "force-closed"}, {"s", "shadow"}, {"e", "release"},
}

const (
	// topReason is the reason of an action for which the user gives none.
	topReason = "redbreaker top"
	// maxReason is how many bytes of a reason the log keeps.
	maxReason = 64
)

// topOrder is an order on a breaker that was confirmed.
type topOrder struct {
	order order
	name  string
}

// topModel is the state of top. It does no input and output, so that a test can drive it.
type topModel struct {
	which   *selection
	actor   string
	where   string
	all     []listed // the last reading
	list    []listed // those of it that are selected, in their order
	fault   error
	read    bool // there was a reading
	view    topView
	back    topView   // where an action was begun
	cursor  int       // in list
	chosen  string    // the name below the cursor, which a reading keeps
	order   *topOrder // to be confirmed
	message string
	rows    int // of the table in the last frame, for paging
	now     func() time.Time
}

func newTopModel(which *selection, actor, where string) *topModel {
	return &topModel{which: which, actor: actor, where: where, rows: 1, now: time.Now}
}

// setReading takes a reading. If nothing could be read, the last one is still shown.
func (m *topModel) setReading(r reading) {
	if m.fault, m.read = r.fault, true; r.fault == nil || len(r.list) > 0 {
		m.all = r.list
	}
	m.selectRows()
}

// selectRows applies filter and order, and keeps the cursor on its breaker.
func (m *topModel) selectRows() {
	m.list = m.which.apply(slices.Clone(m.all))
	if i := slices.IndexFunc(m.list, func(l listed) bool { return l.Name+l.key == m.chosen }); i >= 0 {
		m.cursor = i
	}
	m.moveCursor(0)
}

// moveCursor moves the cursor by n rows, within the list.
func (m *topModel) moveCursor(n int) {
	m.cursor = max(0, min(m.cursor+n, len(m.list)-1))
	m.chosen = ""
	if len(m.list) > 0 {
		m.chosen = m.list[m.cursor].Name + m.list[m.cursor].key
	}
}

// current returns the breaker below the cursor; nil if there is none that has a name.
func (m *topModel) current() *listed {
	if m.cursor >= len(m.list) || m.list[m.cursor].key != "" {
		return nil
	}
	return &m.list[m.cursor]
}

// press handles a key. It returns an order to carry out, and whether the user has ended top.
func (m *topModel) press(key terminal.Key) (confirmed *topOrder, ended bool) {
	if key == terminal.KeyInterrupt {
		return nil, true
	}
	switch m.view {
	case viewFilter:
		m.pressInFilter(key)
	case viewActions:
		m.pressInActions(key)
	case viewConfirm:
		return m.pressInConfirm(key), false
	case viewReason:
		m.pressInReason(key)
	default:
		m.message = ""
		return nil, m.pressInTable(key)
	}
	return nil, false
}

// pressInTable handles a key in the table and in the view of one breaker. It returns whether
// the user has ended top.
func (m *topModel) pressInTable(key terminal.Key) bool {
	switch key {
	case "q":
		return true
	case terminal.KeyUp, "k":
		m.moveCursor(-1)
	case terminal.KeyDown, "j":
		m.moveCursor(1)
	case terminal.KeyPageUp:
		m.moveCursor(-m.rows)
	case terminal.KeyPageDown:
		m.moveCursor(m.rows)
	case terminal.KeyHome:
		m.moveCursor(-len(m.list))
	case terminal.KeyEnd:
		m.moveCursor(len(m.list))
	case terminal.KeyEnter:
		if m.current() != nil {
			m.view = viewBreaker
		}
	case terminal.KeyEscape:
		m.view = viewTable
	case "/":
		m.view = viewFilter
	case "s":
		m.sortByNext()
	case "R":
		m.which.reverse = !m.which.reverse
		m.selectRows()
	case "a":
		if m.current() != nil {
			m.back, m.view = m.view, viewActions
		}
	}
	return false
}

// sortByNext sorts by the order after the present one.
func (m *topModel) sortByNext() {
	names := orderNames()
	m.which.order = names[(slices.Index(names, m.which.order)+1)%len(names)]
	m.selectRows()
}

// pressInFilter edits the filter, which applies at once.
func (m *topModel) pressInFilter(key terminal.Key) {
	switch {
	case key == terminal.KeyEnter:
		m.view = viewTable
	case key == terminal.KeyEscape:
		m.which.match, m.view = "", viewTable
	default:
		m.which.match = editText(m.which.match, key)
	}
	m.selectRows()
}

// editText returns a text after a key: a character is added, backspace removes the last.
func editText(text string, key terminal.Key) string {
	switch {
	case key == terminal.KeyBackspace:
		_, size := utf8.DecodeLastRuneInString(text)
		return text[:len(text)-size]
	case utf8.RuneCountInString(string(key)) == 1:
		return text + string(key)
	}
	return text
}

// pressInActions prepares the action of the key for confirmation.
func (m *topModel) pressInActions(key terminal.Key) {
	l := m.current()
	m.view = m.back
	for _, action := range topActions {
		if string(key) != action.key || l == nil {
			continue
		}
		i := slices.IndexFunc(controls, func(c control) bool { return c.use == action.use })
		o := order{use: action.use, term: controls[i].term, sure: confirmation{yes: true}}
		o.Action, o.Actor, o.Reason = controls[i].action, m.actor, topReason
		if o.term == modeTerm {
			o.For = topTerm
		}
		m.order, m.view = &topOrder{o, l.Name}, viewConfirm
	}
}

// pressInReason edits the reason of the order. Escape goes back to the question without one.
func (m *topModel) pressInReason(key terminal.Key) {
	switch key {
	case terminal.KeyEnter:
		m.view = viewConfirm
	case terminal.KeyEscape:
		m.order.order.Reason, m.view = "", viewConfirm
	default:
		if text := editText(m.order.order.Reason, key); len(text) <= maxReason {
			m.order.order.Reason = text
		}
	}
	if m.view == viewConfirm {
		m.order.order.Reason = cmp.Or(m.order.order.Reason, topReason)
	}
}

// pressInConfirm returns the order if the key confirms it.
func (m *topModel) pressInConfirm(key terminal.Key) *topOrder {
	if key == "r" {
		m.order.order.Reason, m.view = "", viewReason
		return nil
	}
	confirmed := m.order
	m.order, m.view = nil, m.back
	if key != "y" && key != "Y" {
		m.message = "not confirmed, nothing was done"
		return nil
	}
	m.message = confirmed.order.use + " " + plaintext.Quote(confirmed.name) + " ..."
	return confirmed
}
