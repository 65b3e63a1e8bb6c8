package redbreaker

import "context"

// Close refuses calls from now on. It returns at once: if outcomes are pending or in
// flight, the handle is closed once they were sent.
func (v *view) Close() error {
	v.lockAndFold()
	v.stopped = true
	v.endDecisionLocked()
	v.settleAndUnlock(v.Now())
	return nil
}

// closeHandle closes the handle of the storage.
func (v *view) closeHandle() {
	_ = v.fallbackHandle.Close() // Stop has no way to report an error
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended == nil {
		v.ended = make(chan struct{})
	}
	close(v.ended)
}

// isClosed reports whether the handle is closed, or about to be: no outcome is left to send.
func (v *view) isClosed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.closed
}

// waitClosed waits until the handle is closed.
func (v *view) waitClosed(ctx context.Context) error {
	v.mu.Lock()
	if v.ended == nil {
		v.ended = make(chan struct{})
	}
	ended := v.ended
	v.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
