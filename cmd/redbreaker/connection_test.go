package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redbreaker/redbreaker"
	"github.com/redbreaker/redbreaker/internal/redistest"
)

// One address of a cluster is enough, whichever node has the breaker's slot.
func TestConnection_cluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr())
	}
	for i := range 8 { // names in several slots
		name := fmt.Sprintf("dep-%d", i)
		if out, err := execute("trip", name, "--create", "--redis", addrs[i%3]); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, address := range []string{addrs[0], strings.Join(addrs, ","), "redis://" + strings.Join(addrs[1:], ",") + "/0"} {
			if out, err := execute("get", name, "--redis", address); err != nil || !strings.Contains(out, "open for ") {
				t.Errorf("get through %s: %v\n%s", address, err, out)
			}
		}
	}
	_, err := execute("get", "dep-0", "--redis", "redis://"+addrs[0]+"/1")
	if err == nil || !strings.Contains(err.Error(), "the server belongs to a cluster, which has database 0 only") {
		t.Errorf("with a database number: %v", err)
	}
}

func TestConnection_sentinel(t *testing.T) {
	primary := redistest.Start(t)
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	sentinel := redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor shop %s %s 1\n", host, port))
	for range 2 {
		url := "redis+sentinel://" + sentinel.Addr() + "/shop"
		if out, err := execute("trip", "dep", "--create", "--redis", url); err != nil || !strings.Contains(out, "shop of "+sentinel.Addr()) {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if n := primary.Admin().Exists(ctx, "redbreaker:{dep}").Val(); n != 1 {
		t.Error("the primary has no record")
	}
	if _, err := execute("get", "dep", "--redis", sentinel.Addr()); err == nil || !strings.Contains(err.Error(), "use redis+sentinel://") {
		t.Errorf("a sentinel as a server: %v", err)
	}
	if _, err := execute("get", "dep", "--redis", "redis+sentinel://"+sentinel.Addr()+"/other", "--timeout", "1s"); exitCode(err) != exitFailure {
		t.Errorf("an unknown master: %v", err)
	}
}

// A user with the rights of HGETALL and TIME can use get, and learns which rights a
// command needs.
func TestGet_readOnlyUser(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client()
	s := serverAt(server, "shop")
	fails(t, s.breaker(t, "dep", redbreaker.Policy{ConsecutiveFailures: 1, OpenFor: time.Hour}))
	if err := admin.Do(ctx, "acl", "setuser", "reader", "on", ">secret", "~shop:*", "+hgetall", "+time").Err(); err != nil {
		t.Fatal(err)
	}
	t.Setenv(envPassword, "secret")
	flags := []string{"--redis", server.Addr(), "--user", "reader"}
	want := s.must(t, "get", "dep", "-o", "json")
	got, err := execute(append([]string{"get", "dep", "-n", "shop", "-o", "json"}, flags...)...)
	if err != nil || withoutTimes(got) != withoutTimes(want) {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	if out, err := execute(append([]string{"get", "none", "dep", "-n", "shop"}, flags...)...); exitCode(err) != exitAbsent || !strings.Contains(out, "name               dep\n") {
		t.Errorf("several names: %v\n%s", err, out)
	}
	if err := admin.Set(ctx, "shop:{text}", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"trip dep -n shop", "grant the user the rights that docs/operations.md lists"},
		{"get dep -n other", "the user may not use the keys of this namespace; check --namespace, or grant ~other:*"},
		{"get text -n shop", `breaker "text" in namespace "shop": the key holds other data, choose another namespace`},
	} {
		_, err := execute(append(strings.Fields(tt.args), flags...)...)
		if err == nil || !strings.Contains(errorText(err), tt.want) || exitCode(err) != exitFailure {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
}

// withoutTimes removes the lines of a snapshot that differ from moment to moment.
func withoutTimes(text string) string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, `"age"`) && !strings.Contains(line, `"ago"`) && !strings.Contains(line, `"retry_after"`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// The advice fits the cause.
func TestErrors_advice(t *testing.T) {
	server := redistest.Start(t)
	replica := redistest.Start(t)
	host, port, _ := net.SplitHostPort(server.Addr())
	s := serverAt(server, "redbreaker")
	s.must(t, "trip", "dep", "--create")
	if err := replica.Admin().ReplicaOf(ctx, host, port).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); replica.Admin().Exists(ctx, "redbreaker:{dep}").Val() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the replica has no copy of the record")
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"reset dep --redis " + replica.Addr(), "the server is a replica; use the address of its primary"},
		{"get dep --redis redis://" + server.Addr() + "/99", "the server has no database of that number; correct the end of the URL"},
		{"get dep --tls --redis " + server.Addr(), "check the address and whether the server uses TLS, or raise --timeout"},
		{"get dep --user ann --redis " + server.Addr(), "check the user and the password"},
	} {
		t.Setenv(envPassword, map[bool]string{true: "wrong"}[strings.Contains(tt.args, "--user")])
		_, err := execute(strings.Fields(tt.args)...)
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
	if out, err := execute("get", "dep", "--redis", replica.Addr()); err != nil {
		t.Errorf("get of a replica: %v\n%s", err, out)
	}
}

func TestConnection_tls(t *testing.T) {
	dir := t.TempDir()
	ca := writeCertificate(t, dir)
	port := freePort(t)
	redistest.Start(t, "--tls-port", port, "--tls-cert-file", ca, "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-ca-cert-file", ca, "--tls-auth-clients", "optional")
	addr := "127.0.0.1:" + port
	if out, err := execute("trip", "dep", "--create", "--redis", addr, "--cacert", ca); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := execute("get", "dep", "--redis", "rediss://"+addr+"?skip_verify=true"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := execute("get", "dep", "--redis", addr, "--cacert", ca, "--cert", ca, "--key", filepath.Join(dir, "key.pem")); err != nil {
		t.Errorf("with a client's certificate: %v\n%s", err, out)
	}
	for _, tt := range []struct{ address, want string }{
		{"rediss://" + addr, "--cacert names the authorities that signed the certificate"},
		{addr, "if it uses TLS, use rediss:// or --tls"},
	} {
		if _, err := execute("get", "dep", "--redis", tt.address); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.address, err, tt.want)
		}
	}
	if _, err := execute("get", "dep", "--redis", addr, "--cacert", filepath.Join(dir, "key.pem")); exitCode(err) != exitUsage {
		t.Errorf("a file without certificates: %v", err)
	}
}

func TestConnection_colocation(t *testing.T) {
	onServers(t, func(t *testing.T, s server) {
		s.must(t, "trip", "dep", "--create", "--colocation", "orders")
		if n := s.rdb.Exists(ctx, s.namespace+":{orders}:dep").Val(); n != 1 {
			t.Error("the record is not under the tag")
		}
		if _, err := s.run("get", "dep"); exitCode(err) != exitAbsent {
			t.Errorf("without the tag: %v", err)
		}
	})
}

func serverAt(s *redistest.Server, namespace string) server {
	return server{s.Addr(), namespace, s.Client()}
}

// freePort returns a port on which nothing listens at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// writeCertificate writes a certificate for loopback and its key into dir, and returns
// the certificate's path.
func writeCertificate(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redbreaker test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("key.pem", "PRIVATE KEY", secret)
	return write("cert.pem", "CERTIFICATE", der)
}
