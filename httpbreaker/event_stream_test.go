package httpbreaker_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/httpbreaker"
)

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var eventStream = &http.Response{Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}}

// TestEventStream_splits: events are the same however a stream is cut into reads.
func TestEventStream_splits(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for stream, want := range map[string][]string{
		"data: a\n\ndata: b\n\n":                    {"/a", "/b"},
		"event: error\ndata: {\ndata: }\n\n":        {"error/{\n}"},
		"data: a\r\n\r\ndata: b\r\rdata:c\n\n":      {"/a", "/b", "/c"},
		": comment\nid: 7\nretry: 10\n\ndata\n\n":   {"/"},
		"event: error\n\n":                          {"error/"},
		"event: x\ndata: [DONE]\n":                  {"x/[DONE]"},
		"event: x\ndata: [DONE]":                    {"x/[DONE]"},
		"\n\n\n":                                    nil,
		"data: " + long + "\ndata: y\n\ndata:z\n\n": {"/" + long[:64<<10-6], "/z"},
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			if len(stream) > 1000 && size < 3 {
				continue
			}
			var got []string
			judge := httpbreaker.EventStream(func(event string, data []byte) error {
				got = append(got, event+"/"+string(data))
				return nil
			})(eventStream)
			for rest := []byte(stream); len(rest) > 0; {
				n := min(size, len(rest))
				if err := judge(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := judge(nil); err != nil {
				t.Fatal(err)
			}
			if len(stream) > 1000 { // the line is bounded, then the data
				for i := range got {
					got[i] = strings.TrimSuffix(got[i], "\ny")
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%.60q by %d (-want +got):\n%.500s", stream, size, diff)
			}
		}
	}
}

func TestEventStream_otherTypes(t *testing.T) {
	for _, kind := range []string{"", "application/json", "text/event-stream-x", ";;"} {
		r := &http.Response{Header: http.Header{"Content-Type": {kind}}}
		if httpbreaker.EventStream(func(string, []byte) error { return nil })(r) != nil {
			t.Errorf("%q is watched", kind)
		}
	}
}

// TestTransport_eventStream: an error event after a 200 opens the circuit, and the
// caller reads what it would have read.
func TestTransport_eventStream(t *testing.T) {
	const errorEvent = "event: error\ndata: {\"type\":\"overloaded_error\"}\n\n"
	for _, c := range []struct {
		name, text string
		cut        bool
		want       redbreaker.Outcome
	}{
		{"whole", "data: a\n\ndata: [DONE]\n\n", false, redbreaker.Success},
		{"an error event", "data: a\n\n" + errorEvent, false, redbreaker.Failure},
		{"an error event, then more", errorEvent + "data: a\n\n", false, redbreaker.Failure},
		{"cut in the middle of an event", "data: a\n\ndata: {\"tex", true, redbreaker.Failure},
		{"cut between events", "data: a\n\n", true, redbreaker.Failure},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, http2 bool) {
				server := newServer(t, http2, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					for _, part := range strings.SplitAfter(c.text, "e") { // also in the middle of a line
						fmt.Fprint(w, part)
						flush(w)
					}
					if c.cut {
						panic(http.ErrAbortHandler)
					}
				})
				b, o := newBreaker(t, neverOpens)
				client := newClient(t, server, b, httpbreaker.TransportConfig{
					BodyJudge: httpbreaker.EventStream(func(event string, data []byte) error {
						if event == "error" {
							return errors.New(string(data))
						}
						return nil
					}),
				})
				r := mustGet(t, client, server.URL)
				defer r.Body.Close()
				text, err := io.ReadAll(r.Body)
				if string(text) != c.text || (err != nil) != c.cut {
					t.Errorf("read %q, %v", text, err)
				}
				wantOutcomes(t, o, c.want)
			})
		})
	}
}

// FuzzEventStream: no stream panics, and reads of one byte find the same events.
func FuzzEventStream(f *testing.F) {
	f.Add([]byte("event: error\r\ndata: a\rdata: b\n\n: c\n"), uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		parse := func(size int) (events []string) {
			judge := httpbreaker.EventStream(func(event string, data []byte) error {
				events = append(events, event+"/"+string(data))
				return nil
			})(eventStream)
			for rest := stream; len(rest) > 0; {
				n := min(size, len(rest))
				_ = judge(rest[:n])
				rest = rest[n:]
			}
			_ = judge(nil)
			return events
		}
		if diff := cmp.Diff(parse(len(stream)+1), parse(int(size)+1)); diff != "" {
			t.Errorf("by %d bytes (-whole +parts):\n%s", int(size)+1, diff)
		}
	})
}
