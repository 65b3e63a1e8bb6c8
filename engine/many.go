package engine

import "context"

// ManyInspector is a Storage that reads several records at once, for less than
// one by one.
type ManyInspector interface {
	// InspectMany reads the records of the names, in their order, and writes
	// nothing. They are not read at one instant. What could not be read leaves a
	// snapshot with nothing but its name, and a *StorageError of that name in
	// the joined error.
	InspectMany(ctx context.Context, names []string) ([]Snapshot, error)
}
