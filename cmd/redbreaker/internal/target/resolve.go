package target

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Resolve connects to a single server and asks for its mode. It returns the target of
// the whole cluster if the server belongs to one, else t. A server that refuses the
// question counts as a single one: the next command has the better error. The error
// is that of the connection, or says that the address is wrong.
func (t Target) Resolve(ctx context.Context) (Target, error) {
	if t.single == nil {
		return t, nil
	}
	options := *t.single
	options.DB = 0 // a cluster would refuse another
	client := redis.NewClient(&options)
	defer client.Close()
	switch mode, err := serverMode(ctx, client, t.single.Protocol); {
	case err != nil:
		return t, err
	case mode == "cluster" && t.single.DB != 0:
		return t, errors.New("the server belongs to a cluster, which has database 0 only; leave the number out of the URL")
	case mode == "cluster":
		return Target{cluster: clusterOf(t.single)}, nil
	case mode == "sentinel":
		return t, errors.New("the server is a sentinel; use redis+sentinel://host:port/MASTER")
	}
	return t, nil
}

// serverMode returns standalone, cluster or sentinel, or "" if the server does not
// say. HELLO needs no rights, unlike CLUSTER and INFO.
func serverMode(ctx context.Context, client redis.UniversalClient, protocol int) (string, error) {
	if protocol != 2 {
		protocol = 3
	}
	reply, err := client.Do(ctx, "hello", protocol).Result()
	var answer redis.Error
	if errors.As(err, &answer) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	switch reply := reply.(type) {
	case map[any]any:
		mode, _ := reply["mode"].(string)
		return mode, nil
	case []any:
		for i := 0; i+1 < len(reply); i += 2 {
			if reply[i] == "mode" {
				mode, _ := reply[i+1].(string)
				return mode, nil
			}
		}
	}
	return "", nil
}

// clusterOf returns the options of the cluster that a server belongs to. With TLS
// each node is verified by its own name.
func clusterOf(o *redis.Options) *redis.ClusterOptions {
	config := o.TLSConfig.Clone()
	if config != nil {
		config.ServerName = ""
	}
	return &redis.ClusterOptions{
		Addrs:    []string{o.Addr},
		Username: o.Username, Password: o.Password, Protocol: o.Protocol, TLSConfig: config,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolSize: o.PoolSize, DialerRetries: o.DialerRetries, ContextTimeoutEnabled: true,
	}
}
