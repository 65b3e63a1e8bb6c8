package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// dialectScript returns the dialect, the largest number that a record may contain as a script
// prints it, half of seven, and whether the sandbox has the module loader.
const dialectScript = `return { tostring(_VERSION), string.format('%d', 2^53 - 1), tostring(7 / 2), type(rawget(_G, 'package')) }`

// noScripts is the finding of a check that needs scripts where the user may run none.
const noScripts = "not checked: the user may not run EVAL"

// checkLua checks whether the server's Lua calculates as the scripts expect.
func (e *exam) checkLua(ctx context.Context) {
	if !e.scripts {
		e.add(Finding{"lua", Note, "", noScripts, "grant what the check of rights lists"})
		return
	}
	for _, n := range e.nodes {
		answer, err := n.client.Do(ctx, "eval", dialectScript, 1, e.scratchKeyOf(ctx, n)).StringSlice()
		if err != nil || len(answer) != 4 {
			e.add(Finding{"lua", Error, n.addr, fmt.Sprintf("a script fails: %v", err), "use Redis, Valkey, or a server that runs their scripts"})
			continue
		}
		e.judgeDialect(n, answer)
	}
}

// judgeDialect judges the answer of dialectScript.
func (e *exam) judgeDialect(n node, answer []string) {
	if answer[1] != "9007199254740991" || answer[2] != "3.5" {
		e.add(Finding{"lua", Error, n.addr, fmt.Sprintf("%s calculates otherwise: 2^53-1 is %s, 7/2 is %s", answer[0], answer[1], answer[2]), "use a server with Lua 5.1, such as Redis or Valkey"})
	} else if answer[0] != "Lua 5.1" {
		e.add(Finding{"lua", Warning, n.addr, fmt.Sprintf("scripts run on %s, and are tested on Lua 5.1", answer[0]), "run the conformance suite of storage/storagetest on it"})
	}
	if answer[3] != "nil" {
		e.add(Finding{"lua", Error, n.addr, "scripts reach the module loader, by which they can run any code on the server: CVE-2022-0543, a fault of some Debian and Ubuntu packages", "update the package redis-server now"})
	}
}

// scratchKeyOf returns a key that no breaker can have and that the master serves.
func (e *exam) scratchKeyOf(ctx context.Context, n node) string {
	for key := range e.Keys.PingKeys() {
		if err := n.client.Do(ctx, "hget", key, "ping").Err(); !redis.HasErrorPrefix(err, "MOVED") {
			return key
		}
	}
	return e.scratchKey()
}

// addScript reads a number, takes its time, and writes the next one. Scripts that interleave
// read the same number.
const addScript = `
local n = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local spin = 0
for i = 1, 20000 do spin = spin + i end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', n + 1))
redis.call('PEXPIRE', KEYS[1], '60000')
return string.format('%d', n)`

// additions is how many scripts each of the two connections runs.
const additions = 25

// checkIsolation checks each master.
func (e *exam) checkIsolation(ctx context.Context) {
	if !e.scripts {
		e.add(Finding{"isolation", Note, "", noScripts, "grant what the check of rights lists"})
		return
	}
	for _, n := range e.nodes {
		e.checkIsolationOf(ctx, n)
	}
}

// checkIsolationOf runs scripts on one key over two connections at the same time. A server
// that runs scripts unlocked loses some of their writes, and would lose outcomes of calls.
func (e *exam) checkIsolationOf(ctx context.Context, n node) {
	key := e.scratchKeyOf(ctx, n)
	field := "doctor-" + rand.Text() // another doctor may examine the same server
	numbers := make(chan string, 2*additions)
	errs := make(chan error, 2)
	var group sync.WaitGroup
	for range 2 {
		group.Add(1)
		go func() {
			defer group.Done()
			errs <- addNumbers(ctx, n, key, field, numbers)
		}()
	}
	group.Wait()
	close(numbers)
	_ = n.client.HDel(ctx, key, field).Err()
	for range 2 {
		if err := <-errs; err != nil {
			e.add(Finding{"isolation", Warning, n.addr, "not checked: " + err.Error(), "grant what the check of rights lists, and run it again"})
			return
		}
	}
	seen := map[string]bool{}
	for n := range numbers {
		seen[n] = true
	}
	if lost := 2*additions - len(seen); lost > 0 {
		e.add(Finding{"isolation", Error, n.addr, fmt.Sprintf("scripts on one key interleave: %d of %d updates were lost", lost, 2*additions), "use a server that runs each script atomically; this one loses outcomes and admits too many probes"})
	}
}

// addNumbers runs addScript again and again.
func addNumbers(ctx context.Context, n node, key, field string, numbers chan<- string) error {
	for range additions {
		number, err := n.client.Do(ctx, "eval", addScript, 1, key, field).Text()
		if err != nil {
			return err
		}
		numbers <- number
	}
	return nil
}

// countWords formats a number of things, of which the name is given for one.
func countWords(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// maxNamed is how many things a finding names.
const maxNamed = 5

// listFirst returns the first few texts, quoted, and how many there are besides.
func listFirst(names []string, quote func(string) string) string {
	slices.Sort(names)
	text := ""
	for i, name := range names[:min(len(names), maxNamed)] {
		if i > 0 {
			text += ", "
		}
		text += quote(name)
	}
	if len(names) > maxNamed {
		text += fmt.Sprintf(" and %d more", len(names)-maxNamed)
	}
	return text
}
