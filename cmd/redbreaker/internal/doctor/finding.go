package doctor

import "fmt"

// Severity is how urgent a Finding is.
type Severity uint8

// The severities, in rising order.
const (
	OK      Severity = iota // the check found nothing wrong
	Note                    // something to know; breakers work
	Warning                 // something works worse than it should, or may fail later
	Error                   // breakers do not work, or not as promised
)

var severityNames = [...]string{"ok", "note", "warning", "error"}

// String returns ok, note, warning or error.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name that MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severityNames {
		if name == string(text) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("unknown severity %q", text)
}

// Finding is the result of a check.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// Node is the address of the server that the finding is about; empty if it is about all.
	Node string `json:"node,omitzero"`
	// What describes the fault, or that there is none.
	What string `json:"what"`
	// Do says what an operator can do about it; empty if nothing is wrong.
	Do string `json:"do,omitzero"`
}

// Worst returns the highest severity of the findings.
func Worst(findings []Finding) Severity {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst
}
