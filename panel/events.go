package panel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

const (
	// heartbeatTime is how often a comment shows that the stream lives. Proxies end
	// connections that are silent, often after 30 s or 60 s.
	heartbeatTime = 15 * time.Second
	// reconnectTime is after how long a browser connects again.
	reconnectTime = 2 * time.Second
	// sendTime is how long one write may take, so that a browser that reads nothing does
	// not hold the stream forever. It replaces http.Server.WriteTimeout. Between two writes
	// there is no deadline: a server resets an HTTP/2 stream whose deadline is over.
	sendTime = 10 * time.Second
	// resumeOverlap is how much before the last transition that a browser received the
	// replay begins: the servers of a cluster have clocks of their own, and a transition
	// may be delivered after a later one of another breaker.
	resumeOverlap = 2 * time.Second
	// replayTime limits a replay. A browser that reads slowly would otherwise keep the reading
	// of the whole fleet in memory. It resumes where it was.
	replayTime = time.Minute
)

// serveEvents streams the transitions of all breakers as server-sent events. The id of
// an event identifies its transition. With Last-Event-ID, the stream begins with the
// transitions since then that the logs of the records have. Some may be repeated, with
// the same id. A breaker whose log no longer reaches back that far has an event missed.
func (p *Panel) serveEvents(w http.ResponseWriter, r *http.Request) {
	after, err := parseEventID(r.Header.Get("Last-Event-ID"))
	if err != nil {
		p.writeFault(w, r, err)
		return
	}
	s, err := p.feed.openStream()
	if err != nil {
		p.writeFault(w, r, err)
		return
	}
	defer p.feed.closeStream(s)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would collect the events
	if r.Method == http.MethodHead {
		return
	}
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	// The server writes the end of the response, also to a browser that reads nothing.
	defer func() { _ = out.setDeadline(time.Now().Add(sendTime)) }()
	if err := out.writeChunk(fmt.Appendf(nil, "retry: %d\n\n", reconnectTime.Milliseconds())); err != nil {
		return
	}
	if after != nil {
		if err := p.replayEvents(r.Context(), out, after); err != nil {
			return // the browser tries again
		}
	}
	p.forwardEvents(r.Context(), s, out)
}

// forwardEvents writes the events of a stream until the browser leaves, is too slow, or
// the panel is closed.
func (p *Panel) forwardEvents(ctx context.Context, s *stream, out *eventWriter) {
	heartbeat := time.NewTicker(heartbeatTime)
	defer heartbeat.Stop()
	for {
		var err error
		select {
		case e := <-s.events:
			err = out.writeEvent(e)
		case <-heartbeat.C:
			out.replayed = nil // what happened before the replay has arrived by now
			err = out.writeChunk([]byte(": heartbeat\n\n"))
		case <-s.lost:
			return
		case <-p.feed.closed:
			return
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// replayEvents writes the transitions since the one that the browser received last.
func (p *Panel) replayEvents(ctx context.Context, out *eventWriter, after *eventID) error {
	r, err := p.fleet.readAnew(ctx)
	if err != nil {
		return err
	}
	until := time.Now().Add(replayTime)
	write := func(e engine.Event) error {
		select {
		case <-p.feed.closed:
			return context.Canceled
		default:
		}
		if time.Now().After(until) {
			return context.DeadlineExceeded
		}
		return out.writeEvent(e)
	}
	for _, b := range r.breakers {
		if len(b.Log) > 0 && b.Log[0].N > 1 && b.Log[0].At > after.at {
			if err := write(missedEvent(&b.Snapshot)); err != nil {
				return err
			}
		}
	}
	newer := listNewer(r, after)
	for i, t := range newer {
		if err := write(engine.Event{Kind: engine.EventTransition, Name: t.name, Transition: *t.Transition}); err != nil {
			return err
		}
		// The live events that may repeat some are those that wait in the queue.
		if i >= len(newer)-maxQueued {
			out.rememberReplayed(newEventID(t.name, *t.Transition))
		}
	}
	return nil
}

// logged is a transition of a reading, which is not copied: a fleet has many.
type logged struct {
	name string
	*engine.Transition
}

// listNewer returns the transitions of a reading since the one that a browser received
// last, the oldest first.
func listNewer(r *reading, after *eventID) []logged {
	since := after.at - resumeOverlap.Milliseconds()
	var newer []logged
	for _, b := range r.breakers {
		for i := range b.Log {
			if t := &b.Log[i]; t.At >= since && newEventID(b.Name, *t) != after.text {
				newer = append(newer, logged{b.Name, t})
			}
		}
	}
	slices.SortStableFunc(newer, func(a, b logged) int { return cmp.Compare(a.At, b.At) })
	return newer
}

// eventID identifies a transition, and says when it happened.
type eventID struct {
	at   int64 // in ms of the storage's clock
	text string
}

// newEventID returns the id of a transition: its time, its epoch, and a sum of the name,
// since two breakers may have the same epoch.
func newEventID(name string, t engine.Transition) string {
	return fmt.Sprintf("%d-%d-%08x", t.At, t.Epoch, crc32.ChecksumIEEE([]byte(name)))
}

// parseEventID reads the id of an event; nil if there is none.
func parseEventID(text string) (*eventID, error) {
	if text == "" {
		return nil, nil
	}
	first, _, found := strings.Cut(text, "-")
	at, err := strconv.ParseInt(first, 10, 64)
	if !found || err != nil || at < 0 {
		return nil, engine.Invalid("Last-Event-ID is %s, use the id of an event of this API", engine.PrintableName(text))
	}
	return &eventID{at, text}, nil
}

// eventWriter writes server-sent events.
type eventWriter struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	replayed map[string]bool // ids that may come again, until the first heartbeat
}

func (o *eventWriter) rememberReplayed(id string) {
	if o.replayed == nil {
		o.replayed = map[string]bool{}
	}
	o.replayed[id] = true
}

// eventJSON is the data of an event.
type eventJSON struct {
	ID    string       `json:"id,omitzero"` // of the breaker, as URLs have it
	Shown string       `json:"shown,omitzero"`
	Text  string       `json:"text"` // for people
	Event engine.Event `json:"event"`
}

// writeEvent writes an event, unless the replay has had it.
func (o *eventWriter) writeEvent(e engine.Event) error {
	body := eventJSON{Text: describeEvent(e), Event: e}
	if e.Name != "" {
		body.ID, body.Shown = encodeName(e.Name), showText(e.Name)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", e.Kind)
	if e.Kind == engine.EventTransition || e.Kind == engine.EventHealed {
		id := newEventID(e.Name, e.Transition)
		if o.replayed[id] {
			delete(o.replayed, id)
			return nil
		}
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	return o.writeChunk(b.Bytes())
}

// writeChunk writes and flushes.
func (o *eventWriter) writeChunk(chunk []byte) error {
	if err := o.setDeadline(time.Now().Add(sendTime)); err != nil {
		return err
	}
	if _, err := o.w.Write(chunk); err != nil {
		return err
	}
	if err := o.control.Flush(); err != nil {
		return err
	}
	return o.setDeadline(time.Time{})
}

// setDeadline sets the deadline of writes where the server supports it.
func (o *eventWriter) setDeadline(at time.Time) error {
	err := o.control.SetWriteDeadline(at)
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
