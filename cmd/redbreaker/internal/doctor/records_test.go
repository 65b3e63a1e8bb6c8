package doctor

import (
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/engine"
)

// A name may come from a request, so the advice must be safe to copy to a shell.
func TestRecord_adviceIsSafeToCopy(t *testing.T) {
	for name, isCommand := range map[string]bool{"forgotten": true, "GET /a b": true, "$(id)": false, "`id`": false, "a\nb": false, strings.Repeat("x", 100): false} {
		e := &exam{}
		e.checkRecord(&engine.Snapshot{Name: name, Mode: engine.ModeShadow, Log: []engine.Transition{
			{ToMode: engine.ModeShadow, Ago: 2 * longMode},
		}})
		if len(e.findings) != 1 || strings.Contains(e.findings[0].Do, "redbreaker release") != isCommand {
			t.Errorf("%q: %+v", name, e.findings)
		}
	}
}
