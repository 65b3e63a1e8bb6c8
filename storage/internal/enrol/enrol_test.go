package enrol

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/internal/transport"
)

// failingTransport fails every batch, after meanwhile has run.
type failingTransport struct{ meanwhile func() }

func (f failingTransport) RunMany(context.Context, []*transport.Call) ([]transport.Answer, error) {
	f.meanwhile()
	return nil, errors.New("no answer")
}

func (failingTransport) Spawn(func()) bool { return false }

// A process that makes a breaker for each of its users must not keep all their names
// while the index cannot be written. A breaker in use is entered later.
func TestEnroller_isBounded(t *testing.T) {
	keys, err := cluster.New("enrol")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	var e *Enroller
	enterMany := func() {
		for range maxDue + 100 {
			made++
			key, err := keys.Key(fmt.Sprint("user", made))
			if err != nil {
				t.Fatal(err)
			}
			e.Enter(key, 1000)
		}
	}
	e = New(keys, failingTransport{enterMany}, time.Now())
	enterMany()
	for range 3 {
		e.run()
		if got := len(e.due); got != maxDue {
			t.Fatalf("%d keys wait, want %d", got, maxDue)
		}
	}

	rules, err := engine.Policy{}.Rules()
	if err != nil {
		t.Fatal(err)
	}
	entry := e.Add("enrol:{used}", &rules, func(error) {})
	reply := &engine.Reply{}
	entry.Observe(time.Now(), reply)
	clear(e.due)
	entry.Observe(time.Now(), reply)
	if len(e.due) != 0 {
		t.Error("the entry is due at once, want it in a minute")
	}
	entry.Observe(time.Now().Add(nextBatch), reply)
	if len(e.due) != 1 {
		t.Error("the entry is not due after a minute")
	}
}
