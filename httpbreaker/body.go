package httpbreaker

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/redbreaker/redbreaker"
)

// call is an admitted request, and then the body of its response: the permit is
// settled where the body ends.
//
// It has no WriteTo, even where the body within has one: through that, the end of
// the body would not be seen. The bodies of http.Transport have none either.
type call struct {
	io.ReadCloser
	permit redbreaker.Permit
	ctx    context.Context          // the request's
	judge  func(chunk []byte) error // nil if the body is not watched
	probe  bool
	// settled is owned by the goroutine that reads. Close may run beside it, and
	// relies on the permit, whose first settlement counts.
	settled bool
	reading atomic.Bool // a Read is in flight
}

// Read reads from the body, and settles the call at its end. A probe is settled by
// the first bytes.
func (c *call) Read(p []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.ReadCloser.Read(p)
	c.reading.Store(false)
	if !c.settled && (err != nil || c.probe || c.judge != nil) {
		c.settleRead(p[:n], err, err == io.EOF)
	}
	return n, err
}

// settleRead settles the call if what was read decides it.
func (c *call) settleRead(chunk []byte, err error, atEnd bool) {
	failure := c.judgeChunk(chunk, atEnd)
	switch {
	case failure != nil:
		c.permit.Settle(c.ctx, failure)
	case atEnd, err == nil && c.probe && len(chunk) > 0:
		c.permit.Settle(c.ctx, nil)
	case err != nil:
		c.permit.Settle(c.ctx, err)
	default:
		return
	}
	c.settled = true
}

// judgeChunk asks the judge. A judge that panics makes the call a failure.
func (c *call) judgeChunk(chunk []byte, atEnd bool) (failure error) {
	if c.judge == nil {
		return nil
	}
	returned := false
	defer func() {
		if !returned {
			c.settled = true
			c.permit.Failure(redbreaker.ErrPanicked)
		}
	}()
	if len(chunk) > 0 {
		failure = c.judge(chunk)
	}
	if failure == nil && atEnd {
		failure = c.judge(nil)
	}
	returned = true
	return failure
}

// Close closes the body. If it was not read to its end, the caller had enough,
// which is a success. It is ignored if the context has ended, or while a Read waits:
// the caller left, perhaps because the stream had stalled.
func (c *call) Close() error {
	if c.reading.Load() {
		c.permit.Ignore() // before the Read fails because of this Close
	}
	err := c.ReadCloser.Close()
	if err == nil && c.ctx.Err() != nil {
		c.permit.Ignore()
	} else {
		c.permit.Settle(c.ctx, err)
	}
	return err
}
