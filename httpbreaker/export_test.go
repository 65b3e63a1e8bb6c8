package httpbreaker

import "io"

// VendorRetryAfter is switched on by TransportConfig.VendorHeaders.
var VendorRetryAfter = vendorRetryAfter

// IsProbe reports whether a response's body is that of a probe.
func IsProbe(body io.ReadCloser) bool {
	c, ok := body.(*call)
	return ok && c.probe
}
