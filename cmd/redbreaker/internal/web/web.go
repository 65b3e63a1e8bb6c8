// Package web serves the panel of a namespace, with its metrics and its health, to
// those who may see it.
package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/metrics"
	"github.com/redbreaker/redbreaker/panel"
)

// Store is a storage that lists its breakers.
type Store interface {
	engine.Storage
	engine.Lister
}

// Config describes a site.
type Config struct {
	Store  Store
	Title  string
	Prefix string // of the panel; /metrics and /healthz have none
	// ReadOnly refuses every command.
	ReadOnly bool
	// User and Password are asked for by basic authentication. Both are empty, or none.
	User, Password string
	// Anonymous allows addresses that other machines reach, without a password.
	Anonymous bool
	// Listen is the address, such as 127.0.0.1:8686.
	Listen string
	// Hosts are names under which browsers reach the site without a password, besides IP
	// addresses, localhost and the host of Listen.
	Hosts []string
}

// Validate returns all faults, in terms of the command's flags. New finds those of
// Title and Prefix.
func (c *Config) Validate() error {
	var faults []error
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		faults = append(faults, fmt.Errorf("--listen is %q, use host:port, such as 127.0.0.1:8686", c.Listen))
	}
	if (c.User == "") != (c.Password == "") {
		faults = append(faults, errors.New("of $REDBREAKER_PANEL_USER and $REDBREAKER_PANEL_PASSWORD only one is set, set both or none"))
	}
	if strings.Contains(c.User, ":") {
		faults = append(faults, errors.New("$REDBREAKER_PANEL_USER has a colon, which basic authentication cannot send"))
	}
	for _, name := range c.Hosts {
		if _, _, err := net.SplitHostPort(name); err == nil {
			faults = append(faults, fmt.Errorf("--host is %q, use the name without a port", name))
		}
	}
	if err == nil && !isLoopback(host) && c.Password == "" && !c.ReadOnly && !c.Anonymous {
		faults = append(faults, fmt.Errorf("--listen is %s, so other machines could overrule breakers: "+
			"set $REDBREAKER_PANEL_USER and $REDBREAKER_PANEL_PASSWORD, or use --read-only, or --anonymous behind a proxy that asks for a login", c.Listen))
	}
	return errors.Join(faults...)
}

// isLoopback reports whether only this machine reaches the host.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Site is the handler of everything. Make it with [New].
type Site struct {
	config Config
	panel  *panel.Panel
	fleet  *metrics.Fleet
	mux    *http.ServeMux
	secret [sha256.Size]byte // of user and password
}

// New returns a site. The error names every fault of the configuration.
func New(c Config) (*Site, error) {
	s := &Site{config: c, mux: http.NewServeMux(), secret: sumSecret(c.User, c.Password)}
	var invalid error
	err := c.Validate()
	s.panel, invalid = panel.New(c.Store, panel.Options{Prefix: c.Prefix, Title: c.Title, ReadOnly: c.ReadOnly, Actor: s.actorOf})
	err = errors.Join(err, invalid)
	s.fleet, invalid = metrics.NewFleet(c.Store, 0)
	if err = errors.Join(err, invalid); err != nil {
		return nil, err
	}
	s.mux.Handle(c.Prefix+"/", s.panel)
	s.mux.HandleFunc("GET /metrics", s.serveMetrics)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// Not http.Server.ReadTimeout, which would end event streams. The server reads the
		// body of a request that it refuses too, so this comes before the password.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	switch {
	case r.URL.Path == "/healthz":
		s.serveHealth(w, r) // without a password, for those that restart processes
	case !s.isAllowed(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="redbreaker", charset="UTF-8"`)
		http.Error(w, "redbreaker: give the user and the password of the panel", http.StatusUnauthorized)
	case !s.isOwnHost(r.Host):
		http.Error(w, "redbreaker: the panel is not reached by this host name; start it with --host NAME, or with a password", http.StatusMisdirectedRequest)
	default:
		s.mux.ServeHTTP(w, r)
	}
}

func sumSecret(user, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(user + ":" + password)) // a user has no colon
}

// isAllowed reports whether the request has the password. The sums are compared, so the
// time that it takes shows nothing about the password.
func (s *Site) isAllowed(r *http.Request) bool {
	if s.config.Password == "" {
		return true
	}
	user, password, ok := r.BasicAuth()
	sum := sumSecret(user, password)
	return ok && !strings.Contains(user, ":") && subtle.ConstantTimeCompare(sum[:], s.secret[:]) == 1
}

// isOwnHost reports whether a browser reaches the site by a name that is known to be
// its own. Without a password, a page of another site could otherwise make its own name
// an alias of this machine (DNS rebinding), and would then be of the same origin. An IP
// address cannot be such an alias, and with a password the browser sends none.
func (s *Site) isOwnHost(hostport string) bool {
	if s.config.Password != "" {
		return true
	}
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	own, _, _ := net.SplitHostPort(s.config.Listen)
	isNamed := func(name string) bool { return name != "" && strings.EqualFold(name, host) }
	return net.ParseIP(host) != nil || isNamed("localhost") || isNamed(own) || slices.ContainsFunc(s.config.Hosts, isNamed)
}

// actorOf returns the user whose password was checked.
func (s *Site) actorOf(*http.Request) string { return s.config.User }

// serveHealth answers 200 if the storage answers. It reveals nothing else.
func (s *Site) serveHealth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	for _, err := range s.config.Store.Names(r.Context()) {
		if err != nil && !isAnswer(err) {
			http.Error(w, "the storage does not answer", http.StatusServiceUnavailable)
			return
		}
		break // one name shows it
	}
	fmt.Fprintln(w, "ok")
}

// isAnswer reports whether the error is an answer of the storage: a right that is missing,
// or a key of another application. A restart, which supervisors do, would not mend it.
func isAnswer(err error) bool {
	var e *engine.StorageError
	return errors.As(err, &e) && (e.Class == engine.ClassRefused || e.Class == engine.ClassForeign)
}

// scrapeTimeout limits the reading for a scrape. It is Prometheus' own default, after which
// it has closed the connection.
const scrapeTimeout = 10 * time.Second

// serveMetrics writes the metrics of all records, or of those that were read in time.
func (s *Site) serveMetrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), scrapeTimeout)
	defer cancel()
	var samples []metrics.Sample
	// What cannot be read is counted among the metrics.
	err := s.fleet.Collect(ctx, func(one metrics.Sample) { samples = append(samples, one) })
	if len(samples) == 0 {
		http.Error(w, fmt.Sprintf("redbreaker: the records were not read within %v: %v", scrapeTimeout, err), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", metrics.TextContentType)
	w.Header().Set("Cache-Control", "no-store")
	_ = metrics.WriteText(w, samples)
}

const (
	// headerTimeout limits how long a client may take to send the head of a request.
	headerTimeout = 10 * time.Second
	// bodyTimeout limits how long a client may take to send the body of a request.
	bodyTimeout = 30 * time.Second
	// writeTimeout limits a request after its head, so that a client that reads nothing does
	// not keep its response in memory. Reading a large fleet may take 30 s of it. Event
	// streams replace it by a limit for each write.
	writeTimeout = 2 * time.Minute
	idleTimeout  = 2 * time.Minute
	// stopTimeout is how long Serve waits for event streams and for requests in flight.
	stopTimeout = 5 * time.Second
)

// Serve serves the site on the listener until the context ends, and then waits for the
// requests in flight. It closes the listener.
func (s *Site) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	panelEnded := make(chan struct{})
	go func() {
		defer close(panelEnded)
		_ = s.panel.Shutdown(stopping) // event streams would last longer than the wait
	}()
	if stopErr := server.Shutdown(stopping); stopErr != nil {
		_ = server.Close()
	}
	<-panelEnded
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}
