package faultproxy

import "time"

// Fault describes what a proxy does to connections and to their data.
type Fault struct {
	refuse       bool
	holdRequests bool
	holdReplies  bool
	cut          bool
	after        int
	delay        time.Duration
}

// Pass is no fault: everything passes.
func Pass() Fault { return Fault{} }

// Refuse resets all connections and refuses new ones.
func Refuse() Fault { return Fault{refuse: true} }

// Blackhole holds back what either side sends. Over TCP new connections are still
// made, since the kernel accepts them; Dial blocks, as if its packets vanished too.
func Blackhole() Fault { return Fault{holdRequests: true, holdReplies: true} }

// DropReplies passes requests on and holds back the replies.
func DropReplies() Fault { return Fault{holdReplies: true} }

// CutReply resets the connection that has carried this many more bytes of replies;
// 0 cuts before the next reply. Then everything passes again, so that a client
// that sends its request a second time succeeds.
func CutReply(after int) Fault { return Fault{cut: true, after: after} }

// Delay delivers each piece of data after d, in either direction.
func Delay(d time.Duration) Fault { return Fault{delay: d} }
