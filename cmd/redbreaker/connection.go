package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/redbreaker/redbreaker/cluster"
	"github.com/redbreaker/redbreaker/cmd/redbreaker/internal/target"
	"github.com/redbreaker/redbreaker/storage"
)

// The environment variables of the command.
const (
	envRedis     = "REDBREAKER_REDIS"
	envPassword  = "REDBREAKER_PASSWORD"
	envNamespace = "REDBREAKER_NAMESPACE"

	defaultRedis = "redis://127.0.0.1:6379"

	maxTimeout = time.Minute // of storage.WithTimeout
)

const redisHelp = `The Redis is one of
  host:port                    a server, or any node of a cluster
  a:6379,b:6379                several nodes of a cluster
  redis://user:password@host:6379/0, rediss://... with TLS, unix:///path
  redis+sentinel://user:password@a:26379,b:26379/MASTER/0
The password may also come from $` + envPassword + `, which other users of this machine
cannot read.`

// redisFlags name a Redis on the command line.
type redisFlags struct {
	address  string
	settings target.Settings
}

func (r *redisFlags) addRedisFlags(cmd *cobra.Command, usage string) {
	f := cmd.Flags()
	f.StringVar(&r.address, "redis", "", usage)
	f.StringVar(&r.settings.User, "user", "", "ACL user, if the URL names none")
	f.BoolVar(&r.settings.TLS, "tls", false, "use TLS, as with rediss://")
	f.StringVar(&r.settings.CACert, "cacert", "", "`file` of the authorities that signed the server's certificate")
	f.StringVar(&r.settings.Cert, "cert", "", "`file` of the client's certificate")
	f.StringVar(&r.settings.Key, "key", "", "`file` of the client's key")
}

// parse returns the target that the flags name, or fallback.
func (r *redisFlags) parse(fallback string) (target.Target, error) {
	r.settings.Password = os.Getenv(envPassword)
	t, err := target.Parse(cmp.Or(r.address, fallback), r.settings)
	if err != nil {
		return t, &usageError{err}
	}
	return t, nil
}

// connection names the Redis and the namespace of a command on breakers.
type connection struct {
	redisFlags
	namespace  string
	colocation string
	timeout    time.Duration
}

func (c *connection) addFlags(cmd *cobra.Command) {
	cmd.Long += "\n\n" + redisHelp
	c.addRedisFlags(cmd, "the Redis (default $"+envRedis+" or "+defaultRedis+")")
	f := cmd.Flags()
	f.StringVarP(&c.namespace, "namespace", "n", "", "namespace of the breaker (default $"+envNamespace+" or "+storage.DefaultNamespace+")")
	f.StringVar(&c.colocation, "colocation", "", "tag of the service's storage.WithColocation, if it uses one")
	f.DurationVar(&c.timeout, "timeout", 2*time.Second, "how long to wait for the Redis")
}

// session is an open connection.
type session struct {
	server    target.Target
	client    redis.UniversalClient
	store     *storage.Redis
	keys      cluster.Keys
	namespace string
}

// run connects, calls f, and adds to its error where it occurred and what to do.
func (c *connection) run(ctx context.Context, f func(*session) error) error {
	s := &session{namespace: cmp.Or(c.namespace, os.Getenv(envNamespace), storage.DefaultNamespace)}
	if c.timeout <= 0 || c.timeout > maxTimeout {
		return &usageError{fmt.Errorf("--timeout is %v, use above 0 to %v", c.timeout, maxTimeout)}
	}
	options := []storage.Option{storage.WithNamespace(s.namespace), storage.WithTimeout(c.timeout)}
	keys, err := cluster.New(s.namespace)
	if err == nil && c.colocation != "" {
		options = append(options, storage.WithColocation(c.colocation))
		keys, err = keys.Colocate(c.colocation)
	}
	if err != nil {
		return err
	}
	s.keys = keys
	if s.server, err = c.parse(cmp.Or(os.Getenv(envRedis), defaultRedis)); err != nil {
		return err
	}
	if s.server, err = resolveTarget(ctx, s.server, c.timeout); err != nil {
		return explainError(err, s)
	}
	s.client = s.server.Client()
	defer s.client.Close()
	if s.store, err = storage.NewRedis(s.client, options...); err != nil {
		return err
	}
	defer s.store.Close()
	return explainErrors(f(s), s)
}

// resolveTarget returns the cluster of a target that is one of its nodes.
func resolveTarget(ctx context.Context, t target.Target, timeout time.Duration) (target.Target, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resolved, err := t.Resolve(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no answer within %v: %w", timeout, err)
	}
	return resolved, err
}

// where describes the storage, for messages.
func (s *session) where() string {
	kind := "redis"
	if s.store != nil {
		kind = s.store.Kind()
	}
	return kind + " at " + s.server.String()
}
