package storagetest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// standIn replaces a test's T if the test is expected to fail: it collects the
// test's output.
type standIn struct {
	testing.TB

	mu      sync.Mutex
	failed  bool
	skipped bool
	said    []string
}

// runOnStandIn runs one test of the suite on a stand-in and returns it.
func runOnStandIn(t *testing.T, open func(t testing.TB) Harness, test test) *standIn {
	s := &standIn{TB: t}
	done := make(chan struct{})
	go func() { // FailNow ends its goroutine
		defer close(done)
		runTest(s, open, test)
	}()
	<-done
	return s
}

func (s *standIn) say(failed bool, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = s.failed || failed
	s.said = append(s.said, strings.TrimSpace(text))
}

func (s *standIn) Error(args ...any)                 { s.say(true, fmt.Sprintln(args...)) }
func (s *standIn) Errorf(format string, args ...any) { s.say(true, fmt.Sprintf(format, args...)) }
func (s *standIn) Fatal(args ...any)                 { s.Error(args...); runtime.Goexit() }
func (s *standIn) Fatalf(format string, args ...any) { s.Errorf(format, args...); runtime.Goexit() }
func (s *standIn) Log(args ...any)                   { s.say(false, fmt.Sprintln(args...)) }
func (s *standIn) Logf(format string, args ...any)   { s.say(false, fmt.Sprintf(format, args...)) }

func (s *standIn) Skip(args ...any) {
	s.Log(args...)
	s.skipped = true
	runtime.Goexit()
}

func (s *standIn) Skipf(format string, args ...any) { s.Skip(fmt.Sprintf(format, args...)) }
