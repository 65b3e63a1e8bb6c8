package storagetest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/redbreaker/redbreaker/engine"
)

var logs = []test{
	{"keeps_the_last_16", logKeeps},
	{"is_one_for_the_fleet", logIsOne},
	{"ended_mode_has_no_author", endedModeAuthor},
	{"texts_come_back_as_they_were", textsComeBack},
	{"error_texts_come_back_as_they_were", errorTextsComeBack},
}

func logKeeps(t *testEnv) {
	a, b := t.pair(threeFailures)
	for i := range 20 {
		c := []*breaker{a, b}[i%2]
		c.command(engine.Command{Action: engine.ActionReset, Reason: fmt.Sprint(i)})
	}
	var got, want []string
	for _, l := range t.inspect().Log {
		got = append(got, l.Text)
	}
	for i := 4; i < 20; i++ {
		want = append(want, fmt.Sprint(i))
	}
	t.checkEqual("log, oldest first", want, got)
}

func logIsOne(t *testEnv) {
	a, b := t.pair(threeFailures)
	a.fail(3)
	b.act(engine.ActionHalfOpen)
	a.call(engine.Success)
	var causes []engine.Cause
	for _, l := range t.inspect().Log {
		causes = append(causes, l.Cause)
	}
	want := []engine.Cause{engine.CauseCreated, engine.CauseConsecutive, engine.CauseOperator, engine.CauseRecovered}
	t.checkEqual("causes", want, causes)
}

// endedModeAuthor: the command that finds the end of a mode did not cause it.
func endedModeAuthor(t *testEnv) {
	a, _ := t.pair(threeFailures)
	a.command(engine.Command{Action: engine.ActionForceOpen, For: shortTime, Reason: "deploy", Actor: "ops"})
	t.advance(shortTime)
	a.command(engine.Command{Action: engine.ActionShadow, Reason: "watch", Actor: "eve"})
	log := t.inspect().Log
	ended := log[len(log)-2]
	t.checkEqual("cause", engine.CauseModeEnded, ended.Cause)
	t.checkEqual("author and reason of the end", []string{"", ""}, []string{ended.By, ended.Text})
	last := t.lastTransition()
	t.checkEqual("author and reason of the command", []string{"eve", "watch"}, []string{last.By, last.Text})
}

// nasty are texts that a careless storage changes, or chokes on.
var nasty = []string{
	"", "-", " ", "a b", "{braces}", "}{", "new\nline\r\n", "nul\x00\x00", "tab\t", "\xff\xfe invalid",
	"100%", "%41", "%", "by=x text=y", `"quoted" 'twice' \`, "é€😀", "--[[ ]] $1 ; DROP",
	strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("x", 63) + "é", strings.Repeat("😀", 17),
	strings.Repeat("\xff", 80), strings.Repeat("m", 1<<20),
}

func textsComeBack(t *testEnv) {
	a, _ := t.pair(threeFailures)
	for _, text := range nasty {
		a.command(engine.Command{Action: engine.ActionShadow, Reason: text, Actor: text})
		s := t.inspect()
		t.checkKept("reason", text, s.ModeReason)
		t.checkKept("by", text, s.ModeBy)
		t.checkKept("text in the log", text, t.lastTransition().Text)
		t.checkKept("by in the log", text, t.lastTransition().By)
	}
}

func errorTextsComeBack(t *testEnv) {
	a, _ := t.pair(engine.Policy{ConsecutiveFailures: 1})
	for _, text := range nasty {
		b := results(a.admit(), engine.Run{Outcome: engine.Failure, N: 1})
		b.Reporter, b.Detail.Text = text, text
		moved := a.step(b).Transition
		t.checkKept("text in the reply", text, moved.Text)
		t.checkKept("reporter in the reply", text, moved.By)
		t.checkKept("text in the log", text, t.lastTransition().Text)
		t.checkKept("reporter in the log", text, t.lastTransition().By)
		a.act(engine.ActionReset)
	}
}

// checkKept checks what became of a caller's text: 64 bytes of it, whole runes.
func (t *testEnv) checkKept(what, text, got string) {
	t.Helper()
	whole := got == text && len(got) <= 64
	cut := len(text) > 64 && len(got) > 60 && len(got) <= 64 && strings.HasPrefix(text, got) && utf8.RuneStart(text[len(got)])
	if !whole && !cut {
		t.Fatalf("%s: %.100q became %.100q", what, text, got)
	}
}
