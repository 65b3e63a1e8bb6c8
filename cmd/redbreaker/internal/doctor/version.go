package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// oldestVersion is the oldest server that is supported.
var oldestVersion = version{6, 0, 0}

// version is the number of a release.
type version [3]int

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// isBefore reports whether v is older than w.
func (v version) isBefore(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// parseVersion reads a number such as 7.0.15.
func parseVersion(text string) (version, bool) {
	var v version
	words := strings.Split(text, ".")
	if len(words) < 3 {
		return v, false
	}
	for i := range v {
		digits := words[i]
		if i == 2 { // 8.1.0-rc1
			digits, _, _ = strings.Cut(digits, "-")
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

// advisory is a published vulnerability of the Lua in a server. The lists have the first
// release of each branch that fixes it. docs/operations.md cites the sources.
type advisory struct {
	id            string
	effect        string
	redis, valkey []version
}

var advisories = []advisory{
	{"CVE-2022-24735", "code of another user", []version{{6, 2, 7}, {7, 0, 0}}, nil},
	{"CVE-2022-24736", "crash", []version{{6, 2, 7}, {7, 0, 0}}, nil},
	{"CVE-2022-24834", "remote code execution", []version{{6, 0, 20}, {6, 2, 13}, {7, 0, 12}}, nil},
	{"CVE-2024-31449", "remote code execution", []version{{6, 2, 16}, {7, 2, 6}, {7, 4, 1}}, []version{{7, 2, 7}, {8, 0, 1}}},
	{"CVE-2024-46981", "remote code execution", []version{{6, 2, 17}, {7, 2, 7}, {7, 4, 2}}, []version{{7, 2, 8}, {8, 0, 2}}},
	{"CVE-2025-46817", "remote code execution", fixesOf2025, valkeyFixesOf2025},
	{"CVE-2025-46818", "code of another user", fixesOf2025, valkeyFixesOf2025},
	{"CVE-2025-46819", "crash", fixesOf2025, valkeyFixesOf2025},
	{"CVE-2025-49844", "remote code execution", fixesOf2025, valkeyFixesOf2025},
}

// The releases of October 2025.
var (
	fixesOf2025       = []version{{6, 2, 20}, {7, 2, 11}, {7, 4, 6}, {8, 0, 4}, {8, 2, 2}}
	valkeyFixesOf2025 = []version{{7, 2, 11}, {8, 0, 6}, {8, 1, 4}}
)

// isAffected reports whether a release lacks a fix. A branch that is not listed never got
// the fix if it is older than the newest that did.
func (v version) isAffected(fixes []version) bool {
	for _, fix := range fixes {
		if v[0] == fix[0] && v[1] == fix[1] {
			return v.isBefore(fix)
		}
	}
	return len(fixes) > 0 && v.isBefore(fixes[len(fixes)-1])
}

// vulnerabilities returns the advisories that a release is affected by.
func vulnerabilities(product string, v version) []string {
	var found []string
	for _, a := range advisories {
		fixes := a.redis
		if product == "valkey" {
			fixes = a.valkey
		}
		if v.isAffected(fixes) {
			found = append(found, fmt.Sprintf("%s (%s)", a.id, a.effect))
		}
	}
	return found
}

// checkVersion compares each server's release with the oldest that is supported, and with
// the advisories.
func (e *exam) checkVersion(ctx context.Context) {
	for _, n := range e.nodes {
		info, err := n.client.Info(ctx, "server").Result()
		if err != nil {
			e.add(Finding{"version", Note, n.addr, "the version is unknown: " + err.Error(), "grant +info to the user of doctor"})
			continue
		}
		e.checkRelease(n, info)
	}
}

// checkRelease judges the answer to INFO.
func (e *exam) checkRelease(n node, info string) {
	product, name := "redis", "Redis"
	text := infoField(info, "redis_version")
	if other := infoField(info, "valkey_version"); other != "" {
		product, name, text = "valkey", "Valkey", other
	}
	for _, other := range []string{"kvrocks", "dragonfly", "keydb", "garnet"} {
		if infoField(info, other+"_version") != "" {
			e.add(Finding{"version", Note, n.addr, "the server is " + other + ", on which this release is not tested", "run the conformance suite of storage/storagetest on it"})
			return
		}
	}
	v, ok := parseVersion(text)
	if !ok {
		e.add(Finding{"version", Note, n.addr, fmt.Sprintf("the version %.20q is not a release", text), "compare it with docs/operations.md"})
		return
	}
	if v.isBefore(oldestVersion) {
		e.add(Finding{"version", Error, n.addr, fmt.Sprintf("%s %s is too old", name, v), fmt.Sprintf("use %d.%d or later", oldestVersion[0], oldestVersion[1])})
		return
	}
	if found := vulnerabilities(product, v); len(found) > 0 {
		e.add(Finding{"version", Warning, n.addr, fmt.Sprintf("%s %s has published vulnerabilities of its Lua, unless your distribution has fixed them in this version: %s", name, v, strings.Join(found, ", ")),
			"update the server, or read your distribution's changelog; let only trusted users run EVAL and EVALSHA"})
		return
	}
	e.add(Finding{Check: "version", Node: n.addr, What: fmt.Sprintf("%s %s has no published vulnerability of its Lua that doctor knows", name, v)})
}

// infoField returns a field of the answer to INFO.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+":"); found {
			return value
		}
	}
	return ""
}
