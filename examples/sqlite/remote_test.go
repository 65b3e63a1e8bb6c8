package main

import (
	"context"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"sync"
	"time"
)

// remote is a Store whose statements another process runs.
type remote struct {
	client *rpc.Client
	path   string
}

// Call is a method of a store, on the file at Path, and then its results.
type Call struct {
	Path    string
	Name    string
	Version int64
	Record  []byte
	TTL     time.Duration
	Swapped bool
}

func (r *remote) call(ctx context.Context, method string, c *Call) error {
	c.Path = r.path
	select {
	case done := <-r.client.Go("Remote."+method, *c, c, make(chan *rpc.Call, 1)).Done:
		return done.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *remote) Load(ctx context.Context, name string) ([]byte, int64, error) {
	c := &Call{Name: name}
	err := r.call(ctx, "Load", c)
	return c.Record, c.Version, err
}

func (r *remote) Swap(ctx context.Context, name string, version int64, record []byte, ttl time.Duration) (bool, error) {
	c := &Call{Name: name, Version: version, Record: record, TTL: ttl}
	err := r.call(ctx, "Swap", c)
	return c.Swapped, err
}

// Remote is the other side: the stores of its process, by path.
type Remote struct {
	mu     sync.Mutex
	stores map[string]*Store
}

func (r *Remote) store(path string) (*Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.stores[path]; s != nil {
		return s, nil
	}
	s, err := Open(path)
	if err == nil {
		r.stores[path] = s
	}
	return s, err
}

// Load is Store.Load.
func (r *Remote) Load(c Call, reply *Call) error {
	s, err := r.store(c.Path)
	if err == nil {
		reply.Record, reply.Version, err = s.Load(context.Background(), c.Name)
	}
	return err
}

// Swap is Store.Swap.
func (r *Remote) Swap(c Call, reply *Call) error {
	s, err := r.store(c.Path)
	if err == nil {
		reply.Swapped, err = s.Swap(context.Background(), c.Name, c.Version, c.Record, c.TTL)
	}
	return err
}

// serve answers on standard input and output until the input ends.
func serve() {
	server := rpc.NewServer()
	if err := server.Register(&Remote{stores: map[string]*Store{}}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server.ServeConn(pipe{os.Stdin, os.Stdout})
}

// pipe is two pipes as one connection.
type pipe struct {
	io.Reader
	io.WriteCloser
}
