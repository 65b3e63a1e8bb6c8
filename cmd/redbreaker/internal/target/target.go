// Package target turns what a user says about a Redis into clients of it.
package target

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Target is a Redis, or a cluster of them. The zero Target is none.
type Target struct {
	single  *redis.Options
	cluster *redis.ClusterOptions
}

// Parse reads an address host:port or a URL as go-redis takes them
// (redis://user:password@host:port/0, rediss://, unix://). A URL that names
// further nodes (?addr=host:port&addr=...) is a cluster. Errors do not repeat the
// text, since it may hold a password.
func Parse(text string) (Target, error) {
	if text == "" {
		return Target{}, errors.New("the address of the Redis is empty, give host:port or a URL such as redis://host:6379")
	}
	if !strings.Contains(text, "://") {
		text = "redis://" + text
	}
	t, err := parseURL(text)
	if err != nil {
		return Target{}, fmt.Errorf("the address of the Redis: %s; give host:port or a URL such as redis://user:password@host:6379/0", reason(err))
	}
	return t, nil
}

func parseURL(text string) (t Target, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return Target{}, err
	}
	if u.Query().Has("addr") {
		if t.cluster, err = redis.ParseClusterURL(text); err != nil {
			return Target{}, err
		}
		t.cluster.ContextTimeoutEnabled = true
		t.cluster.DialerRetries = 1
		return t, nil
	}
	if t.single, err = redis.ParseURL(text); err != nil {
		return Target{}, err
	}
	// With more attempts, what one reads of a server that is down is that time
	// ran out, not why.
	t.single.DialerRetries = 1
	t.single.ContextTimeoutEnabled = true
	return t, nil
}

// reason is what is wrong with a URL, without any piece that may be a password.
func reason(err error) string {
	var whole *url.Error
	if errors.As(err, &whole) || strings.Contains(err.Error(), "@") {
		return "it does not read as a URL (in a password, write special characters as %XX)"
	}
	return strings.TrimPrefix(err.Error(), "redis: ")
}

// Client makes a client, which the caller closes.
func (t Target) Client() redis.UniversalClient {
	if t.cluster != nil {
		options := *t.cluster
		return redis.NewClusterClient(&options)
	}
	options := *t.single
	return redis.NewClient(&options)
}

// String names the servers, without user and password.
func (t Target) String() string {
	switch {
	case t.cluster != nil:
		return strings.Join(t.cluster.Addrs, ", ")
	case t.single != nil:
		return t.single.Addr
	}
	return "no server"
}
