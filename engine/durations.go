package engine

import (
	"bytes"
	"encoding/json"
	"time"
)

// text is a duration that JSON shows as text, such as "1m30s", and reads as
// nothing else: a bare number has no unit.
type text time.Duration

// MarshalText writes the duration as time.Duration prints it.
func (t text) MarshalText() ([]byte, error) { return []byte(time.Duration(t).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (t *text) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil {
		return Invalid("%q is not a duration, write one such as \"1m30s\"", b)
	}
	*t = text(d)
	return nil
}

// strict decodes JSON and refuses fields it does not know: a misspelt threshold
// must not silently become a default.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Each type below marshals through a twin that hides its durations behind
// fields of the same name and of type text.

type (
	plainPolicy     Policy
	plainWindow     Window
	plainBackoff    Backoff
	plainHalfOpen   HalfOpen
	plainStatus     Status
	plainSnapshot   Snapshot
	plainRound      ProbeRound
	plainTransition Transition

	policyJSON struct {
		plainPolicy
		OpenFor text `json:"open_for,omitzero"`
		IdleTTL text `json:"idle_ttl,omitzero"`
	}
	windowJSON struct {
		plainWindow
		Period           text `json:"period,omitzero"`
		SlowCallDuration text `json:"slow_call_duration,omitzero"`
	}
	backoffJSON struct {
		plainBackoff
		Max text `json:"max,omitzero"`
	}
	halfOpenJSON struct {
		plainHalfOpen
		Lease text `json:"lease,omitzero"`
	}
)

// MarshalJSON writes durations as text, such as "1m0s".
func (p Policy) MarshalJSON() ([]byte, error) {
	return json.Marshal(policyJSON{plainPolicy(p), text(p.OpenFor), text(p.IdleTTL)})
}

// UnmarshalJSON reads durations as text and refuses unknown fields.
func (p *Policy) UnmarshalJSON(data []byte) error {
	var j policyJSON
	err := strict(data, &j)
	*p = Policy(j.plainPolicy)
	p.OpenFor, p.IdleTTL = time.Duration(j.OpenFor), time.Duration(j.IdleTTL)
	return err
}

// MarshalJSON writes durations as text.
func (w Window) MarshalJSON() ([]byte, error) {
	return json.Marshal(windowJSON{plainWindow(w), text(w.Period), text(w.SlowCallDuration)})
}

// UnmarshalJSON reads durations as text and refuses unknown fields.
func (w *Window) UnmarshalJSON(data []byte) error {
	var j windowJSON
	err := strict(data, &j)
	*w = Window(j.plainWindow)
	w.Period, w.SlowCallDuration = time.Duration(j.Period), time.Duration(j.SlowCallDuration)
	return err
}

// MarshalJSON writes durations as text.
func (b Backoff) MarshalJSON() ([]byte, error) {
	return json.Marshal(backoffJSON{plainBackoff(b), text(b.Max)})
}

// UnmarshalJSON reads durations as text and refuses unknown fields.
func (b *Backoff) UnmarshalJSON(data []byte) error {
	var j backoffJSON
	err := strict(data, &j)
	*b = Backoff(j.plainBackoff)
	b.Max = time.Duration(j.Max)
	return err
}

// MarshalJSON writes durations as text.
func (h HalfOpen) MarshalJSON() ([]byte, error) {
	return json.Marshal(halfOpenJSON{plainHalfOpen(h), text(h.Lease)})
}

// UnmarshalJSON reads durations as text and refuses unknown fields.
func (h *HalfOpen) UnmarshalJSON(data []byte) error {
	var j halfOpenJSON
	err := strict(data, &j)
	*h = HalfOpen(j.plainHalfOpen)
	h.Lease = time.Duration(j.Lease)
	return err
}

// MarshalJSON writes durations as text.
func (s Status) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainStatus
		RetryAfter text `json:"retry_after"`
		ModeFor    text `json:"mode_for"`
		Age        text `json:"age"`
	}{plainStatus(s), text(s.RetryAfter), text(s.ModeFor), text(s.Age)})
}

// MarshalJSON writes durations as text.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainSnapshot
		Age        text `json:"age"`
		RetryAfter text `json:"retry_after"`
		OpenFor    text `json:"open_for"`
		ModeFor    text `json:"mode_for"`
	}{plainSnapshot(s), text(s.Age), text(s.RetryAfter), text(s.OpenFor), text(s.ModeFor)})
}

// MarshalJSON writes durations as text.
func (r ProbeRound) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainRound
		Lease text `json:"lease"`
	}{plainRound(r), text(r.Lease)})
}

// MarshalJSON writes durations as text.
func (t Transition) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainTransition
		Ago text `json:"ago"`
		For text `json:"for,omitzero"`
	}{plainTransition(t), text(t.Ago), text(t.For)})
}
