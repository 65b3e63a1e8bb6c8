package transport

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/scripts"
)

// That a caller leaves says nothing about the cluster: its map is not read again.
func TestRunMany_callerLeaves(t *testing.T) {
	end := make(chan struct{})
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:         []string{"192.0.2.1:6379"},
		DialerRetries: 1,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			<-end
			return nil, errors.New("unreachable")
		},
	})
	defer func() { _ = client.Close() }()
	tr, err := New(client, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close() }()
	defer close(end)
	for name, run := range map[string]func(context.Context) ([]Answer, error){
		"RunMany": func(ctx context.Context) ([]Answer, error) {
			return tr.RunMany(ctx, []*Call{{Op: "inspect", Key: "{a}", Script: scripts.Inspect}})
		},
		"ReadField": func(ctx context.Context) ([]Answer, error) { return tr.ReadField(ctx, "watch", "h", []string{"{a}"}) },
	} {
		ctx, leave := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, leave)
		if _, err := run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the end of the context", name, err)
		}
		if tr.cluster.watching.Load() {
			t.Errorf("%s: the map is read again because a caller left", name)
		}
	}
}
