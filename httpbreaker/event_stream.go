package httpbreaker

import (
	"bytes"
	"mime"
	"net/http"
)

// maxEventBytes bounds what EventStream keeps of one event. Error events are short.
const maxEventBytes = 64 << 10

// EventStream is a BodyJudge for server-sent events, whose failures come in the
// stream, after a 200. It gives each event's type and data to judge, however the
// events are spread over reads; the first error that judge returns is the call's
// failure. The type is empty for an event without one. judge must not keep data.
// Of an event of more than 64 KiB, it gets the beginning.
//
// Only responses of the media type text/event-stream are watched. EventStream does
// not judge whether the stream is complete: one that is cut ends with an error of
// Read, unless the server delimits it by closing the connection.
func EventStream(judge func(event string, data []byte) error) func(*http.Response) func(chunk []byte) error {
	return func(r *http.Response) func([]byte) error {
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "text/event-stream" {
			return nil
		}
		return (&eventParser{judge: judge}).parseChunk
	}
}

// eventParser splits a stream into events. A line ends in CR, LF or CR LF, an event
// in an empty line.
type eventParser struct {
	judge func(event string, data []byte) error

	line    []byte // what of the current line has come
	afterCR bool   // a LF now belongs to the line end before it
	event   string
	data    []byte
	hasData bool
}

// parseChunk takes the next bytes of the stream. nil, the end, gives an event that is
// complete but for its empty line: servers leave that out.
func (p *eventParser) parseChunk(chunk []byte) error {
	if chunk == nil {
		p.endLine()
		return p.dispatchEvent()
	}
	for len(chunk) > 0 {
		if p.afterCR && chunk[0] == '\n' {
			chunk = chunk[1:]
		}
		p.afterCR = false
		end := bytes.IndexAny(chunk, "\r\n")
		if end < 0 {
			p.line = appendBounded(p.line, chunk)
			return nil
		}
		p.line = appendBounded(p.line, chunk[:end])
		p.afterCR = chunk[end] == '\r'
		chunk = chunk[end+1:]
		if len(p.line) > 0 {
			p.endLine()
		} else if err := p.dispatchEvent(); err != nil {
			return err
		}
	}
	return nil
}

// endLine takes the field that the current line holds.
func (p *eventParser) endLine() {
	name, value, _ := bytes.Cut(p.line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		p.event = string(value)
	case "data":
		if p.hasData {
			p.data = appendBounded(p.data, []byte("\n"))
		}
		p.data, p.hasData = appendBounded(p.data, value), true
	}
	p.line = p.line[:0]
}

// dispatchEvent judges the event whose lines have come. One without data is none, by
// the standard, unless it has a type: "event: error" alone does say something.
func (p *eventParser) dispatchEvent() error {
	event, data, ok := p.event, p.data, p.hasData || p.event != ""
	p.event, p.data, p.hasData = "", p.data[:0], false
	if !ok {
		return nil
	}
	return p.judge(event, data)
}

// appendBounded appends as much as an event may hold.
func appendBounded(to, more []byte) []byte {
	return append(to, more[:min(len(more), maxEventBytes-len(to))]...)
}
