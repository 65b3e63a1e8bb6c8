package panel

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// How often a page that follows events fetches itself nevertheless, since tallies change
// without an event. A breaker's page costs less than a list.
const (
	listRefresh    = 15 * time.Second
	breakerRefresh = 5 * time.Second
)

// frame is the part of a page around its content.
type frame struct {
	Base, Title, Assets string
	PageTitle           string
	ReadOnly            bool
	RefreshMS           int64
}

func (p *Panel) newFrame(title string, refresh time.Duration) frame {
	return frame{
		Base: p.options.Prefix, Title: p.options.Title, PageTitle: title + " · " + p.options.Title,
		Assets: p.options.Prefix + "/assets/" + assetVersion, ReadOnly: p.options.ReadOnly, RefreshMS: refresh.Milliseconds(),
	}
}

// showPage writes a page. It is complete before the first byte is sent, so an error of
// a template is not half a page.
func showPage(w http.ResponseWriter, status int, name string, view any) {
	var b bytes.Buffer
	if err := pages[name].Execute(&b, view); err != nil {
		http.Error(w, "redbreaker: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// showList shows the breakers that the query asks for.
func (p *Panel) showList(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		p.showFault(w, r, err)
		return
	}
	all, err := p.fleet.readFleet(r.Context())
	if err != nil {
		p.showFault(w, r, err)
		return
	}
	showPage(w, http.StatusOK, "list", p.newListView(all, all.selectBreakers(q)))
}

// showBreaker shows one breaker.
func (p *Panel) showBreaker(w http.ResponseWriter, r *http.Request) {
	name, err := p.fleet.findName(r.Context(), r.PathValue("name"))
	if err != nil {
		p.showFault(w, r, err)
		return
	}
	s, err := p.inspectExisting(r.Context(), name)
	if err != nil {
		p.showFault(w, r, err)
		return
	}
	view := p.newBreakerView(&s)
	view.Done = describeDone(r.URL.Query().Get("done"), &s)
	showPage(w, http.StatusOK, "breaker", view)
}

// describeDone confirms the command that led to this page. The address alone proves
// nothing, because anyone can link to it, so the log must have a recent command too.
func describeDone(slug string, s *engine.Snapshot) string {
	a, err := findAction(slug)
	if err != nil || len(s.Log) == 0 {
		return ""
	}
	if last := s.Log[len(s.Log)-1]; last.Cause != engine.CauseOperator || last.Ago > time.Minute {
		return ""
	}
	return a.title + " was carried out."
}

// showConfirmation shows what a command will do, and asks for its duration and reason.
func (p *Panel) showConfirmation(w http.ResponseWriter, r *http.Request) {
	p.confirmCommand(w, r, order{}, nil)
}

// submitCommand carries out a command and shows the breaker. If the command is refused,
// it asks again: an operator who saw another state decides whether it still applies.
func (p *Panel) submitCommand(w http.ResponseWriter, r *http.Request) {
	name, a, _, err := p.handleCommand(r)
	if err != nil {
		o := order{Reason: r.Form.Get("reason"), For: r.Form.Get("for")}
		if o.For == otherTerm {
			o.For = r.Form.Get("other")
		}
		p.confirmCommand(w, r, o, err)
		return
	}
	http.Redirect(w, r, fmt.Sprintf("%s/breakers/%s?done=%s", p.options.Prefix, encodeName(name), a.slug), http.StatusSeeOther)
}

// confirmCommand shows the form of a command, with the error of the last attempt.
func (p *Panel) confirmCommand(w http.ResponseWriter, r *http.Request, o order, fault error) {
	a, err := findAction(r.PathValue("action"))
	var name string
	if err == nil {
		name, err = p.fleet.findName(r.Context(), r.PathValue("name"))
	}
	if err == nil {
		err = p.checkRight(r, name, engine.Command{Action: a.Action, Actor: p.readActor(r)})
	}
	var s engine.Snapshot
	if err == nil {
		s, err = p.inspectExisting(r.Context(), name)
	}
	if err != nil {
		if fault != nil {
			err = fault
		}
		p.showFault(w, r, err)
		return
	}
	view, status := p.newConfirmView(&s, a, o), http.StatusOK
	if fault != nil {
		status = faultStatus(fault)
		view.Error = faultText(fault)
		if errors.Is(fault, engine.ErrConflict) {
			view.Error = "The breaker has changed since this page was loaded. It now is as shown above. Decide whether the command still applies."
		}
		view.Unknown = mayHaveRun(fault)
	}
	showPage(w, status, "confirm", view)
}

func (p *Panel) showNothing(w http.ResponseWriter, r *http.Request) {
	p.writeFault(w, r, &fault{http.StatusNotFound, "there is no such page"})
}

// faultView is the page of an error.
type faultView struct {
	frame
	Headline, Error string
}

func (p *Panel) showFault(w http.ResponseWriter, _ *http.Request, err error) {
	headline := "That did not work"
	status := faultStatus(err)
	switch {
	case status == http.StatusNotFound:
		headline = "Not found"
	case status == http.StatusForbidden:
		headline = "Not allowed"
	case isStorageFault(err):
		headline = "The storage does not answer"
	}
	text := faultText(err)
	if text != "" {
		text = strings.ToUpper(text[:1]) + text[1:] + "."
	}
	showPage(w, status, "fault", faultView{p.newFrame(headline, listRefresh), headline, text})
}
