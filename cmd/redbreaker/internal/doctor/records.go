package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/engine"
)

// longMode is the age from which a mode may have been forgotten.
const longMode = 24 * time.Hour

// checkRecords examines the breakers that are listed.
func (e *exam) checkRecords(ctx context.Context) {
	var names, gone []string
	for l, err := range e.Storage.Names(ctx) {
		switch {
		case err != nil:
			e.addListFault(err)
		case l.Name != "":
			names = append(names, l.Name)
		}
	}
	snapshots, err := e.Storage.InspectMany(ctx, names)
	if snapshots == nil && err != nil {
		e.add(Finding{"records", Warning, "", "not read: " + err.Error(), "grant what the check of rights lists"})
		return
	}
	faults := faultsByName(err)
	healthy := 0
	for i := range snapshots {
		s := &snapshots[i]
		switch fault := faults[s.Name]; {
		case fault != nil:
			e.addRecordFault(s.Name, fault)
		case !s.Exists:
			gone = append(gone, s.Name)
		default:
			before := len(e.findings)
			e.checkRecord(s)
			if len(e.findings) == before {
				healthy++
			}
		}
	}
	if len(gone) > 0 {
		e.add(Finding{"records", Warning, "", fmt.Sprintf("%s listed without a record: %s", countWas(len(gone)), listFirst(gone, plaintext.Quote)),
			"if nothing deleted them, check for evictions and FLUSHALL: they begin again closed, whatever they were"})
	}
	e.checkSkew(ctx, names)
	e.add(Finding{Check: "records", What: fmt.Sprintf("%s, nothing is wrong with %d of them", countWords(len(names), "breaker"), healthy)})
}

func countWas(n int) string {
	if n == 1 {
		return "1 breaker is"
	}
	return fmt.Sprintf("%d breakers are", n)
}

// addListFault adds the fault of a part of the index.
func (e *exam) addListFault(err error) {
	var failure *engine.StorageError
	if errors.As(err, &failure) && failure.Class == engine.ClassForeign {
		e.add(Finding{"index", Error, "", fmt.Sprintf("the key %s of the index holds other data", plaintext.Quote(failure.Name)), "delete or rename the key, or use another namespace; its breakers are not listed"})
		return
	}
	e.add(Finding{"index", Warning, "", "a part of the index cannot be read: " + err.Error(), "grant +zscan, and check the servers"})
}

// faultsByName returns the errors of InspectMany by the names of the breakers.
func faultsByName(err error) map[string]error {
	all := map[string]error{}
	var add func(error)
	add = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, each := range joined.Unwrap() {
				add(each)
			}
			return
		}
		var failure *engine.StorageError
		if errors.As(err, &failure) {
			all[failure.Name] = failure
		}
	}
	add(err)
	return all
}

// addRecordFault adds the fault of a record that could not be read.
func (e *exam) addRecordFault(name string, err error) {
	switch {
	case errors.Is(err, engine.ErrForeignKey):
		e.add(Finding{"records", Error, "", fmt.Sprintf("the key of %s holds other data", plaintext.Quote(name)), "use another namespace, or delete the key; the breaker uses its fallback"})
	case errors.Is(err, engine.ErrNewerLayout):
		e.add(Finding{"records", Error, "", fmt.Sprintf("the record of %s is of a newer release", plaintext.Quote(name)), "update redbreaker and the services that are older; they use their fallback"})
	default:
		e.add(Finding{"records", Warning, "", fmt.Sprintf("%s was not read: %v", plaintext.Quote(name), err), "check the server of its slot"})
	}
}

// checkRecord examines one breaker.
func (e *exam) checkRecord(s *engine.Snapshot) {
	name := plaintext.Quote(s.Name)
	if len(s.Unreadable) > 0 {
		e.add(Finding{"records", Warning, "", fmt.Sprintf("%s has damaged fields: %s", name, plaintext.QuoteUnprintable(strings.Join(s.Unreadable, ", "))),
			"find what writes to the keys of the namespace; the next step that needs a damaged field begins the record again, or run: redbreaker reset"})
	}
	if since, exact := modeAge(s); s.Mode != engine.ModeAuto && since > longMode {
		more := ""
		if !exact {
			more = " or longer"
		}
		by := ""
		if s.ModeBy != "" {
			by = " by " + plaintext.QuoteUnprintable(s.ModeBy)
		}
		e.add(Finding{"records", Warning, "", fmt.Sprintf("%s has been in mode %s for %v%s%s", name, s.Mode, since.Round(time.Minute), more, by),
			releaseAdvice(s.Name)})
	}
}

// releaseAdvice says how to end a mode. People copy commands, so it has one only if a shell
// takes the quoted name as it is: $(...) would run within the quotes.
func releaseAdvice(name string) string {
	if quoted := plaintext.Quote(name); quoted == `"`+name+`"` && !strings.ContainsAny(name, "$`!") {
		return "if it is no longer needed: redbreaker release " + quoted
	}
	return "if it is no longer needed: release it in the panel or in redbreaker top"
}

// modeAge returns how long ago the mode began. It is not exact if the log no longer has the
// beginning.
func modeAge(s *engine.Snapshot) (age time.Duration, exact bool) {
	for i := len(s.Log) - 1; i >= 0; i-- {
		t := &s.Log[i]
		if t.ToMode != s.Mode {
			return age, true
		}
		age = t.Ago
		if t.FromMode != s.Mode || t.Cause == engine.CauseCreated {
			return age, true
		}
	}
	return age, false
}
