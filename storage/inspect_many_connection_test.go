package storage_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

// stall holds up one write, after its bytes are on their way, as a full socket does.
type stall struct {
	begins, ends chan struct{}
}

type stallingConn struct {
	net.Conn
	next *atomic.Pointer[stall]
}

func (c stallingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if s := c.next.Swap(nil); s != nil {
		close(s.begins)
		<-s.ends
	}
	return n, err
}

// A caller may leave while a large pipeline is written. Its rest must be written
// nevertheless: go-redis would keep the connection, and the replies to the first part would be
// taken for those of the next commands, which may be the program's own.
func TestInspectMany_callerLeavesWhileWriting(t *testing.T) {
	var next atomic.Pointer[stall]
	rdb := open(t, &redis.Options{
		Addr: redistest.Addr(t), PoolSize: 1, MaxRetries: -1,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return stallingConn{conn, &next}, err
		},
	})
	s := newStorage(t, rdb, storage.WithNamespace(redistest.Namespace(t)))
	names := make([]string, 500)
	for i := range names {
		names[i] = strings.Repeat("x", 150) + strconv.Itoa(i)
	}
	_, err := s.InspectMany(ctx, names[:1]) // connects, and loads the script
	must(t, err)

	st := &stall{make(chan struct{}), make(chan struct{})}
	next.Store(st)
	caller, leave := context.WithCancel(ctx)
	left := make(chan error)
	go func() {
		_, err := s.InspectMany(caller, names)
		left <- err
	}()
	<-st.begins
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("InspectMany: %v, want the end of the context", err)
	}
	close(st.ends)
	for i := range 3 {
		want := "the program's own " + strconv.Itoa(i)
		if got, err := rdb.Echo(ctx, want).Result(); err != nil || got != want {
			t.Errorf("ECHO returns %.40q, %v, want %q", got, err, want)
		}
	}
}
