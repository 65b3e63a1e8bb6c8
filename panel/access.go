package panel

import (
	"net/http"
	"net/url"
	"strings"
)

// maxBody is the most bytes of a request's body. An Alertmanager sends up to a few
// hundred alerts of about 1 kB.
const maxBody = 1 << 20

// setSecurityHeaders sets what every response has.
func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer, with which forms are sent with the origin null.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// checkSite returns an error if a page of another site caused the request. A browser
// sends the operator's cookies and passwords with such a request, and reaches hosts
// that the other site cannot reach. Programs that are no browsers send neither header.
func (p *Panel) checkSite(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return nil
	case "":
		if isOwnOrigin(r) {
			return nil
		}
	default:
		if p.isLink(r) {
			return nil
		}
	}
	return &fault{http.StatusForbidden, "this request comes from a page of another site, which may not use the panel"}
}

// isOwnOrigin reports whether the request has no Origin, or that of the panel. Behind a
// proxy that ends TLS the scheme differs, so only the host counts.
func isOwnOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// isLink reports whether an operator follows a link from another site, such as a
// dashboard, to one of the pages.
func (p *Panel) isLink(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !p.isAPI(r) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// isAPI reports whether the request is for the API, whose errors are JSON.
func (p *Panel) isAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, p.options.Prefix+"/api/")
}
