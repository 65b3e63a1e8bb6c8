package faultproxy

import "time"

// Fault is what happens to connections and to what goes over them.
type Fault struct {
	refuse       bool
	holdRequests bool
	holdReplies  bool
	cut          bool
	after        int
	delay        time.Duration
}

// Pass lets all through: no fault.
func Pass() Fault { return Fault{} }

// Refuse ends all connections and lets no new one come about.
func Refuse() Fault { return Fault{refuse: true} }

// Blackhole swallows what either side sends. A new connection comes about over
// TCP, where the kernel takes it; through Dial it does not, as if its packets
// vanished too.
func Blackhole() Fault { return Fault{holdRequests: true, holdReplies: true} }

// DropReplies lets requests through and swallows what the server answers.
func DropReplies() Fault { return Fault{holdReplies: true} }

// CutReply resets a connection once it carried so many more bytes of replies: at
// 0 when the next reply comes. Then all passes again, so that a client that
// sends its request a second time succeeds.
func CutReply(after int) Fault { return Fault{cut: true, after: after} }

// Delay has each piece of data on its way for d, in either direction.
func Delay(d time.Duration) Fault { return Fault{delay: d} }
