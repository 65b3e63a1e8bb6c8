package httpbreaker

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// withCapabilities returns the writer for the handler: one that can flush and
// hijack if the server's can. Handlers find that out by type assertions, so a
// method that could only fail would mislead them.
func (w *responseWriter) withCapabilities() http.ResponseWriter {
	if !canDo[http.Flusher](w.ResponseWriter) && !canDo[interface{ FlushError() error }](w.ResponseWriter) {
		return w
	}
	if !canDo[http.Hijacker](w.ResponseWriter) {
		return flusher{w}
	}
	return hijacker{flusher{w}}
}

// canDo reports whether w, or a writer that it wraps, is a T: where
// http.ResponseController would find it.
func canDo[T any](w http.ResponseWriter) bool {
	for {
		if _, ok := w.(T); ok {
			return true
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = wrapper.Unwrap()
	}
}

// WriteString spares the copy that Write would cost.
func (w *responseWriter) WriteString(s string) (int, error) {
	w.judgeHeaders(http.StatusOK)
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom copies the body, by sendfile where the server's writer can.
func (w *responseWriter) ReadFrom(from io.Reader) (int64, error) {
	w.judgeHeaders(http.StatusOK)
	return io.Copy(w.ResponseWriter, from)
}

// flusher is a responseWriter that can flush: over HTTP/2, and HTTP/1.
type flusher struct{ *responseWriter }

// Flush sends what was written so far. To stream begins here.
func (w flusher) Flush() { _ = w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w flusher) FlushError() error {
	w.beginStream(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// hijacker can also take over the connection: over HTTP/1.
type hijacker struct{ flusher }

// Hijack takes over the connection, for a protocol of its own. That counts as the
// status 101.
func (w hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.beginStream(http.StatusSwitchingProtocols)
	}
	return conn, buffered, err
}
