package redbreaker

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/redbreaker/redbreaker/engine"
)

// outages logs the outages that no hook handles, for all breakers of the process.
var outages outageLog

// outageLog writes one line per storage when it becomes unavailable, and one when
// it is available again. Thousands of breakers may share a storage, and each of
// them notices both.
type outageLog struct {
	mu   sync.Mutex
	down map[any]*storageOutage // by storageKey, while the storage is unavailable
}

// storageOutage is the outage of a storage, as far as it was logged.
type storageOutage struct {
	began, noticed time.Time // noticed: by the last breaker
	breakers       int       // that noticed it
}

// staleAfter is when an outage that no breaker has ended is removed, for storages
// whose breakers were all stopped meanwhile.
const staleAfter = time.Hour

// logDegraded logs an EventDegraded, if its storage was available so far.
func (l *outageLog) logDegraded(s Storage, e Event) {
	if !l.noteDown(s) {
		return
	}
	slog.Default().LogAttrs(context.Background(), slog.LevelWarn,
		"redbreaker: storage unavailable, the fallback decides; other breakers of this storage are not logged",
		slog.String(attrStorageKind, s.Kind()), slog.String(attrName, engine.PrintableName(e.Name)), slog.Any("error", e.Err))
}

// logRestored logs the end of an outage of a storage, at the first EventRestored.
func (l *outageLog) logRestored(s Storage) {
	o := l.noteUp(s)
	if o == nil {
		return
	}
	slog.Default().LogAttrs(context.Background(), slog.LevelInfo, "redbreaker: storage available again",
		slog.String(attrStorageKind, s.Kind()), slog.Duration("outage", time.Since(o.began)), slog.Int("breakers", o.breakers))
}

// noteDown reports whether a storage was available so far.
func (l *outageLog) noteDown(s Storage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, key := time.Now(), storageKey(s)
	if o := l.down[key]; o != nil {
		o.noticed = now
		o.breakers++
		return false
	}
	if l.down == nil {
		l.down = map[any]*storageOutage{}
	}
	for k, o := range l.down {
		if now.Sub(o.noticed) > staleAfter {
			delete(l.down, k)
		}
	}
	l.down[key] = &storageOutage{began: now, noticed: now, breakers: 1}
	return true
}

// noteUp returns the outage that ends, nil if it has already ended.
func (l *outageLog) noteUp(s Storage) *storageOutage {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := storageKey(s)
	o := l.down[key]
	delete(l.down, key)
	return o
}

// storageKey returns what identifies a storage in a map. Storages are pointers;
// for one that cannot be compared, its type has to do.
func storageKey(s Storage) any {
	if t := reflect.TypeOf(s); !t.Comparable() {
		return t
	}
	return s
}
