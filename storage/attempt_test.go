package storage

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// What is known of an operation follows from what was done, in its order: each
// word is followed by what it gives. A write gives left if it is refused; leave
// gives whether the operation can have been executed.
func TestAttempt(t *testing.T) {
	for _, story := range []string{
		// by itself
		"leave=false write=left",
		"write=ok leave=true write=left",
		"write=ok write=ok leave=true", // a cluster sends it elsewhere
		"write=ok again leave=false write=left",
		"write=ok again write=ok leave=true",
		// among others
		"leave=false claim=false",
		"claim=true leave=true write=ok write=ok",
		"claim=true write=ok leave=true write=ok",
		"claim=true shipped leave=false", // it came to no connection
		"claim=true write=ok shipped leave=true",
		"claim=true write=ok again leave=false write=left",
		"claim=true write=ok again claim=true leave=true write=ok",
		"claim=true shipped claim=true shipped leave=false",
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

func (a *attempt) act(word string) string {
	switch word {
	case "claim":
		return fmt.Sprint(a.claim())
	case "leave":
		return fmt.Sprint(a.leave())
	case "again":
		a.again()
	case "shipped":
		a.shipped()
	case "write":
		if text, err := (argument{a, "sha"}).MarshalBinary(); errors.Is(err, errLeft) {
			return "left"
		} else if string(text) == "sha" {
			return "ok"
		}
	}
	return ""
}
