package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/storage"
)

const (
	// callTimeout is the longest that a replica waits for the dependency.
	callTimeout = 2 * time.Second
	// storageTimeout is longer than the default, since a whole fleet and its Redis
	// share one machine here, which may be busy.
	storageTimeout = 2 * time.Second
)

// replica is one instance of the service. It shares only the Redis and the dependency
// with the others.
type replica struct {
	number  int
	name    string
	rdb     redis.UniversalClient
	store   *storage.Redis
	breaker *redbreaker.Breaker
	http    *http.Client
	dep     *dependency

	admitted, failed atomic.Int64
	rejected         [stages]atomic.Int64
}

// tally holds the counts of a replica.
type tally struct {
	name                       string
	admitted, rejected, failed int64
}

// newReplica makes a replica. The caller stops it, also after an error.
func newReplica(c *Config, number int, rdb redis.UniversalClient, dep *dependency, j *journal) (*replica, error) {
	r := &replica{
		number: number,
		name:   fmt.Sprintf("replica-%d", number),
		rdb:    rdb,
		http:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: callTimeout},
		dep:    dep,
	}
	var err error
	r.store, err = storage.NewRedis(rdb,
		storage.WithNamespace(c.Namespace),
		storage.WithReporter(r.name),
		storage.WithTimeout(storageTimeout),
		storage.WithWatch())
	if err != nil {
		return r, err
	}
	r.breaker, err = redbreaker.New(c.Name, c.demoPolicy(),
		redbreaker.WithStorage(witness{r.store}),
		redbreaker.WithHooks(j.replicaHooks(r.name)))
	return r, err
}

// callUntilDone makes rate calls a second until ctx is done, and returns when the last
// call has ended.
func (r *replica) callUntilDone(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			calls.Add(1)
			go func() {
				defer calls.Done()
				r.makeCall()
			}()
		}
	}
}

// makeCall makes one protected call. The end of the demo does not cancel it, so that
// the replicas and the dependency count the same calls.
func (r *replica) makeCall() {
	ctx, ticket := withTicket(context.Background())
	err := r.breaker.Do(ctx, func(ctx context.Context) error {
		r.admitted.Add(1)
		return r.postRequest(ctx, *ticket)
	})
	switch {
	case errors.Is(err, redbreaker.ErrRejected):
		r.rejected[r.dep.currentStage()].Add(1)
	case err != nil:
		r.failed.Add(1)
	}
}

// postRequest calls the dependency. The HTTP client may repeat a GET by itself, which
// the dependency would count twice, so it sends a POST.
func (r *replica) postRequest(ctx context.Context, t redbreaker.Ticket) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.dep.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set(ticketHeader, fmt.Sprintf("%d %d %d", r.number, t.Epoch, t.Lease))
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the dependency answered %s", resp.Status)
	}
	return nil
}

func (r *replica) currentTally() tally {
	t := tally{name: r.name, admitted: r.admitted.Load(), failed: r.failed.Load()}
	for i := range r.rejected {
		t.rejected += r.rejected[i].Load()
	}
	return t
}

func (r *replica) stopReplica() {
	if r.breaker != nil {
		r.breaker.Stop()
	}
	if r.store != nil {
		_ = r.store.Close()
	}
	_ = r.rdb.Close()
	r.http.CloseIdleConnections()
}
