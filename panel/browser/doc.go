// Package browser tests the panel in a real Chromium. It is a module of its own, so that
// importers of redbreaker do not inherit the driver of the browser.
package browser
