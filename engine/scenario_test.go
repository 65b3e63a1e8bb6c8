package engine_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/internal/scenario"
)

// The scenarios of testdata: package scenario has their language. Commit what
// -rewrite writes only if you can say why each line changed.

func TestScenarios_miniredis(t *testing.T) {
	_, rdb := redistest.Mini(t)
	runScenarios(t, &scenario.Lua{Name: "miniredis", Redis: rdb, Key: "scenario:{a}", Exact: true})
}

func TestScenarios_redis(t *testing.T) {
	rdb := redistest.Client(t)
	runScenarios(t, &scenario.Lua{Name: "redis", Redis: rdb, Key: redistest.Namespace(t) + ":{a}"})
}

func runScenarios(t *testing.T, twin *scenario.Lua) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			scenario.Run(t, file, twin)
		})
	}
}
