// Command redbreaker plays a demo of the circuit breaker, and lets an operator
// look at breakers in a Redis and overrule them.
//
// It exits with 0 if all went well, 3 if get finds no breaker of that name, and
// 1 for everything else.
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
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	logging.Disable() // what failed is in the error, and a log would tear the demo's screen
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends it the hard way

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, message(err))
	}
	return exitCode(err)
}
