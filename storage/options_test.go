package storage_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/internal/redistest"
	"github.com/redbreaker/redbreaker/storage"
)

func TestNewRedis_faults(t *testing.T) {
	_, rdb := redistest.Mini(t)
	var (
		noClient  *redis.Client
		noCluster *redis.ClusterClient
	)
	for name, test := range map[string]struct {
		client redis.UniversalClient
		opts   []storage.Option
		want   []string // one line of the error each
	}{
		"nil client":         {nil, nil, []string{"redbreaker: the Redis client is nil, make one with redis.NewUniversalClient: invalid argument"}},
		"typed nil client":   {noClient, nil, []string{"the Redis client is nil"}},
		"typed nil cluster":  {noCluster, nil, []string{"the Redis client is nil"}},
		"typed nil below":    {rdb, []storage.Option{storage.WithUnderlying(noCluster)}, []string{"redbreaker: the underlying Redis client is nil, leave WithUnderlying out: invalid argument"}},
		"nil option":         {rdb, []storage.Option{storage.WithTimeout(1), nil}, []string{"redbreaker: option 2 is nil, leave it out: invalid argument"}},
		"no time":            {rdb, []storage.Option{storage.WithTimeout(0)}, []string{"redbreaker: timeout 0s, use above 0 to 1m0s: invalid argument"}},
		"negative time":      {rdb, []storage.Option{storage.WithTimeout(-1)}, []string{"timeout -1ns"}},
		"too much time":      {rdb, []storage.Option{storage.WithTimeout(time.Minute + 1)}, []string{"timeout 1m0.000000001s"}},
		"no reporter":        {rdb, []storage.Option{storage.WithReporter("")}, []string{"redbreaker: the reporter has no name, give the host's: invalid argument"}},
		"blank reporter":     {rdb, []storage.Option{storage.WithReporter(" \t")}, []string{"the reporter has no name"}},
		"no namespace":       {rdb, []storage.Option{storage.WithNamespace("")}, []string{"redbreaker: the namespace is empty"}},
		"braces":             {rdb, []storage.Option{storage.WithNamespace("a{b}")}, []string{`redbreaker: namespace "a{b}": use printable characters other than braces and spaces`}},
		"space":              {rdb, []storage.Option{storage.WithNamespace("a b")}, []string{`namespace "a b"`}},
		"control character":  {rdb, []storage.Option{storage.WithNamespace("a\n")}, []string{`namespace "a\n"`}},
		"not UTF-8":          {rdb, []storage.Option{storage.WithNamespace("\xff")}, []string{`namespace "\xff"`}},
		"empty tag":          {rdb, []storage.Option{storage.WithColocation("")}, []string{"redbreaker: the colocation tag is empty"}},
		"a tag for no space": {rdb, []storage.Option{storage.WithNamespace(""), storage.WithColocation("")}, []string{"the namespace is empty"}},
		"all at once": {nil, []storage.Option{
			nil, storage.WithTimeout(0), storage.WithReporter(""), storage.WithNamespace("{}"), nil,
		}, []string{"client is nil", "option 1 is nil", "option 5 is nil", "timeout 0s", "the reporter has no name", `namespace "{}"`}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := storage.NewRedis(test.client, test.opts...)
			if s != nil || !errors.Is(err, engine.ErrInvalid) {
				t.Fatalf("got %v, %v; want an invalid argument", s, err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("got %d faults, want %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("fault %d is %q, want %q", i+1, lines[i], want)
				}
			}
		})
	}
}

func TestNewRedis_limitsAreIncluded(t *testing.T) {
	_, rdb := redistest.Mini(t)
	for _, opt := range []storage.Option{
		storage.WithTimeout(1), storage.WithTimeout(time.Minute), storage.WithNamespace("team:shop"),
		storage.WithReporter("web-1"), storage.WithColocation("{}"),
	} {
		s, err := storage.NewRedis(rdb, opt)
		if err != nil {
			t.Error(err)
			continue
		}
		must(t, s.Close())
	}
}

// A service starts while Redis is down: nothing is asked before the first call.
func TestNewRedis_touchesNoNetwork(t *testing.T) {
	m, rdb := redistest.Mini(t)
	s := newStorage(t, rdb)
	bind(t, s, opensAtOnce)
	if n := m.TotalConnectionCount(); n != 0 {
		t.Errorf("%d connections before the first call", n)
	}
}

func TestOptions_keysAndReporter(t *testing.T) {
	for want, opts := range map[string][]storage.Option{
		"redbreaker:{dep}":  {storage.WithNamespace(storage.DefaultNamespace)},
		"shop:{dep}":        {storage.WithNamespace("shop")},
		"shop:{orders}:dep": {storage.WithNamespace("shop"), storage.WithColocation("orders")},
	} {
		m, rdb := redistest.Mini(t)
		h, _ := bind(t, newStorage(t, rdb, append(opts, storage.WithReporter("web-1"))...), opensAtOnce)
		fails(t, h, 1)
		if keys := m.Keys(); len(keys) != 1 || keys[0] != want {
			t.Errorf("keys %q, want %q", keys, want)
		}
		s, err := h.Control(ctx, engine.Command{Action: engine.ActionReset, Actor: "ops"})
		must(t, err)
		if by := s.Log[1].By; by != "web-1" {
			t.Errorf("the trip was reported by %q", by)
		}
	}
}
