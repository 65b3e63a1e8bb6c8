package storage_test

import (
	"github.com/alicebob/miniredis/v2/server"
)

// onCommand is a hook of miniredis that calls f for each command of that name,
// those of scripts among them.
func onCommand(command string, f func()) server.Hook {
	return func(_ *server.Peer, cmd string, _ ...string) bool {
		if cmd == command {
			f()
		}
		return false
	}
}
