package panel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// action is a command as the panel offers it.
type action struct {
	engine.Action
	slug   string // in URLs
	title  string
	effect string // a sentence for the confirmation
	term   termRule
}

// termRule says whether a command takes a duration.
type termRule int

const (
	noTerm     termRule = iota
	mayTerm             // a duration, or the policy's
	mustChoose          // a duration, or until released: never by omission
)

var actions = []action{
	{engine.ActionTrip, "trip", "Trip", "The circuit opens now. Calls are rejected for the time below, then probes decide.", mayTerm},
	{engine.ActionHalfOpen, "half-open", "Probe now", "A round of probes begins now. Their results close the circuit or open it again.", noTerm},
	{engine.ActionReset, "reset", "Reset", "The circuit closes and all its counts are cleared. A mode stays.", noTerm},
	{engine.ActionForceOpen, "force-open", "Force open", "Every call is rejected, whatever the results, until the time below is over.", mustChoose},
	{engine.ActionForceClosed, "force-closed", "Force closed", "Every call is admitted and none is counted until the time below is over. The circuit protects nothing meanwhile.", mustChoose},
	{engine.ActionShadow, "shadow", "Shadow", "Every call is admitted and counted until the time below is over. The circuit opens and closes without effect.", mustChoose},
	{engine.ActionRelease, "release", "Release", "The mode ends. The circuit is closed and all its counts are cleared.", noTerm},
}

// findAction returns the action of a URL. It accepts the names of the engine too, such
// as force_open.
func findAction(slug string) (action, error) {
	slug = strings.ReplaceAll(slug, "_", "-")
	i := slices.IndexFunc(actions, func(a action) bool { return a.slug == slug })
	if i < 0 {
		var all []string
		for _, a := range actions {
			all = append(all, a.slug)
		}
		return action{}, &fault{http.StatusNotFound, fmt.Sprintf("there is no action %s, use one of %s", engine.PrintableName(slug), strings.Join(all, ", "))}
	}
	return actions[i], nil
}

// untilReleased is the duration of a mode without an end.
const untilReleased = "until-released"

// order is the body of a command.
type order struct {
	For     string `json:"for"`
	Reason  string `json:"reason"`
	IfEpoch int64  `json:"if_epoch"`
}

// readOrder reads the body of a command: JSON, a form, or nothing.
func readOrder(r *http.Request) (order, error) {
	var o order
	kind := r.Header.Get("Content-Type")
	if kind == "" {
		kind = "application/x-www-form-urlencoded"
	}
	media, _, err := mime.ParseMediaType(kind)
	switch {
	case err == nil && media == "application/json":
		return o, decodeJSON(r.Body, &o)
	case err == nil && media == "application/x-www-form-urlencoded":
		return readForm(r)
	}
	return o, &fault{http.StatusUnsupportedMediaType, fmt.Sprintf("the body is of type %s, use application/json or a form", engine.PrintableName(kind))}
}

// decodeJSON reads one value and refuses unknown fields: a misspelt duration must not
// become none.
func decodeJSON(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	var tooLarge *http.MaxBytesError
	if err == nil || errors.As(err, &tooLarge) {
		return err
	}
	return engine.Invalid("the body is not the JSON that this request takes: %v", err)
}

func readForm(r *http.Request) (order, error) {
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return order{}, err
		}
		return order{}, engine.Invalid("the form cannot be read: %v", err)
	}
	o := order{For: r.Form.Get("for"), Reason: r.Form.Get("reason")}
	for field, values := range r.Form {
		if !slices.Contains([]string{"for", "other", "reason", "if_epoch"}, field) || len(values) > 1 {
			return o, engine.Invalid("the form has the field %s %d times, use for, reason and if_epoch, each once", engine.PrintableName(field), len(values))
		}
	}
	if o.For == otherTerm {
		o.For = r.Form.Get("other")
	}
	if text := r.Form.Get("if_epoch"); text != "" {
		epoch, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return o, engine.Invalid("if_epoch is %s, use the epoch that the breaker has, or -1 for none", engine.PrintableName(text))
		}
		o.IfEpoch = epoch
	}
	return o, nil
}

// newCommand returns the command of an order, after checking all of it.
func (p *Panel) newCommand(r *http.Request, a action, o order) (engine.Command, error) {
	c := engine.Command{Action: a.Action, Reason: o.Reason, Actor: p.readActor(r), IfEpoch: o.IfEpoch}
	var fault error
	switch {
	case o.For == "" && a.term == mustChoose:
		fault = engine.Invalid("give the duration of the mode in for, such as 10m, or %s", untilReleased)
	case o.For == untilReleased && a.term != mustChoose:
		fault = engine.Invalid("%s takes no %s in for", a.slug, untilReleased)
	case o.For != "" && o.For != untilReleased:
		d, err := parseTerm(o.For)
		if err != nil || d <= 0 || d > engine.MaxDuration {
			fault = engine.Invalid("for is %s, use a duration above 0, at most 366d, such as 30s, 10m, 2h or 1d", engine.PrintableName(o.For))
			break
		}
		c.For = d
	}
	return c, errors.Join(fault, c.Validate())
}

// readActor returns who gives the command.
func (p *Panel) readActor(r *http.Request) string {
	if p.options.Actor != nil {
		if actor := p.options.Actor(r); actor != "" {
			return actor
		}
	}
	return defaultActor
}

// parseTerm reads a duration, which may begin with days, as in 1d or 1d12h.
func parseTerm(text string) (time.Duration, error) {
	number, rest, found := strings.Cut(strings.TrimSpace(text), "d")
	if !found {
		return time.ParseDuration(number)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return 0, err
	}
	days := time.Duration(n) * 24 * time.Hour
	if rest == "" || days > engine.MaxDuration {
		return days, nil
	}
	part, err := time.ParseDuration(rest)
	return days + part, err
}

// maxAttempts is how often runCommand tries a breaker that changes all the time.
const maxAttempts = 10

// runCommand gives a command to a breaker, if the request may do so, and returns the
// breaker afterwards. It makes no breaker unless the command says so by IfEpoch -1: a
// name may be misspelt. So the command names the epoch that was read, and is repeated
// if another process changed the breaker meanwhile.
func (p *Panel) runCommand(r *http.Request, name string, c engine.Command) (engine.Snapshot, error) {
	if err := p.checkRight(r, name, c); err != nil {
		return engine.Snapshot{}, err
	}
	if c.IfEpoch != 0 {
		return p.controlBreaker(r.Context(), name, c)
	}
	for range maxAttempts {
		before, err := p.inspectExisting(r.Context(), name)
		if err != nil {
			return before, err
		}
		c.IfEpoch = before.Epoch
		after, err := p.controlBreaker(r.Context(), name, c)
		if !errors.Is(err, engine.ErrConflict) {
			return after, err
		}
	}
	return engine.Snapshot{}, fmt.Errorf("redbreaker: the breaker changes too often, try again: %w", engine.ErrConflict)
}

// controlBreaker gives the command, and makes the list show what it did.
func (p *Panel) controlBreaker(ctx context.Context, name string, c engine.Command) (engine.Snapshot, error) {
	after, err := p.storage.Control(ctx, name, c)
	if after.Exists || err == nil {
		p.fleet.markChanged(name)
	}
	return after, err
}

// checkRight returns an error if the request may not give the command.
func (p *Panel) checkRight(r *http.Request, name string, c engine.Command) error {
	if p.options.ReadOnly {
		return &fault{http.StatusForbidden, "the panel is read-only"}
	}
	if p.options.Allow != nil {
		if err := p.options.Allow(r, name, c); err != nil {
			return &fault{http.StatusForbidden, faultText(err)}
		}
	}
	return nil
}

// inspectExisting reads a breaker, and returns an error if there is none.
func (p *Panel) inspectExisting(ctx context.Context, name string) (engine.Snapshot, error) {
	s, err := p.storage.Inspect(ctx, name)
	if err == nil && !s.Exists {
		err = &fault{http.StatusNotFound, fmt.Sprintf("there is no breaker %s; a breaker appears with its first call", engine.PrintableName(name))}
	}
	return s, err
}
