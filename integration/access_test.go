package integration_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/integration/servers"
	"github.com/redbreaker/redbreaker/storage"
)

// rights returns the ACL rules that docs/operations.md documents under the title, for
// a namespace.
func rights(t *testing.T, title, namespace string) []any {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	check(t, err)
	line := regexp.MustCompile(`(?m)^` + title + `\n+` + "```\n" + `ACL SETUSER breaker on >secret (.*)$`).FindSubmatch(text)
	if line == nil {
		t.Fatalf("docs/operations.md has no ACL line after %q", title)
	}
	var all []any
	for _, right := range strings.Fields(strings.ReplaceAll(string(line[1]), "shop:", namespace+":")) {
		all = append(all, right)
	}
	return all
}

const (
	serverRights  = "A single server, or Sentinel:"
	clusterRights = "A cluster:"
)

func grant(n *servers.Node, rights []any) {
	n.Do(append([]any{"acl", "setuser", "breaker", "reset", "on", ">secret"}, rights...)...)
}

// The documented rights are enough on a single server and on a cluster whose slots
// move and whose masters change.
func TestACL_standalone(t *testing.T) {
	n := servers.Standalone(t, servers.Args("--maxclients", "1000")) // an argument makes it a private server
	f := newFleet(t, 3, n.Client(func(o *redis.Options) { o.Username, o.Password = "breaker", "secret" }))
	grant(n, rights(t, serverRights, f.namespace))
	check(t, f.stores[0].Ping(context.Background()))
	l := f.startLoad()
	l.warm(t)
	l.end(t, "a user with the documented rights").mustBeWhole(t)
}

func TestACL_cluster(t *testing.T) {
	c := servers.Cluster(t)
	as := func(o *redis.ClusterOptions) { o.Username, o.Password = "breaker", "secret" }
	f := newFleet(t, breakers, c.Client(as), c.Client(func(o *redis.ClusterOptions) { as(o); o.RouteRandomly = true }))
	for _, n := range c.Nodes {
		grant(n, rights(t, clusterRights, f.namespace))
	}
	for _, s := range f.stores {
		check(t, s.Ping(context.Background()))
	}
	l := f.startLoad()
	l.warm(t)
	c.EachNode("script", "flush")
	slot := f.slot(t, f.names[0])
	for _, to := range c.Masters() {
		c.MigrateSlot(slot, to)
	}
	c.Promote(c.ReplicaOf(slot))
	time.Sleep(time.Second)
	r := l.end(t, "a user with the documented rights")
	if r.Lost != 0 || r.Doubled != 0 {
		t.Errorf("lost %d, doubled %d; want 0", r.Lost, r.Doubled)
	}
	for text := range r.Errors {
		if strings.Contains(text, "NOPERM") || strings.Contains(text, "permission") {
			t.Errorf("a caller got %q", text)
		}
	}
	f.mustAgree(t)
}

// The error of Ping names what to change: rights, password, address, database.
func TestBadInput(t *testing.T) {
	n := servers.Standalone(t, servers.Args("--requirepass", ""))
	grant(n, []any{"~other:*", "+@all"})
	for what, want := range map[string]struct {
		change func(*redis.Options)
		says   string
	}{
		"a wrong password":       {func(o *redis.Options) { o.Username, o.Password = "breaker", "wrong" }, "password"},
		"a user without rights":  {func(o *redis.Options) { o.Username, o.Password = "breaker", "secret" }, "docs/operations.md"},
		"a server that is away":  {func(o *redis.Options) { o.Addr = "127.0.0.1:1" }, "check the address"},
		"TLS to a plain port":    {func(o *redis.Options) { o.TLSConfig = &tls.Config{InsecureSkipVerify: true} }, "check the address"},
		"a database that is not": {func(o *redis.Options) { o.DB = 9999 }, "DB"},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := storage.NewRedis(n.Client(want.change), storage.WithTimeout(5*time.Second))
			check(t, err)
			defer s.Close()
			err = s.Ping(context.Background())
			var e *engine.StorageError
			if !errors.As(err, &e) || !strings.Contains(err.Error(), want.says) {
				t.Errorf("Ping: %v, want a *StorageError that says %q", err, want.says)
			}
		})
	}
	for _, option := range []storage.Option{storage.WithNamespace("a{b"), storage.WithNamespace("a}b"), storage.WithNamespace(""), storage.WithColocation("")} {
		if _, err := storage.NewRedis(n.Client(nil), option); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
	}
	// Braces in a tag are encoded.
	if _, err := storage.NewRedis(n.Client(nil), storage.WithColocation("{a}")); err != nil {
		t.Error(err)
	}
}

// The storage works over a client with TLS.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o755))
	pool := certificate(t, dir)
	trust := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	n := servers.TLS(t, dir, trust)
	f := newFleet(t, 3, n.Client(func(o *redis.Options) { o.TLSConfig = trust }))
	check(t, f.stores[0].Ping(context.Background()))
	l := f.startLoad()
	l.warm(t)
	l.end(t, "over TLS").mustBeWhole(t)
	s, err := storage.NewRedis(n.Client(nil), storage.WithTimeout(5*time.Second))
	check(t, err)
	defer s.Close()
	if err := s.Ping(context.Background()); err == nil {
		t.Error("a plain client of a TLS port: Ping succeeds")
	}
}

// certificate writes a certificate for loopback and its key into dir, and returns a
// pool that trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redbreaker test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	check(t, os.WriteFile(filepath.Join(dir, "server.crt"), cert, 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "server.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o644))
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(cert) {
		t.Fatal("the certificate cannot be parsed")
	}
	return pool
}
