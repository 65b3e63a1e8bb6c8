package panel

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// defaultActor is the actor of commands where Options.Actor is nil.
const defaultActor = "panel"

// maxTitle is the most bytes of Options.Title.
const maxTitle = 80

// Options configures [New]. The zero value is usable.
type Options struct {
	// Prefix is the path at which the panel is mounted, such as /breakers: a request
	// has it in its path. It begins with a slash and does not end with one. Empty: the
	// root.
	Prefix string
	// Title is the title of every page, such as the namespace; at most 80 printable
	// bytes. Empty: redbreaker.
	Title string
	// ReadOnly refuses every command, the Alertmanager's too, and shows no controls.
	ReadOnly bool
	// Allow returns nil if the request may give the command to the breaker of that
	// name, or an error whose text the operator sees, with status 403. It is called for
	// each command before it runs, concurrently. nil: every request may.
	Allow func(r *http.Request, name string, c engine.Command) error
	// Actor returns the actor for the log of the breaker, which keeps 64 bytes of it. It
	// is called concurrently. nil, or if it returns "": panel. The Alertmanager's commands
	// have the actor alertmanager.
	Actor func(r *http.Request) string
}

// validPrefix matches paths whose bytes mean nothing to http.ServeMux.
var validPrefix = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// validate returns every fault of the options, joined.
func (o *Options) validate() error {
	var faults []error
	if !validPrefix.MatchString(o.Prefix) {
		faults = append(faults, engine.Invalid("the panel's Prefix is %s, use a path such as /breakers, of letters, digits and -._~, without a slash at its end", strconv.Quote(engine.PrintableName(o.Prefix))))
	}
	if len(o.Title) > maxTitle {
		faults = append(faults, engine.Invalid("the panel's Title has %d bytes, use at most %d", len(o.Title), maxTitle))
	}
	if strings.ContainsFunc(o.Title, func(r rune) bool { return r == '\uFFFD' || !strconv.IsPrint(r) }) {
		faults = append(faults, engine.Invalid("the panel's Title is %s, use printable characters", engine.PrintableName(o.Title)))
	}
	return errors.Join(faults...)
}
