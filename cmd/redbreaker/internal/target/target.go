// Package target turns an address or URL into clients of a Redis server, a
// cluster, or the primary behind sentinels.
package target

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Target is a server, a cluster, or a primary behind sentinels. The zero Target is
// none of them.
type Target struct {
	single   *redis.Options
	cluster  *redis.ClusterOptions
	sentinel *redis.FailoverOptions
}

// The scheme prefix and the defaults of URLs that name sentinels.
const (
	sentinelSuffix = "+sentinel://"
	sentinelPort   = "26379"
	sentinelMaster = "mymaster"
)

// Parse reads one of
//
//	host:port, or several, separated by commas: nodes of a cluster
//	redis://user:password@host:port/0, rediss:// for TLS, unix:///path
//	redis+sentinel://user:password@host:port,host:port/MASTER/0
//
// A URL takes the options of go-redis as its query; further nodes of a cluster may
// also be given as ?addr=host:port. Settings are applied on top. Errors do not
// repeat the text, since it may contain a password.
func Parse(text string, s Settings) (Target, error) {
	if text == "" {
		return Target{}, errors.New("the address of the Redis is empty; use host:port or a URL such as redis://host:6379")
	}
	if !strings.Contains(text, "://") {
		text = "redis://" + text
	}
	t, err := parseURL(text)
	if err != nil {
		return Target{}, fmt.Errorf("the address of the Redis: %s; use host:port, or a URL such as redis://user:password@host:6379/0", faultOf(err))
	}
	config, err := s.tlsConfig(t.tlsConfig())
	if err != nil {
		return Target{}, err
	}
	t.apply(config, s.User, s.Password)
	return t, nil
}

func parseURL(text string) (Target, error) {
	hosts, first := splitHosts(text)
	if before, after, found := strings.Cut(first, sentinelSuffix); found {
		return parseSentinels(before+"://"+after, hosts)
	}
	u, err := url.Parse(first)
	if err != nil {
		return Target{}, err
	}
	query := u.Query()
	if len(hosts) > 1 {
		for _, host := range hosts[1:] {
			query.Add("addr", withPort(host, "6379"))
		}
		u.RawQuery = query.Encode()
	}
	if query.Has("addr") {
		if strings.Trim(u.Path, "/0") != "" {
			return Target{}, errors.New("a cluster has database 0 only")
		}
		o, err := redis.ParseClusterURL(u.String())
		if err == nil && o.TLSConfig != nil {
			o.TLSConfig.ServerName = "" // the nodes' names differ
		}
		return Target{cluster: o}, err
	}
	o, err := redis.ParseURL(first)
	return Target{single: o}, err
}

// parseSentinels reads a URL whose hosts are sentinels and whose path is the name of
// the master and the database. The user and the password are those of the servers;
// those of the sentinels are in the query.
func parseSentinels(text string, hosts []string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Target{}, err
	}
	master, database, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if master == "" {
		master = sentinelMaster
	}
	query := u.Query()
	o := &redis.FailoverOptions{
		MasterName:       master,
		SentinelUsername: query.Get("sentinel_username"),
		SentinelPassword: query.Get("sentinel_password"),
	}
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.Path, u.RawQuery = "/"+database, query.Encode()
	server, err := redis.ParseURL(u.String())
	if err != nil {
		return Target{}, err
	}
	for _, host := range hosts {
		o.SentinelAddrs = append(o.SentinelAddrs, withPort(host, sentinelPort))
	}
	o.Username, o.Password, o.DB, o.Protocol, o.TLSConfig = server.Username, server.Password, server.DB, server.Protocol, server.TLSConfig
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // the servers' names differ
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = server.DialTimeout, server.ReadTimeout, server.WriteTimeout
	return Target{sentinel: o}, nil
}

// splitHosts returns the hosts of a URL that lists them with commas, and the URL
// with the first of them alone.
func splitHosts(text string) (hosts []string, first string) {
	scheme, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	begin := strings.LastIndexByte(rest[:end], '@') + 1
	hosts = strings.Split(rest[begin:end], ",")
	return hosts, scheme + "://" + rest[:begin] + hosts[0] + rest[end:]
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// faultOf describes an invalid URL without any part that may be a password.
func faultOf(err error) string {
	var whole *url.Error
	if errors.As(err, &whole) || strings.Contains(err.Error(), "@") {
		return "it is not a valid URL (write special characters of a password as %XX)"
	}
	return strings.TrimPrefix(err.Error(), "redis: ")
}

func (t Target) tlsConfig() *tls.Config {
	switch {
	case t.cluster != nil:
		return t.cluster.TLSConfig
	case t.sentinel != nil:
		return t.sentinel.TLSConfig
	}
	return t.single.TLSConfig
}

// apply sets what does not come from the URL. One attempt to dial is enough for a
// command: go-redis makes five, and when the time is over its error says only that.
func (t Target) apply(config *tls.Config, user, password string) {
	switch {
	case t.cluster != nil:
		o := t.cluster
		o.TLSConfig, o.DialerRetries, o.ContextTimeoutEnabled = config, 1, true
		setIf(&o.Username, user)
		setIf(&o.Password, password)
	case t.sentinel != nil:
		o := t.sentinel
		o.TLSConfig, o.DialerRetries, o.ContextTimeoutEnabled = config, 1, true
		setIf(&o.Username, user)
		setIf(&o.Password, password)
	default:
		o := t.single
		o.TLSConfig, o.DialerRetries, o.ContextTimeoutEnabled = config, 1, true
		setIf(&o.Username, user)
		setIf(&o.Password, password)
	}
}

func setIf(field *string, value string) {
	if value != "" {
		*field = value
	}
}

// Client returns a client, which the caller closes.
func (t Target) Client() redis.UniversalClient {
	switch {
	case t.cluster != nil:
		options := *t.cluster
		return redis.NewClusterClient(&options)
	case t.sentinel != nil:
		options := *t.sentinel
		return redis.NewFailoverClient(&options)
	}
	options := *t.single
	return redis.NewClient(&options)
}

// IsCluster reports whether the servers are nodes of a cluster.
func (t Target) IsCluster() bool { return t.cluster != nil }

// String names the servers, without user and password.
func (t Target) String() string {
	switch {
	case t.cluster != nil:
		return strings.Join(slices.Compact(t.cluster.Addrs), ", ")
	case t.sentinel != nil:
		return t.sentinel.MasterName + " of " + strings.Join(t.sentinel.SentinelAddrs, ", ")
	case t.single != nil:
		return t.single.Addr
	}
	return "no server"
}
