package cas_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/redbreaker/redbreaker/internal/handletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// name is the breaker of most tests.
const name = handletest.Name

var (
	must        = handletest.Must
	inGoroutine = handletest.InGoroutine
	acquire     = handletest.Acquire
	report      = handletest.Report
	classOf     = handletest.ClassOf
	wantClass   = handletest.WantClass
)
