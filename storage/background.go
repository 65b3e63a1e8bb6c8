package storage

import (
	"sync"
	"time"
)

// background is the goroutines of a storage, which its Close waits for.
type background struct {
	mu      sync.Mutex
	stopped bool
	running int
	idle    chan struct{} // closed when running falls to 0; nil while nobody waits
}

// spawn runs f beside the caller. It returns false, and does nothing, after stop.
func (b *background) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.running++
	go func() {
		defer b.end()
		f()
	}()
	return true
}

func (b *background) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	if b.running == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
}

// stop lets nothing further begin, and waits until nothing runs any more. It
// returns false if that takes longer than patience.
func (b *background) stop(patience time.Duration) bool {
	b.mu.Lock()
	b.stopped = true
	if b.running == 0 {
		b.mu.Unlock()
		return true
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-time.After(patience):
		return false
	}
}
