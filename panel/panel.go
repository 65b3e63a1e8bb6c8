package panel

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/redbreaker/redbreaker/engine"
)

// Panel is the http.Handler of the panel and its API. Make it with [New]. All methods
// are safe for concurrent use.
type Panel struct {
	storage engine.Storage
	options Options
	fleet   *fleet
	feed    *feed
	mux     *http.ServeMux
}

// New returns a panel over the storage, which must be an [engine.Lister]. If it is an
// [engine.Watcher] too, the panel learns of transitions from it; otherwise it reads all
// breakers once a second while a browser follows them. The error names every fault of
// the arguments and matches [engine.ErrInvalid].
//
// New starts nothing and does no I/O. The storage stays the caller's.
func New(s engine.Storage, o Options) (*Panel, error) {
	err := o.validate()
	var lister engine.Lister
	switch l, ok := s.(engine.Lister); {
	case engine.IsNil(s):
		err = errors.Join(engine.Invalid("the panel's storage is nil, make one with storage.NewRedis or engine.NewMemory"), err)
	case !ok:
		err = errors.Join(engine.Invalid("the panel's storage of kind %s cannot list its breakers, use one that implements engine.Lister", s.Kind()), err)
	default:
		lister = l
	}
	if err != nil {
		return nil, err
	}
	o.Title = cmp.Or(o.Title, "redbreaker")
	p := &Panel{storage: s, options: o, fleet: newFleet(s, lister)}
	p.feed = newFeed(s, p.fleet)
	p.mux = p.newMux()
	return p, nil
}

// Close ends all event streams, so that http.Server.Shutdown does not wait for them, and
// waits until the storage's Watch has returned. Pages and the rest of the API go on. Use it
// with http.Server.RegisterOnShutdown.
func (p *Panel) Close() { _ = p.feed.closeFeed(context.Background()) }

// Shutdown is Close with a limit: if the context ends before the storage's Watch has
// returned, it returns the context's error. The streams end even then.
func (p *Panel) Shutdown(ctx context.Context) error { return p.feed.closeFeed(ctx) }

// ServeHTTP implements http.Handler.
func (p *Panel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header())
	if err := p.checkSite(r); err != nil {
		p.writeFault(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	p.mux.ServeHTTP(w, r)
}

// newMux returns the routes. They have the prefix, so that the redirections of
// http.ServeMux have it too.
func (p *Panel) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(method, path string, h http.HandlerFunc) { mux.HandleFunc(method+" "+p.options.Prefix+path, h) }
	handle("GET", "/api/breakers", p.serveList)
	handle("GET", "/api/breakers/{name}", p.serveBreaker)
	handle("POST", "/api/breakers/{name}/{action}", p.serveCommand)
	handle("GET", "/api/events", p.serveEvents)
	handle("POST", "/api/alertmanager", p.serveAlertmanager)
	handle("GET", "/assets/{version}/{file}", serveAsset)
	handle("GET", "/{$}", p.showList)
	handle("GET", "/breakers/{name}", p.showBreaker)
	handle("GET", "/breakers/{name}/{action}", p.showConfirmation)
	handle("POST", "/breakers/{name}/{action}", p.submitCommand)
	handle("GET", "/", p.showNothing)
	return mux
}
