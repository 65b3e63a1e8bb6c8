package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/plaintext"
	"github.com/redbreaker/redbreaker/engine"
)

// maxTTLMS is the longest time to live that a time.Duration expresses, 292 years. A longer
// one would become negative, with which PEXPIRE deletes the record.
const maxTTLMS = math.MaxInt64 / int64(time.Millisecond)

// archived is a breaker as export writes it, on one line: the fields of its record as they
// are, damaged and unknown ones too, so that import loses nothing.
type archived struct {
	// Name is for readers. It is absent if it is too long to be stored, or no UTF-8.
	Name string `json:"name,omitzero"`
	// Member is the part of the key that the name becomes. It is the same in every namespace.
	Member string `json:"member"`
	// TTLMS is how long the record lives on, in ms; 0: it does not expire.
	TTLMS  int64             `json:"ttl_ms,omitzero"`
	Fields map[string]string `json:"fields"`
	// Binary has the fields that are no UTF-8, which JSON cannot express.
	Binary []binaryField `json:"binary,omitzero"`
}

// binaryField is a field in base64.
type binaryField struct {
	Name  []byte `json:"name"`
	Value []byte `json:"value"`
}

// newArchived returns the archive of a record.
func newArchived(name, member string, ttlMS int64, fields map[string]string) archived {
	a := archived{Member: member, TTLMS: ttlMS, Fields: map[string]string{}}
	if utf8.ValidString(name) {
		a.Name = name
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		if utf8.ValidString(field) && utf8.ValidString(value) {
			a.Fields[field] = value
		} else {
			a.Binary = append(a.Binary, binaryField{[]byte(field), []byte(value)})
		}
	}
	return a
}

// allFields returns the fields of the record.
func (a *archived) allFields() []engine.Field {
	var all []engine.Field
	for name, value := range a.Fields {
		all = append(all, engine.Field{Name: name, Value: value})
	}
	for _, f := range a.Binary {
		all = append(all, engine.Field{Name: string(f.Name), Value: string(f.Value)})
	}
	return all
}

// parseArchived reads a line of export. It refuses everything that is no breaker of this
// release: what it does not know would be lost.
func parseArchived(line []byte, keys cluster.Keys) (archived, error) {
	var a archived
	d := json.NewDecoder(strings.NewReader(string(line)))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, fmt.Errorf("no line that export wrote: %w", err)
	}
	if _, err := d.Token(); err != io.EOF { // such as a second breaker, which would be lost
		return a, errors.New("no line that export wrote: more than one value")
	}
	if _, _, ok := keys.IndexMember(keys.IndexedKey(a.Member)); !ok {
		return a, fmt.Errorf("the member %s is no encoded name", plaintext.Quote(a.Member))
	}
	if key, err := keys.Key(a.Name); a.Name != "" && (err != nil || key != keys.IndexedKey(a.Member)) {
		return a, fmt.Errorf("the name %s and the member %s are not the same breaker", plaintext.Quote(a.Name), plaintext.Quote(a.Member))
	}
	if a.TTLMS < 0 || a.TTLMS > maxTTLMS {
		return a, fmt.Errorf("ttl_ms is %d, use 0 to %d", a.TTLMS, maxTTLMS)
	}
	if len(a.allFields()) == 0 {
		return a, errors.New("the record has no fields")
	}
	if _, err := engine.ParseRecord(a.allFields()); err != nil {
		return a, fmt.Errorf("the record of %s: %w", plaintext.Quote(a.Member), err)
	}
	return a, nil
}
