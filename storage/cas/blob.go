package cas

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/redbreaker/redbreaker/engine"
)

// A blob is the fields of a record as text, one per line: the name, a space, the
// value. A line break in either is written \n, a backslash \\, a space in a name
// \s.
var (
	nameEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`, " ", `\s`)
	valueEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	// unescaper reverses both; a backslash before any other byte is itself.
	unescaper = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\s`, " ")
)

// headField is in every record: a blob without it is foreign.
const headField = "head"

func encodeFields(fields []engine.Field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(nameEscaper.Replace(f.Name))
		b.WriteByte(' ')
		b.WriteString(valueEscaper.Replace(f.Value))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// decodeBlob reads a record. An empty blob is an absent record. A blob without a head
// is foreign and must not be overwritten: the error wraps engine.ErrForeignKey,
// or engine.ErrNewerLayout for a newer layout. Other damage is healed by the
// machine.
func decodeBlob(blob []byte) (engine.Record, error) {
	var fields []engine.Field
	found := false
	for line := range strings.Lines(string(blob)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		f := engine.Field{Name: unescaper.Replace(name), Value: unescaper.Replace(value)}
		found = found || f.Name == headField
		fields = append(fields, f)
	}
	if len(blob) > 0 && !found {
		return engine.Record{}, fmt.Errorf("a blob of %d bytes that is no breaker's record, %.20q: %w", len(blob), blob, engine.ErrForeignKey)
	}
	return engine.ParseRecord(fields)
}
