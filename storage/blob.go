package storage

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// A blob is the fields of a record as text, one per line: the name, a space, the
// value. A line break in either is \n, a backslash \\, a space in a name \s.
var (
	escapeName  = strings.NewReplacer(`\`, `\\`, "\n", `\n`, " ", `\s`)
	escapeValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	// unescape undoes both; a backslash before anything else stands for itself.
	unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\s`, " ")
)

// head is the field that every record has: what has none is no record.
const head = "head"

func encode(fields []engine.Field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(escapeName.Replace(f.Name))
		b.WriteByte(' ')
		b.WriteString(escapeValue.Replace(f.Value))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// decode reads a record. What has no head is not ours to write over: the error
// wraps engine.ErrForeignKey; or engine.ErrNewerLayout for a newer layout. What
// else does not read well is the machine's to heal. An empty blob is an absent
// record.
func decode(blob []byte) (engine.Record, error) {
	var fields []engine.Field
	found := false
	for line := range strings.Lines(string(blob)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		f := engine.Field{Name: unescape.Replace(name), Value: unescape.Replace(value)}
		found = found || f.Name == head
		fields = append(fields, f)
	}
	if len(blob) > 0 && !found {
		return engine.Record{}, fmt.Errorf("a blob of %d bytes that no breaker wrote, %.20q: %w", len(blob), blob, engine.ErrForeignKey)
	}
	return engine.ParseRecord(fields)
}
