// Command sqlite shares a breaker among the processes of one host through a
// SQLite file. Store is a cas.Store to copy: forty lines of SQL, and every
// promise holds, since the machine runs on what they load and swap.
//
//	go run ./sqlite [FILE]
//
// starts itself twice on one file. docs/storages.md lists what a store must
// guarantee, and store_test.go runs the conformance suite on this one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage/cas"
)

var policy = redbreaker.Policy{ConsecutiveFailures: 3, OpenFor: 2 * time.Second}

func main() {
	var err error
	switch {
	case len(os.Args) == 3:
		err = process(context.Background(), os.Args[1], os.Args[2])
	case len(os.Args) == 2:
		err = host(os.Args[1])
	default:
		err = temporary(host)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sqlite:", err)
		os.Exit(1)
	}
}

func temporary(f func(path string) error) error {
	dir, err := os.MkdirTemp("", "breakers")
	if err != nil {
		return err
	}
	return errors.Join(f(filepath.Join(dir, "breakers.db")), os.RemoveAll(dir))
}

// host starts one process after the other. The second never sees the dependency fail,
// and finds the circuit open.
func host(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, part := range []string{"fail", "call"} {
		cmd := exec.Command(self, path, part)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("the process that should %s: %w", part, err)
		}
	}
	return nil
}

// process is one of the two.
func process(ctx context.Context, path, part string) error {
	store, err := Open(path)
	if err != nil {
		return err
	}
	defer store.Close()
	shared, err := cas.New(store)
	if err != nil {
		return err
	}
	defer shared.Close()
	disk, err := redbreaker.New("disk", policy, redbreaker.WithStorage(shared))
	if err != nil {
		return err
	}
	defer disk.Stop()
	if err := disk.Ping(ctx); err != nil {
		return err
	}
	if part == "fail" {
		return fail(ctx, disk)
	}
	return call(ctx, disk)
}

func fail(ctx context.Context, disk *redbreaker.Breaker) error {
	for range policy.ConsecutiveFailures {
		_ = disk.Do(ctx, func(context.Context) error { return errors.New("no space left") })
	}
	fmt.Printf("one: %d calls failed, the circuit is %v\n", policy.ConsecutiveFailures, disk.State())
	return nil
}

func call(ctx context.Context, disk *redbreaker.Breaker) error {
	works := func(context.Context) error { return nil }
	err := disk.Do(ctx, works)
	var rejected *redbreaker.RejectedError
	if !errors.As(err, &rejected) {
		return fmt.Errorf("the call was not rejected but gave %w", err)
	}
	fmt.Printf("two: rejected, the circuit is %v\n", rejected.State)
	time.Sleep(rejected.RetryAfter())
	if err := disk.Do(ctx, works); err != nil {
		return err
	}
	fmt.Printf("two: the probe succeeded, the circuit is %v\n", disk.State())
	return nil
}
