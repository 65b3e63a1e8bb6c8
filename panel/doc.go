// Package panel shows the breakers of a fleet in a browser and through a JSON API, and
// lets an operator overrule them.
//
// [New] returns an http.Handler over an [engine.Storage] that can list its breakers,
// such as storage.Redis:
//
//	p, err := panel.New(store, panel.Options{Prefix: "/breakers"})
//	...
//	mux.Handle("/breakers/", requireLogin(p))
//
// The panel has no login of its own: everyone who reaches it may use it, unless ReadOnly or
// Allow says otherwise. Put it behind the login of your program, or use the command
// redbreaker serve.
//
// # Pages
//
// The pages work without JavaScript. With it, they follow the fleet by server-sent
// events. They load nothing from other hosts, and their content security policy
// forbids scripts and styles within the page.
//
// # API
//
//	GET  api/breakers                  a page of breakers: q, state, mode, sort, page, per_page
//	GET  api/breakers/{name}           one breaker
//	POST api/breakers/{name}/{action}  trip, half-open, reset, force-open, force-closed, shadow, release
//	GET  api/events                    transitions as server-sent events
//	POST api/alertmanager              a webhook for the Alertmanager of Prometheus
//
// Names may be any bytes. In a URL, each byte of a name other than a letter, a digit,
// - and _ is written as ~ and two upper-case hex digits, and so is a dot at the
// beginning. The result has neither slashes nor percent signs, so no proxy changes it.
// Percent-encoding is understood as well, except that a name's own ~ must be written as
// ~7E if two upper-case hex digits follow it. A name that would exceed 2000 bytes is
// written as ~sha256- and the digest of the name.
//
// # Security
//
// A request that a page of another site caused is refused: by Sec-Fetch-Site, or by
// Origin where the browser does not send that. A proxy must pass on the Host header.
// Nothing fetches a URL that a request names.
package panel
