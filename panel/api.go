package panel

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// breakerJSON is a breaker of the API: its snapshot, and its name as URLs have it, which
// loses no byte.
type breakerJSON struct {
	ID string
	engine.Snapshot
}

// MarshalJSON writes the fields of the snapshot after the id.
func (b breakerJSON) MarshalJSON() ([]byte, error) {
	id, err := json.Marshal(b.ID)
	if err != nil {
		return nil, err
	}
	snapshot, err := json.Marshal(b.Snapshot)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{[]byte(`{"id":`), id, []byte(`,`), snapshot[1:]}, nil), nil
}

// listJSON is a page of the list. Problems are the errors of the parts that could not
// be read.
type listJSON struct {
	Breakers []any    `json:"breakers"`
	Page     int      `json:"page"`
	Pages    int      `json:"pages"`
	PerPage  int      `json:"per_page"`
	Matched  int      `json:"matched"`
	Total    int      `json:"total"`
	Counts   counts   `json:"counts"`
	Problems []string `json:"problems,omitzero"`
}

// keyJSON is a breaker whose name is too long to be stored.
type keyJSON struct {
	Key string `json:"key"`
}

// faultJSON is a breaker that could not be read.
type faultJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Error string `json:"error"`
}

func (p *Panel) serveList(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		p.writeFault(w, r, err)
		return
	}
	all, err := p.fleet.readFleet(r.Context())
	if err != nil {
		p.writeFault(w, r, err)
		return
	}
	list := all.selectBreakers(q)
	body := listJSON{
		Breakers: []any{}, Page: list.page, Pages: list.pages, PerPage: list.perPage,
		Matched: list.matched, Total: list.total, Counts: list.counts, Problems: listProblems(all.problems()),
	}
	now := time.Now()
	for _, b := range list.breakers {
		if b.key != "" {
			body.Breakers = append(body.Breakers, keyJSON{b.key})
			continue
		}
		if b.fault != nil {
			body.Breakers = append(body.Breakers, faultJSON{encodeName(b.Name), b.Name, faultText(b.fault)})
			continue
		}
		body.Breakers = append(body.Breakers, breakerJSON{encodeName(b.Name), b.ageSnapshot(now)})
	}
	writeJSON(w, http.StatusOK, body)
}

func (p *Panel) serveBreaker(w http.ResponseWriter, r *http.Request) {
	name, err := p.fleet.findName(r.Context(), r.PathValue("name"))
	if err != nil {
		p.writeFault(w, r, err)
		return
	}
	s, err := p.inspectExisting(r.Context(), name)
	if err != nil {
		p.writeFault(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, breakerJSON{encodeName(name), s})
}

func (p *Panel) serveCommand(w http.ResponseWriter, r *http.Request) {
	name, _, after, err := p.handleCommand(r)
	if err != nil {
		p.writeFault(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, breakerJSON{encodeName(name), after})
}

// handleCommand carries out the command of a request.
func (p *Panel) handleCommand(r *http.Request) (name string, a action, after engine.Snapshot, err error) {
	if a, err = findAction(r.PathValue("action")); err != nil {
		return name, a, after, err
	}
	if name, err = p.fleet.findName(r.Context(), r.PathValue("name")); err != nil {
		return name, a, after, err
	}
	o, err := readOrder(r)
	if err != nil {
		return name, a, after, err
	}
	c, err := p.newCommand(r, a, o)
	if err != nil {
		return name, a, after, err
	}
	after, err = p.runCommand(r, name, c)
	return name, a, after, err
}

// maxProblems is the most errors that a list has. A server that is down makes one for
// each breaker.
const maxProblems = 5

// listProblems returns the texts of joined errors.
func listProblems(err error) []string {
	var all []string
	var collect func(err error)
	collect = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				collect(e)
			}
			return
		}
		all = append(all, faultText(err))
	}
	if err != nil {
		collect(err)
	}
	if len(all) > maxProblems {
		more := len(all) - maxProblems + 1
		all = append(all[:maxProblems-1], faultText(errors.New("and "+formatCount(int64(more))+" more")))
	}
	return all
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // none of the types can fail
		http.Error(w, "redbreaker: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
