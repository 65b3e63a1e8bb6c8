// Package scripts holds the Lua that Redis runs: the state machine of package
// engine once more, line by line, and the Go that assembles the scripts, writes
// their arguments and reads their replies.
//
// Every script takes one key and is atomic. What a script needs of another file
// it includes with a line of the form
//
//	-- @include lib/record.lua
//
// and a number that Go knows by a name it writes as $NAME, see
// [engine.ScriptConstants]. Both are filled in before a server sees the script,
// so they cost nothing when it runs.
package scripts

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
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
	Since   = mustAssemble("since")
	Enrol   = mustAssemble("enrol")
)

// mustAssemble panics only for a file that is missing from the build.
func mustAssemble(name string) *Script {
	s, err := Assemble(Files, name)
	if err != nil {
		panic(err)
	}
	return s
}

const includeDirective = "-- @include "

// constantName matches a constant. A $ that ends a pattern is followed by a quote.
var constantName = regexp.MustCompile(`\$[A-Z][A-Z_]*`)

// Assemble builds a script from its file and the files that it includes, each
// once, and fills in the constants. Tests replace lib/clock.lua in from, to
// control the time.
func Assemble(from fs.FS, name string) (*Script, error) {
	var out strings.Builder
	if err := expandFile(from, name+".lua", map[string]bool{}, &out); err != nil {
		return nil, err
	}
	source, err := fillConstants(out.String())
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum([]byte(source))
	return &Script{Name: name, Source: source, SHA: hex.EncodeToString(sum[:])}, nil
}

// expandFile writes a file to out, with its includes in place of their lines.
func expandFile(from fs.FS, file string, done map[string]bool, out *strings.Builder) error {
	if done[file] {
		return nil
	}
	done[file] = true
	text, err := fs.ReadFile(from, file)
	if err != nil {
		return fmt.Errorf("redbreaker: script: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if part, ok := strings.CutPrefix(strings.TrimSpace(line), includeDirective); ok {
			if err := expandFile(from, part, done, out); err != nil {
				return err
			}
			continue
		}
		out.WriteString(line)
	}
	return nil
}

// fillConstants replaces each $NAME by its number.
func fillConstants(source string) (string, error) {
	constants := engine.ScriptConstants()
	var err error
	filled := constantName.ReplaceAllStringFunc(source, func(name string) string {
		n, known := constants[name[1:]]
		if !known {
			err = fmt.Errorf("redbreaker: script: no constant %s", name)
		}
		return strconv.FormatInt(n, 10)
	})
	return filled, err
}
