package peers

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// joinGobreaker gives each caller an instance, a store and a client.
func joinGobreaker(f *fleet, callers int) {
	for range callers {
		rdb := f.client()
		breaker, err := gobreaker.NewDistributedCircuitBreaker[int](newStore(rdb), gobreaker.Settings{
			Name:        f.name,
			Timeout:     f.openFor,
			ReadyToTrip: inARow(f.failures),
		})
		if err != nil {
			f.b.Fatal(err)
		}
		f.callers = append(f.callers, protected{
			succeed: func() error {
				_, err := breaker.Execute(func() (int, error) { f.made.Add(1); return succeedValue() })
				return err
			},
			fail: func() error {
				_, err := breaker.Execute(func() (int, error) { f.made.Add(1); return failValue() })
				return err
			},
		})
	}
	rdb := f.client()
	state := "gobreaker:state:" + f.name
	f.b.Cleanup(func() { rdb.Del(context.Background(), state) })
	f.recorded = func() int64 {
		text, err := rdb.Get(ctx, state).Bytes()
		if err != nil {
			f.b.Fatal(err)
		}
		var shared gobreaker.SharedState
		if err := json.Unmarshal(text, &shared); err != nil {
			f.b.Fatal(err)
		}
		return int64(shared.Counts.TotalFailures)
	}
}

// lockFor is the expiry of a lock, and how long gobreaker waits for one.
const lockFor = 5 * time.Second

// store is the gobreaker.SharedDataStore of one caller, which holds at most one lock.
type store struct {
	rdb  *redis.Client
	sync *redsync.Redsync
	held *redsync.Mutex
}

func newStore(rdb *redis.Client) *store {
	return &store{rdb: rdb, sync: redsync.New(goredis.NewPool(rdb))}
}

func (s *store) Lock(name string) error {
	if s.held == nil || s.held.Name() != name {
		s.held = s.sync.NewMutex(name, redsync.WithExpiry(lockFor))
	}
	return s.held.Lock()
}

var errNotHeld = errors.New("the lock is not held any more")

func (s *store) Unlock(string) error {
	held, err := s.held.Unlock()
	if err == nil && !held {
		err = errNotHeld
	}
	return err
}

func (s *store) GetData(name string) ([]byte, error) { return s.rdb.Get(ctx, name).Bytes() }

func (s *store) SetData(name string, data []byte) error { return s.rdb.Set(ctx, name, data, 0).Err() }
