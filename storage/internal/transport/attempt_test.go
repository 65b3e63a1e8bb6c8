package transport

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// The state of an attempt follows from the events before, in their order. Each word
// is followed by its result. A write gives left if it is refused; leave
// gives whether the operation can have been executed.
func TestAttempt(t *testing.T) {
	for _, story := range []string{
		// by itself
		"leave=false write=left",
		"write=ok leave=true write=twice",
		"write=ok leave=true refused write=left",
		"write=ok refused write=ok leave=true", // a cluster sends it elsewhere
		"write=ok write=twice leave=true",      // a hook sends it again
		"write=ok lost write=twice retry write=ok leave=true",
		"write=ok retry leave=false write=left",
		"write=ok retry write=ok leave=true",
		// among others
		"leave=false claim=false",
		"claim=true leave=true write=ok write=twice",
		"claim=true write=ok leave=true write=twice",
		"claim=true write=ok refused leave=true write=ok",
		"claim=true unclaim leave=false", // it came to no connection
		"claim=true write=ok unclaim leave=true",
		"claim=true write=ok retry leave=false write=left",
		"claim=true write=ok retry claim=true leave=true write=ok",
		"claim=true unclaim claim=true unclaim leave=false",
		"claim=true leave=true abandon write=left",
		"claim=true abandon write=left unclaim leave=false",
		"claim=true write=ok abandon refused write=ok leave=true",
	} {
		a := &attempt{cmd: redis.NewCmd(t.Context())}
		for _, step := range strings.Fields(story) {
			word, want, _ := strings.Cut(step, "=")
			if got := a.act(word); got != want {
				t.Errorf("%s: %s gives %q", story, word, got)
			}
		}
	}
}

// movedError is an answer of a node that does not serve the key.
type movedError struct{}

func (movedError) Error() string { return "MOVED 42 host:6379" }
func (movedError) RedisError()   {}

func (a *attempt) act(word string) string {
	switch word {
	case "claim":
		return fmt.Sprint(a.claim(&batch{}))
	case "leave":
		return fmt.Sprint(a.leave())
	case "abandon": // the driver leaves the batch
		a.batch.state.CompareAndSwap(waiting, left)
	case "retry":
		a.retry()
	case "unclaim":
		a.unclaim()
	case "refused": // by the node
		a.cmd.SetErr(movedError{})
	case "lost":
		a.cmd.SetErr(io.EOF)
	case "write":
		text, err := scriptArg{a, "sha"}.MarshalBinary()
		switch {
		case errors.Is(err, callerLeftError{}):
			return "left"
		case errors.Is(err, writtenTwiceError{}):
			return "twice"
		case string(text) == "sha":
			return "ok"
		}
	}
	return ""
}
