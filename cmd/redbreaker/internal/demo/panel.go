package demo

import (
	"context"
	"fmt"
	"net"

	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/web"
	"github.com/redbreaker/redbreaker/storage"
)

// startPanel serves the panel of the demo's namespace, from a client and a storage of its
// own, as redbreaker serve does.
func (d *demo) startPanel(server target.Target) error {
	client := server.Client()
	d.closers = append(d.closers, func() { _ = client.Close() })
	store, err := storage.NewRedis(client, storage.WithNamespace(d.Namespace), storage.WithTimeout(storageTimeout))
	if err != nil {
		return err
	}
	d.closers = append(d.closers, func() { _ = store.Close() })
	site, err := web.New(web.Config{Store: store, Title: "redbreaker demo", Listen: d.Panel})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", d.Panel)
	if err != nil {
		return fmt.Errorf("listen for the panel: %w", err)
	}
	d.panelURL = "http://" + l.Addr().String() + "/"
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = site.Serve(ctx, l) // until cancel
	}()
	d.closers = append(d.closers, func() {
		cancel()
		<-ended
	})
	return nil
}
