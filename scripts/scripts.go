// Package scripts holds the Lua that Redis runs: the state machine of package
// engine once more, line by line, and the Go that assembles the scripts, writes
// their arguments and reads their replies.
//
// Every script takes one key and is atomic. What a script needs of another file
// it includes with a line of the form
//
//	-- @include lib/record.lua
package scripts

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
)

// Files holds the scripts' sources as they are, comments and includes and all.
//
//go:embed *.lua lib/*.lua
var Files embed.FS

// Script is one assembled script.
type Script struct {
	Name   string // its file's name without .lua
	Source string // what SCRIPT LOAD and EVAL take
	SHA    string // what EVALSHA takes
}

// The scripts.
var (
	Step    = mustAssemble("step")
	Control = mustAssemble("control")
	Inspect = mustAssemble("inspect")
	Ping    = mustAssemble("ping")
)

// mustAssemble panics only for a file that is missing from the build.
func mustAssemble(name string) *Script {
	s, err := Assemble(Files, name)
	if err != nil {
		panic(err)
	}
	return s
}

const include = "-- @include "

// Assemble puts a script together from its file and those that it includes, each
// once. Tests put another lib/clock.lua into from, to move the time.
func Assemble(from fs.FS, name string) (*Script, error) {
	var out strings.Builder
	if err := expand(from, name+".lua", map[string]bool{}, &out); err != nil {
		return nil, err
	}
	source := out.String()
	sum := sha1.Sum([]byte(source))
	return &Script{Name: name, Source: source, SHA: hex.EncodeToString(sum[:])}, nil
}

func expand(from fs.FS, file string, done map[string]bool, out *strings.Builder) error {
	if done[file] {
		return nil
	}
	done[file] = true
	text, err := fs.ReadFile(from, file)
	if err != nil {
		return fmt.Errorf("redbreaker: script: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if part, ok := strings.CutPrefix(strings.TrimSpace(line), include); ok {
			if err := expand(from, part, done, out); err != nil {
				return err
			}
			continue
		}
		out.WriteString(line)
	}
	return nil
}
