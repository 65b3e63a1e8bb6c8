package panel

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// fault is an error with its status.
type fault struct {
	status int
	text   string
}

func (f *fault) Error() string { return "redbreaker: " + f.text }

// faultStatus returns the status of an error.
func faultStatus(err error) int {
	var own *fault
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		return own.status
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, engine.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, engine.ErrConflict), errors.Is(err, engine.ErrForced):
		return http.StatusConflict
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, engine.ErrForeignKey), errors.Is(err, engine.ErrNewerLayout):
		return http.StatusBadGateway
	case isStorageFault(err):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// isStorageFault reports whether the storage failed, so that the same request may
// succeed later.
func isStorageFault(err error) bool {
	var e *engine.StorageError
	return errors.As(err, &e) || errors.Is(err, engine.ErrStopped) || errors.Is(err, context.Canceled)
}

// mayHaveRun reports whether a command that failed may have been carried out.
func mayHaveRun(err error) bool {
	var e *engine.StorageError
	return errors.As(err, &e) && e.Class == engine.ClassUnknown && e.Op == "control"
}

// faultText returns what an operator reads about an error, a line for each error that
// was joined.
func faultText(err error) string {
	text := strings.ReplaceAll(err.Error(), "redbreaker: ", "")
	if mayHaveRun(err) {
		text += "; the command may have been carried out, look at the breaker before you repeat it"
	}
	return text
}

// writeFault answers a request with an error: JSON to a program, a page to a browser.
func (p *Panel) writeFault(w http.ResponseWriter, r *http.Request, err error) {
	if p.isAPI(r) {
		writeJSON(w, faultStatus(err), errorJSON{faultText(err)})
		return
	}
	p.showFault(w, r, err)
}

// errorJSON is the body of an error.
type errorJSON struct {
	Error string `json:"error"`
}
