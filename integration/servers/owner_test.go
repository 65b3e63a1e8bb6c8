package servers

import "testing"

func TestIsOwner(t *testing.T) {
	const nodes = "a 127.0.0.1:1@2 master - 0 1 7 connected 0-9 12 [13->-b]\nb 127.0.0.1:3@4 myself,master - 0 1 3 connected 10-11\n"
	for _, tt := range []struct {
		id, epoch string
		slot      int
		want      bool
	}{
		{"a", "7", 0, true}, {"a", "7", 9, true}, {"a", "7", 12, true}, {"a", "7", 10, false}, {"a", "7", 13, false},
		{"a", "6", 0, false}, {"b", "3", 11, true}, {"c", "3", 11, false},
	} {
		if got := isOwner(nodes, tt.id, tt.epoch, tt.slot); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
