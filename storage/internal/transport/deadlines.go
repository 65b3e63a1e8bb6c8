package transport

import (
	"sync"
	"time"
)

// deadlines wakes flights whose time is over. One timer serves all flights of a
// transport. It is set to the first deadline, and stays set when that flight ends: so
// in a row of calls it is set again once per timeout, not once per call. A timer of
// each flight cost a lone call more than the flight itself.
//
// Flights are linked in the order of their deadlines. Most calls have the same timeout,
// so a new one is last, or close to it.
type deadlines struct {
	mu          sync.Mutex
	first, last *Flight
	timer       *time.Timer
	isSet       bool
	setTo       time.Time
}

// add wakes the flight at the time given, unless it is removed before. A flight is added
// once at a time.
func (d *deadlines) add(f *Flight, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.wakesAt = at
	before := d.last
	for before != nil && before.wakesAt.After(at) {
		before = before.before
	}
	d.linkLocked(f, before)
	if d.first == f && (!d.isSet || at.Before(d.setTo)) {
		d.setLocked(at)
	}
}

// linkLocked puts the flight behind another one, or first if that is nil.
func (d *deadlines) linkLocked(f, before *Flight) {
	f.linked, f.before, f.next = true, before, d.first
	if before != nil {
		f.next, before.next = before.next, f
	} else {
		d.first = f
	}
	if f.next != nil {
		f.next.before = f
	} else {
		d.last = f
	}
}

// remove forgets a flight, which may have been woken.
func (d *deadlines) remove(f *Flight) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.linked {
		d.unlinkLocked(f)
	}
}

func (d *deadlines) unlinkLocked(f *Flight) {
	if f.before != nil {
		f.before.next = f.next
	} else {
		d.first = f.next
	}
	if f.next != nil {
		f.next.before = f.before
	} else {
		d.last = f.before
	}
	f.linked, f.before, f.next = false, nil, nil
}

// wakeFlights runs when the timer fires. It wakes the flights that are due.
func (d *deadlines) wakeFlights() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isSet = false
	now := time.Now()
	for d.first != nil && !d.first.wakesAt.After(now) {
		f := d.first
		d.unlinkLocked(f)
		f.wake()
	}
	if d.first != nil {
		d.setLocked(d.first.wakesAt)
	}
}

func (d *deadlines) setLocked(at time.Time) {
	d.isSet, d.setTo = true, at
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(at), d.wakeFlights)
		return
	}
	d.timer.Reset(time.Until(at))
}
