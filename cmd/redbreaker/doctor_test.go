package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/doctor"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

func TestDoctor_json(t *testing.T) {
	s := server{redistest.Addr(t), redistest.Namespace(t), redistest.Client(t)}
	s.must(t, "reset", "dep", "--create")
	out, err := s.run("doctor", "-o", "json", "--timeout", "20s")
	var findings []doctor.Finding
	if json.Unmarshal([]byte(out), &findings) != nil || len(findings) < 12 {
		t.Fatalf("prints %s", out)
	}
	worst := doctor.Worst(findings)
	if want := map[doctor.Severity]int{doctor.OK: 0, doctor.Note: 0, doctor.Warning: exitWarning, doctor.Error: exitFailure}[worst]; exitCode(err) != want {
		t.Errorf("the worst is %v, the exit code %d; want %d", worst, exitCode(err), want)
	}
}

func TestDoctor_unreachable(t *testing.T) {
	out, err := execute("doctor", "--redis", "127.0.0.1:1", "-o", "json")
	var findings []doctor.Finding
	if json.Unmarshal([]byte(out), &findings) != nil || len(findings) != 1 || findings[0].Check != "connection" ||
		!strings.HasSuffix(findings[0].What, "connection refused") || findings[0].Do != "check the address, and whether a Redis runs there" || exitCode(err) != exitFailure {
		t.Errorf("prints %s, exit code %d", out, exitCode(err))
	}
	if _, err := execute("doctor", "--timeout", "0s"); exitCode(err) != exitUsage {
		t.Errorf("with a bad flag: exit code %d for %v", exitCode(err), err)
	}
}

func TestWriteFindings(t *testing.T) {
	var out bytes.Buffer
	form := format("text")
	err := form.writeFindings(&out, []doctor.Finding{
		{Check: "clock", What: "fine\x1b[2J"},
		{Check: "memory", Severity: doctor.Warning, Node: "10.0.0.1:6379", What: "two\nlines", Do: "repair"},
	})
	want := "ok       clock   fine?[2J\nwarning  memory  10.0.0.1:6379: two; lines\n                 do: repair\n"
	if err != nil || out.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out.String(), want)
	}
}

func TestFindingsError(t *testing.T) {
	for severity, want := range map[doctor.Severity]int{doctor.OK: 0, doctor.Note: 0, doctor.Warning: exitWarning, doctor.Error: exitFailure} {
		err := newFindingsError([]doctor.Finding{{Severity: severity}})
		if exitCode(err) != want {
			t.Errorf("%v: exit code %d, want %d", severity, exitCode(err), want)
		}
		if err != nil && !strings.Contains(err.Error(), "1 "+severity.String()) {
			t.Errorf("%v: %v", severity, err)
		}
	}
}
