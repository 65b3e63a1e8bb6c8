package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// text is a duration that JSON has as text, such as "1m30s". It reads nothing else:
// a bare number has no unit.
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

// decodeStrict decodes JSON and refuses fields it does not know: a misspelt
// threshold must not silently become a default.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Each type below has a twin for JSON, which embeds the type without its methods and
// hides its durations behind fields of the same name and of type text. A twin is
// filled from the value before it is decoded, so that an absent field keeps its
// value, as encoding/json promises. Policies and commands, which people write, refuse
// unknown fields; what a program writes may come from a newer release, so the other
// types ignore them.

type (
	plainPolicy     Policy
	plainWindow     Window
	plainBackoff    Backoff
	plainRamp       Ramp
	plainHalfOpen   HalfOpen
	plainStatus     Status
	plainSnapshot   Snapshot
	plainRound      ProbeRound
	plainTransition Transition
	plainCommand    Command
	plainEvent      Event

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
	rampJSON struct {
		plainRamp
		Over text `json:"over,omitzero"`
	}
	backoffJSON struct {
		plainBackoff
		Max text `json:"max,omitzero"`
	}
	halfOpenJSON struct {
		plainHalfOpen
		Lease text `json:"lease,omitzero"`
	}
	statusJSON struct {
		plainStatus
		RetryAfter text `json:"retry_after"`
		ModeFor    text `json:"mode_for"`
		RampFor    text `json:"ramp_for,omitzero"`
		Age        text `json:"age"`
	}
	snapshotJSON struct {
		plainSnapshot
		Age        text `json:"age"`
		RetryAfter text `json:"retry_after"`
		OpenFor    text `json:"open_for"`
		RampFor    text `json:"ramp_for,omitzero"`
		ModeFor    text `json:"mode_for"`
	}
	roundJSON struct {
		plainRound
		Lease text `json:"lease"`
	}
	transitionJSON struct {
		plainTransition
		Ago text `json:"ago"`
		For text `json:"for,omitzero"`
	}
	commandJSON struct {
		plainCommand
		For text `json:"for,omitzero"`
	}
	eventJSON struct {
		plainEvent
		Err    string `json:"err,omitzero"`
		Lease  text   `json:"lease,omitzero"`
		Took   text   `json:"took,omitzero"`
		Outage text   `json:"outage,omitzero"`
	}
)

func (p Policy) twin() policyJSON {
	return policyJSON{plainPolicy(p), text(p.OpenFor), text(p.IdleTTL)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (p Policy) MarshalJSON() ([]byte, error) { return json.Marshal(p.twin()) }

// UnmarshalJSON reads durations as text and refuses unknown fields. An absent field
// keeps its value; after an error the value is unchanged.
func (p *Policy) UnmarshalJSON(data []byte) error {
	j := p.twin()
	if err := decodeStrict(data, &j); err != nil {
		return err
	}
	*p = Policy(j.plainPolicy)
	p.OpenFor, p.IdleTTL = time.Duration(j.OpenFor), time.Duration(j.IdleTTL)
	return nil
}

func (w Window) twin() windowJSON {
	return windowJSON{plainWindow(w), text(w.Period), text(w.SlowCallDuration)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (w Window) MarshalJSON() ([]byte, error) { return json.Marshal(w.twin()) }

// UnmarshalJSON reads durations as text and refuses unknown fields. An absent field
// keeps its value; after an error the value is unchanged.
func (w *Window) UnmarshalJSON(data []byte) error {
	j := w.twin()
	if err := decodeStrict(data, &j); err != nil {
		return err
	}
	*w = Window(j.plainWindow)
	w.Period, w.SlowCallDuration = time.Duration(j.Period), time.Duration(j.SlowCallDuration)
	return nil
}

func (b Backoff) twin() backoffJSON {
	return backoffJSON{plainBackoff(b), text(b.Max)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (b Backoff) MarshalJSON() ([]byte, error) { return json.Marshal(b.twin()) }

// UnmarshalJSON reads durations as text and refuses unknown fields. An absent field
// keeps its value; after an error the value is unchanged.
func (b *Backoff) UnmarshalJSON(data []byte) error {
	j := b.twin()
	if err := decodeStrict(data, &j); err != nil {
		return err
	}
	*b = Backoff(j.plainBackoff)
	b.Max = time.Duration(j.Max)
	return nil
}

func (r Ramp) twin() rampJSON { return rampJSON{plainRamp(r), text(r.Over)} }

// MarshalJSON writes durations as text, such as "1m0s".
func (r Ramp) MarshalJSON() ([]byte, error) { return json.Marshal(r.twin()) }

// UnmarshalJSON reads durations as text and refuses unknown fields. An absent field
// keeps its value; after an error the value is unchanged.
func (r *Ramp) UnmarshalJSON(data []byte) error {
	j := r.twin()
	if err := decodeStrict(data, &j); err != nil {
		return err
	}
	*r = Ramp(j.plainRamp)
	r.Over = time.Duration(j.Over)
	return nil
}

func (h HalfOpen) twin() halfOpenJSON {
	return halfOpenJSON{plainHalfOpen(h), text(h.Lease)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (h HalfOpen) MarshalJSON() ([]byte, error) { return json.Marshal(h.twin()) }

// UnmarshalJSON reads durations as text and refuses unknown fields. An absent field
// keeps its value; after an error the value is unchanged.
func (h *HalfOpen) UnmarshalJSON(data []byte) error {
	j := h.twin()
	if err := decodeStrict(data, &j); err != nil {
		return err
	}
	*h = HalfOpen(j.plainHalfOpen)
	h.Lease = time.Duration(j.Lease)
	return nil
}

func (c Command) twin() commandJSON {
	return commandJSON{plainCommand(c), text(c.For)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (c Command) MarshalJSON() ([]byte, error) { return json.Marshal(c.twin()) }

// UnmarshalJSON reads durations as text and refuses unknown fields. An absent field
// keeps its value; after an error the value is unchanged.
func (c *Command) UnmarshalJSON(data []byte) error {
	j := c.twin()
	if err := decodeStrict(data, &j); err != nil {
		return err
	}
	*c = Command(j.plainCommand)
	c.For = time.Duration(j.For)
	return nil
}

func (s Status) twin() statusJSON {
	return statusJSON{plainStatus(s), text(s.RetryAfter), text(s.ModeFor), text(s.RampFor), text(s.Age)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (s Status) MarshalJSON() ([]byte, error) { return json.Marshal(s.twin()) }

// UnmarshalJSON reads what MarshalJSON wrote. An absent field keeps its value; after
// an error the value is unchanged.
func (s *Status) UnmarshalJSON(data []byte) error {
	j := s.twin()
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*s = Status(j.plainStatus)
	s.RetryAfter, s.ModeFor, s.RampFor, s.Age = time.Duration(j.RetryAfter), time.Duration(j.ModeFor), time.Duration(j.RampFor), time.Duration(j.Age)
	return nil
}

func (s Snapshot) twin() snapshotJSON {
	return snapshotJSON{plainSnapshot(s), text(s.Age), text(s.RetryAfter), text(s.OpenFor), text(s.RampFor), text(s.ModeFor)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (s Snapshot) MarshalJSON() ([]byte, error) { return json.Marshal(s.twin()) }

// UnmarshalJSON reads what MarshalJSON wrote. An absent field keeps its value; after
// an error the value is unchanged.
func (s *Snapshot) UnmarshalJSON(data []byte) error {
	j := s.twin()
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*s = Snapshot(j.plainSnapshot)
	s.Age, s.RetryAfter, s.OpenFor, s.ModeFor = time.Duration(j.Age), time.Duration(j.RetryAfter), time.Duration(j.OpenFor), time.Duration(j.ModeFor)
	s.RampFor = time.Duration(j.RampFor)
	return nil
}

func (r ProbeRound) twin() roundJSON {
	return roundJSON{plainRound(r), text(r.Lease)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (r ProbeRound) MarshalJSON() ([]byte, error) { return json.Marshal(r.twin()) }

// UnmarshalJSON reads what MarshalJSON wrote. An absent field keeps its value; after
// an error the value is unchanged.
func (r *ProbeRound) UnmarshalJSON(data []byte) error {
	j := r.twin()
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*r = ProbeRound(j.plainRound)
	r.Lease = time.Duration(j.Lease)
	return nil
}

func (t Transition) twin() transitionJSON {
	return transitionJSON{plainTransition(t), text(t.Ago), text(t.For)}
}

// MarshalJSON writes durations as text, such as "1m0s".
func (t Transition) MarshalJSON() ([]byte, error) { return json.Marshal(t.twin()) }

// UnmarshalJSON reads what MarshalJSON wrote. An absent field keeps its value; after
// an error the value is unchanged.
func (t *Transition) UnmarshalJSON(data []byte) error {
	j := t.twin()
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*t = Transition(j.plainTransition)
	t.Ago, t.For = time.Duration(j.Ago), time.Duration(j.For)
	return nil
}

func (e Event) twin() eventJSON {
	j := eventJSON{plainEvent(e), "", text(e.Lease), text(e.Took), text(e.Outage)}
	if e.Err != nil {
		j.Err = e.Err.Error()
	}
	return j
}

// MarshalJSON writes durations and the error as text.
func (e Event) MarshalJSON() ([]byte, error) { return json.Marshal(e.twin()) }

// UnmarshalJSON reads what MarshalJSON wrote. Of the error it restores the text
// only. An absent field keeps its value; after an error the value is unchanged.
func (e *Event) UnmarshalJSON(data []byte) error {
	j := e.twin()
	before := j.Err
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*e = Event(j.plainEvent)
	e.Lease, e.Took = time.Duration(j.Lease), time.Duration(j.Took)
	e.Outage = time.Duration(j.Outage)
	if j.Err != before {
		e.Err = errors.New(j.Err)
	}
	return nil
}
