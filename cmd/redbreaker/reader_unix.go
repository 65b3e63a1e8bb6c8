//go:build unix

package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// awaitNoReader waits until the file, such as a pipe, has no reader any more,
// and reports whether that is so; false if the context ends first. Without it, a command
// that prints rarely would outlive its reader until the next line.
func awaitNoReader(ctx context.Context, file *os.File) bool {
	const waitMS = 500
	// No events are asked for: errors are reported always.
	fds := []unix.PollFd{{Fd: int32(file.Fd())}}
	for ctx.Err() == nil {
		switch n, err := unix.Poll(fds, waitMS); {
		case err != nil && !errors.Is(err, unix.EINTR):
			return false
		case err == nil && n > 0:
			// Anything else means that the system cannot tell.
			return fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
		}
	}
	return false
}
