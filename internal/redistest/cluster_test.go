package redistest

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestStartCluster(t *testing.T) {
	servers := StartCluster(t, 3)
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr()
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer rdb.Close()
	const keys = 100
	for i := range keys {
		must(t, rdb.Set(ctx, fmt.Sprint(i), i, 0).Err())
	}
	total := int64(0)
	for _, s := range servers {
		n, err := s.Admin().DBSize(ctx).Result()
		must(t, err)
		if n == 0 {
			t.Errorf("the server at %s holds no key of %d", s.Addr(), keys)
		}
		total += n
	}
	if total != keys {
		t.Errorf("the servers hold %d keys, want %d", total, keys)
	}
}
