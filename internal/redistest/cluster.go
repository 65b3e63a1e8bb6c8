package redistest

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// slots is how many slots the masters of a cluster share.
const slots = 1 << 14

// StartCluster starts a private cluster of at least three masters without replicas,
// which share the slots evenly. It ignores REDBREAKER_REDIS: without a redis-server
// on PATH the test is skipped.
func StartCluster(t testing.TB, masters int) []*Server {
	t.Helper()
	ctx := context.Background()
	servers := make([]*Server, masters)
	clients := make([]*redis.Client, masters)
	for i := range servers {
		servers[i] = Start(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
		clients[i] = servers[i].Client()
		servers[i].mustSucceed("number", clients[i].Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		first, end := slots*i/masters, slots*(i+1)/masters
		servers[i].mustSucceed("give slots to", clients[i].ClusterAddSlotsRange(ctx, first, end-1).Err())
		if i > 0 {
			host, port, _ := net.SplitHostPort(servers[0].Addr())
			servers[i].mustSucceed("introduce", clients[i].ClusterMeet(ctx, host, port).Err())
		}
	}
	for i, s := range servers {
		s.awaitCluster(clients[i])
	}
	return servers
}

// awaitCluster waits until the server reports that every slot is served.
func (s *Server) awaitCluster(rdb *redis.Client) {
	s.t.Helper()
	for deadline := time.Now().Add(startTime); ; time.Sleep(10 * time.Millisecond) {
		info, err := rdb.ClusterInfo(context.Background()).Result()
		s.mustSucceed("ask for the cluster", err)
		if strings.Contains(info, "cluster_state:ok") {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redistest: the cluster of %s does not serve all slots after %v:\n%s", s.Addr(), startTime, info)
		}
	}
}
