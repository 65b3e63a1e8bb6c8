package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/engine"
)

const (
	// maxKeys is how many keys a server may hold to be searched for records.
	maxKeys = 1_000_000
	// newRecord is the age from which a record should be listed: a minute, and some more.
	newRecord = 2 * time.Minute
)

// checkIndex searches for records that are not listed. It scans the keys, unlike everything
// else, so it skips servers that hold very many.
func (e *exam) checkIndex(ctx context.Context) {
	listed := map[string]bool{}
	for l, err := range e.Storage.Names(ctx) {
		if err != nil {
			e.add(Finding{"index", Note, "", "not compared with the keys: " + err.Error(), "see the findings about records"})
			return
		}
		listed[l.Key] = true
	}
	var missing []string
	for _, n := range e.nodes {
		size, err := n.client.DBSize(ctx).Result()
		if err == nil && size > maxKeys {
			e.add(Finding{"index", Note, n.addr, fmt.Sprintf("not compared with the keys, since there are %d", size), "nothing, unless ls does not list a breaker that you know"})
			continue
		}
		found, err := e.findUnlisted(ctx, n, listed)
		if err != nil {
			e.add(Finding{"index", Note, n.addr, "not compared with the keys: " + err.Error(), "grant +scan +hget to the user of doctor"})
			continue
		}
		missing = append(missing, found...)
	}
	if len(missing) > 0 {
		e.add(Finding{"index", Warning, "", fmt.Sprintf("%s not listed: %s", countWas(len(missing)), listFirst(missing, plaintext.Quote)),
			"grant +zadd +zrangebyscore +zrem +zscore to the services; each lists its breakers again within a quarter of IdleTTL, and a command lists its breaker at once"})
	}
}

// findUnlisted returns the keys of records on a node that are not listed and not new.
func (e *exam) findUnlisted(ctx context.Context, n node, listed map[string]bool) ([]string, error) {
	var found []string
	pattern := escapeGlob(e.Namespace) + ":{*"
	for cursor := uint64(0); ; {
		keys, next, err := n.client.Scan(ctx, cursor, pattern, 1000).Result()
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if _, _, ours := e.Keys.IndexMember(key); ours && !listed[key] && isOldRecord(ctx, n, key) {
				found = append(found, key)
			}
		}
		if cursor = next; cursor == 0 {
			return found, nil
		}
	}
}

// isOldRecord reports whether the key holds a record that should be listed.
func isOldRecord(ctx context.Context, n node, key string) bool {
	fields, err := n.client.HGetAll(ctx, key).Result()
	if err != nil {
		return false // another type is no record
	}
	now, err := n.client.Time(ctx).Result()
	if err != nil {
		now = time.Now()
	}
	var all []engine.Field
	for name, value := range fields {
		all = append(all, engine.Field{Name: name, Value: value})
	}
	r, err := engine.ParseRecord(all)
	if err != nil {
		return false
	}
	s := r.Snapshot("", now.UnixMilli())
	if !s.Exists || len(s.Log) > 0 && s.Log[0].Ago <= newRecord {
		return false
	}
	// An entry is renewed after a quarter of IdleTTL of use, so the record of a breaker that is
	// used no more may outlive its entry by as much. A record in use has half of its time left.
	left := r.Expires() - now.UnixMilli()
	return r.Expires() == 0 || s.Policy == nil || left > s.Policy.IdleTTL.Milliseconds()/4
}

// escapeGlob returns a text as a pattern that matches it alone.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
