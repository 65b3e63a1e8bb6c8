package panel

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// The Alertmanager of Prometheus calls a webhook when alerts begin, repeatedly while
// they last, and when they end. If it dies it calls no more, so every command here has
// an end, which each further call moves.

const (
	alertActor = "alertmanager"

	// The labels of an alert, or annotations, that say what to do.
	labelBreaker = "breaker"
	labelAction  = "breaker_action" // trip (the default) or force-open
	labelFor     = "breaker_for"

	// defaultAlertFor is how long a command lasts without a further call. The repeat
	// interval of the Alertmanager must be shorter.
	defaultAlertFor = time.Hour
	// maxAlertText is how much of an actor and a reason the log keeps.
	maxAlertText = 64
)

// alertBody is the part of a webhook's body, version 4, that matters here. Its URLs are
// not read.
type alertBody struct {
	Version string  `json:"version"`
	Alerts  []alert `json:"alerts"`
}

type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// alertOutcome says what the webhook did about an alert.
type alertOutcome struct {
	Alert   string `json:"alert"`
	Breaker string `json:"breaker,omitzero"` // its id
	Did     string `json:"did,omitzero"`
	Skipped string `json:"skipped,omitzero"` // why nothing was done
	Error   string `json:"error,omitzero"`
}

// serveAlertmanager trips or forces the breakers that the labels of the alerts name, for
// as long as the alerts last. The status is that of the worst alert: 503 makes the
// Alertmanager call again.
func (p *Panel) serveAlertmanager(w http.ResponseWriter, r *http.Request) {
	var body alertBody
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			err = engine.Invalid("the body is not that of an Alertmanager's webhook: %v", err)
		}
		p.writeFault(w, r, err)
		return
	}
	if body.Version != "4" {
		p.writeFault(w, r, engine.Invalid("the body is of version %s, use an Alertmanager whose webhooks have version 4", engine.PrintableName(body.Version)))
		return
	}
	// Those that fire come last, so that they win over one of the same name that has ended.
	slices.SortStableFunc(body.Alerts, func(a, b alert) int { return cmp.Compare(b.Status, a.Status) })
	status := http.StatusOK
	outcomes := []alertOutcome{}
	for i := range body.Alerts {
		o, err := p.handleAlert(r, &body.Alerts[i])
		if err != nil {
			o.Error = faultText(err)
			status = max(status, faultStatus(err))
		}
		outcomes = append(outcomes, o)
	}
	writeJSON(w, status, map[string]any{"alerts": outcomes})
}

// handleAlert does what one alert asks for.
func (p *Panel) handleAlert(r *http.Request, a *alert) (alertOutcome, error) {
	o := alertOutcome{Alert: a.Labels["alertname"]}
	name := a.findValue(labelBreaker)
	if name == "" {
		return o, engine.Invalid("the alert %s has no label %s, give it the name of the breaker", engine.PrintableName(o.Alert), labelBreaker)
	}
	o.Breaker = encodeName(name)
	c, err := a.newCommand()
	if err != nil {
		return o, err
	}
	s, err := p.inspectExisting(r.Context(), name)
	if err != nil {
		return o, err
	}
	switch a.Status {
	case "firing":
		o.Skipped = a.reasonToSkip(&s, c)
	case "resolved":
		if c, o.Skipped = a.commandAfter(&s, c.Action); o.Skipped == "" {
			c.Reason = a.reason()
		}
	default:
		return o, engine.Invalid("the alert has the status %s, use firing or resolved", engine.PrintableName(a.Status))
	}
	if o.Skipped != "" {
		return o, p.checkRight(r, name, c)
	}
	c.Actor, c.IfEpoch = alertActor, s.Epoch
	if _, err = p.runCommand(r, name, c); err == nil {
		o.Did = strings.ReplaceAll(c.Action.String(), "_", "-")
	}
	// Another process changed the breaker since it was read: the Alertmanager calls again.
	if errors.Is(err, engine.ErrConflict) {
		err = &fault{http.StatusServiceUnavailable, "the breaker changed meanwhile, try again"}
	}
	return o, err
}

// findValue returns a label, or an annotation of that name.
func (a *alert) findValue(key string) string { return cmp.Or(a.Labels[key], a.Annotations[key]) }

// newCommand returns the command of an alert that fires.
func (a *alert) newCommand() (engine.Command, error) {
	c := engine.Command{Action: engine.ActionTrip, For: defaultAlertFor, Reason: a.reason()}
	var faults error
	switch text := strings.ReplaceAll(a.findValue(labelAction), "_", "-"); text {
	case "", "trip":
	case "force-open":
		c.Action = engine.ActionForceOpen
	default:
		faults = engine.Invalid("%s is %s, use trip or force-open", labelAction, engine.PrintableName(text))
	}
	if text := a.findValue(labelFor); text != "" {
		d, err := parseTerm(text)
		if err != nil || d <= 0 || d > engine.MaxDuration {
			faults = errors.Join(faults, engine.Invalid("%s is %s, use a duration above 0, at most 366d", labelFor, engine.PrintableName(text)))
		}
		c.For = d
	}
	return c, faults
}

// reason returns the reason for the log. It begins with the alert's name, by which the
// end of the alert finds what it began.
func (a *alert) reason() string {
	name := cmp.Or(a.Labels["alertname"], "alert")
	if summary := cmp.Or(a.Annotations["summary"], a.Annotations["description"]); summary != "" {
		return name + ": " + summary
	}
	return name
}

// isOurs reports whether a text of the log is the reason of this alert.
func (a *alert) isOurs(by, reason string) bool {
	name := cmp.Or(a.Labels["alertname"], "alert")
	if len(name) >= maxAlertText {
		return by == alertActor && reason != "" && strings.HasPrefix(name, reason)
	}
	return by == alertActor && (reason == name || strings.HasPrefix(reason, name+":"))
}

// reasonToSkip returns why the command of an alert that fires is not given: an operator
// decides, or an earlier call of the webhook did it, and more than half of its time is
// left.
func (a *alert) reasonToSkip(s *engine.Snapshot, c engine.Command) string {
	isForced := s.Mode == engine.ModeForcedOpen || s.Mode == engine.ModeForcedClosed
	switch {
	case isForced && s.ModeBy != alertActor, s.Mode == engine.ModeShadow && c.Action == engine.ActionForceOpen:
		return fmt.Sprintf("the breaker is in mode %s, set by %s", s.Mode, engine.PrintableName(cmp.Or(s.ModeBy, "its policy")))
	case isForced && c.Action == engine.ActionTrip:
		return "another alert forces the breaker"
	case isForced && s.ModeFor > c.For/2, c.Action == engine.ActionTrip && s.State == engine.StateOpen && s.RetryAfter > c.For/2:
		return "the breaker is open already"
	}
	return ""
}

// commandAfter returns the command that ends what an alert began, or why there is none.
// A forced circuit is released. A tripped one probes: the dependency proves itself.
func (a *alert) commandAfter(s *engine.Snapshot, began engine.Action) (engine.Command, string) {
	if began == engine.ActionForceOpen {
		if s.Mode == engine.ModeForcedOpen && a.isOurs(s.ModeBy, s.ModeReason) {
			return engine.Command{Action: engine.ActionRelease}, ""
		}
		return engine.Command{Action: engine.ActionRelease}, "the breaker is not forced open by this alert"
	}
	newest := engine.Transition{}
	if len(s.Log) > 0 {
		newest = s.Log[len(s.Log)-1]
	}
	if s.Mode == engine.ModeAuto && s.State == engine.StateOpen && a.isOurs(newest.By, newest.Text) {
		return engine.Command{Action: engine.ActionHalfOpen}, ""
	}
	return engine.Command{Action: engine.ActionHalfOpen}, "the circuit is not open by this alert"
}
