package panel

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// Limits of a list.
const (
	defaultPerPage = 50
	maxPerPage     = 1000
	maxSearch      = 1000 // bytes
)

// query says which breakers a list has.
type query struct {
	search  string // part of the name, without regard to case
	states  []engine.State
	modes   []engine.Mode
	sort    string // a key of sortOrders
	reverse bool
	page    int // from 1
	perPage int
}

// parseQuery reads a query, and refuses parameters that it does not know.
func parseQuery(v url.Values) (query, error) {
	q := query{page: 1, perPage: defaultPerPage, sort: sortAttention}
	for key, values := range v {
		var err error
		switch key {
		case "q":
			q.search = values[0]
			if len(q.search) > maxSearch {
				err = engine.Invalid("q has %d bytes, use at most %d", len(q.search), maxSearch)
			}
		case "state":
			q.states, err = parseNames[engine.State](values)
		case "mode":
			q.modes, err = parseNames[engine.Mode](values)
		case "sort":
			q.sort, q.reverse = strings.CutPrefix(values[0], "-")
			if sortOrders[q.sort] == nil {
				err = engine.Invalid("sort is %s, use attention, name, age, failures or trips, or one of them after a -", engine.PrintableName(values[0]))
			}
		case "page":
			q.page, err = parseCount(key, values[0], 1<<30)
		case "per_page":
			q.perPage, err = parseCount(key, values[0], maxPerPage)
		case "done": // what a command just did, for people
		default:
			err = &fault{http.StatusBadRequest, fmt.Sprintf("there is no parameter %s, use q, state, mode, sort, page or per_page", engine.PrintableName(key))}
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

// parseNames reads names of states or modes, each of which counts once: a URL has room
// for 100 000 of them, all of which each breaker would be compared with.
func parseNames[T comparable, P interface {
	*T
	UnmarshalText([]byte) error
}](texts []string) ([]T, error) {
	var all []T
	for _, text := range texts {
		if text == "" { // a form sends a choice that was not made
			continue
		}
		var one T
		if err := P(&one).UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all, nil
}

func parseCount(key, text string, limit int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, engine.Invalid("%s is %s, use 1 to %d", key, engine.PrintableName(text), limit)
	}
	return n, nil
}

// matchesBreaker reports whether a breaker belongs to the list. The state and mode of one
// that cannot be read are unknown, so it belongs to lists of all states only.
func (q *query) matchesBreaker(b *breaker) bool {
	if !b.hasSnapshot() && len(q.states)+len(q.modes) > 0 {
		return false
	}
	return (len(q.states) == 0 || slices.Contains(q.states, b.State)) &&
		(len(q.modes) == 0 || slices.Contains(q.modes, b.Mode)) && q.matchesName(b.Name+b.key)
}

func (q *query) matchesName(name string) bool {
	return q.search == "" || strings.Contains(strings.ToLower(name), strings.ToLower(q.search))
}

const sortAttention = "attention"

// sortOrders compares breakers. Those that are equal are in the order of their names.
var sortOrders = map[string]func(a, b *breaker) int{
	sortAttention: compareAttention,
	"name":        func(_, _ *breaker) int { return 0 },
	"age":         func(a, b *breaker) int { return cmp.Compare(a.Age, b.Age) },
	"failures":    func(a, b *breaker) int { return cmp.Compare(b.danger, a.danger) },
	"trips":       func(a, b *breaker) int { return cmp.Compare(b.Trips, a.Trips) },
}

// compareAttention puts first what an operator who was woken up looks for: circuits that
// reject calls, the latest first, then those that someone overruled or that recover,
// then those that are closest to opening.
func compareAttention(a, b *breaker) int {
	order := cmp.Compare(attentionRank(a), attentionRank(b))
	if order != 0 {
		return order
	}
	if attentionRank(a) == rankClosed {
		return cmp.Compare(b.danger, a.danger)
	}
	return cmp.Compare(a.Age, b.Age)
}

const (
	rankUnreadable = 6
	rankClosed     = 7
)

func attentionRank(b *breaker) int {
	switch {
	case b.key != "":
		return rankClosed + 1
	case b.fault != nil:
		return rankUnreadable
	case b.Mode == engine.ModeForcedOpen:
		return 1
	case b.Mode == engine.ModeForcedClosed:
		return 3
	case b.Mode == engine.ModeShadow:
		return 4
	case b.State == engine.StateOpen:
		return 0
	case b.State == engine.StateHalfOpen:
		return 2
	case b.RampFor > 0:
		return 5
	}
	return rankClosed
}

// result is a page of a list.
type result struct {
	query
	total, matched, pages int
	breakers              []*breaker // of the page
	counts                counts
}

// counts are the numbers of breakers of the whole namespace.
type counts struct {
	Open       int `json:"open"`
	HalfOpen   int `json:"half_open"`
	Closed     int `json:"closed"`
	Overridden int `json:"overridden"` // in a mode, whatever the state
	Unreadable int `json:"unreadable"`
	Unnamed    int `json:"unnamed"` // whose name is too long to be stored
}

// selectBreakers returns the page of a reading that a query asks for. A page after the
// last is the last: breakers disappear while an operator turns pages.
func (r *reading) selectBreakers(q query) result {
	list := result{query: q, total: len(r.breakers)}
	var all []*breaker
	for _, b := range r.breakers {
		list.counts.countBreaker(b)
		if q.matchesBreaker(b) {
			all = append(all, b)
		}
	}
	compare := sortOrders[q.sort]
	slices.SortStableFunc(all, func(a, b *breaker) int {
		order := cmp.Or(compare(a, b), compareNames(a, b))
		if q.reverse {
			return -order
		}
		return order
	})
	list.matched = len(all)
	list.pages = max(1, (len(all)+q.perPage-1)/q.perPage)
	list.page = min(q.page, list.pages)
	first := (list.page - 1) * q.perPage
	list.breakers = all[first:min(first+q.perPage, len(all))]
	return list
}

func (c *counts) countBreaker(b *breaker) {
	switch {
	case b.key != "":
		c.Unnamed++
	case b.fault != nil:
		c.Unreadable++
	case b.Mode != engine.ModeAuto:
		c.Overridden++
	case b.State == engine.StateOpen:
		c.Open++
	case b.State == engine.StateHalfOpen:
		c.HalfOpen++
	default:
		c.Closed++
	}
}
