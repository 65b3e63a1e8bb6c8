// Command redbreaker plays a demo of the circuit breaker, and shows and controls the
// breakers that a fleet shares through Redis.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	os.Exit(runCommand(os.Args[1:], os.Stdout, os.Stderr))
}

// runCommand runs a command line and returns the exit code.
func runCommand(args []string, stdout, stderr io.Writer) int {
	logging.Disable() // errors say what failed, and a log would disturb the demo's screen
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, errorText(err))
	}
	return exitCode(err)
}
