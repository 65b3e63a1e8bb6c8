package scenario

import (
	"maps"
	"slices"

	"github.com/redbreaker/redbreaker/engine"
)

// List puts the fields of a hash into an order.
func List(hash map[string]string) []engine.Field {
	var fields []engine.Field
	for _, name := range slices.Sorted(maps.Keys(hash)) {
		fields = append(fields, engine.Field{Name: name, Value: hash[name]})
	}
	return fields
}

// Hash is the reverse of List.
func Hash(fields []engine.Field) map[string]string {
	hash := map[string]string{}
	for _, f := range fields {
		hash[f.Name] = f.Value
	}
	return hash
}

// Canonical reads and writes fields: cells that the window no longer reaches
// and what belongs to another state are dropped, the order is the codec's.
func Canonical(fields []engine.Field) ([]engine.Field, error) {
	r, err := engine.ParseRecord(fields)
	if err != nil {
		return nil, err
	}
	return r.Fields(), nil
}
