package main

import (
	"strings"
	"testing"
)

// Each command on breakers completes their names from the server.
func TestCompletion_names(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		for _, name := range []string{"payments", "pay me", "orders", "pay\x1b[2J", "pay\tme", ":4"} {
			s.must(t, "reset", name, "--create")
		}
		complete := func(args ...string) string {
			t.Helper()
			command, rest := args[0], args[1:]
			line := append([]string{"__complete", command, "--redis", s.addr, "--namespace", s.namespace}, rest...)
			out, err := execute(line...)
			if err != nil {
				t.Fatal(err)
			}
			names, _, _ := strings.Cut(out, ":4\n")
			return names
		}
		for _, command := range []string{"get", "explain", "log", "trip", "reset", "half-open", "force-open", "force-closed", "shadow", "release", "export", "watch"} {
			if got, want := complete(command, "pay"), "pay me\npayments\n"; got != want {
				t.Errorf("%s pay: offers %q, want %q", command, got, want)
			}
		}
		if got, want := complete("get", "payments", ""), "orders\npay me\n"; got != want {
			t.Errorf("get payments: offers %q, want %q", got, want)
		}
		if got := complete("trip", "payments", ""); got != "" {
			t.Errorf("trip payments: offers %q, it takes one name", got)
		}
		if got, want := complete("ls", "--state", ""), "closed\nopen\nhalf_open\n"; got != want {
			t.Errorf("ls --state: offers %q, want %q", got, want)
		}
	})
}

// Names may come from requests, so none may run a command of the operator's shell.
func TestCompletion_leavesOutCommands(t *testing.T) {
	for _, name := range []string{"$(touch x)a", "`id`", "a;id", "a&", "a|id", "a>x", "a<x", "(id)", "!1", "it's", "a\nb"} {
		if isCompletable(name) {
			t.Errorf("%q is offered to shells", name)
		}
	}
	for _, name := range []string{"payments", "pay me", "GET /orders?page=1", "host:443", "größe"} {
		if !isCompletable(name) {
			t.Errorf("%q is not offered", name)
		}
	}
}

func TestCompletion_withoutServer(t *testing.T) {
	out, err := execute("__complete", "get", "--redis", "127.0.0.1:1", "p")
	if err != nil || !strings.HasPrefix(out, ":4\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The scripts for the shells exist.
func TestCompletion_shells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, err := execute("completion", shell); err != nil || !strings.Contains(out, "redbreaker") {
			t.Errorf("%s: %v", shell, err)
		}
	}
}
