package servers

import (
	"crypto/tls"
	"net"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TLS starts a server that accepts only TLS, with the certificate server.crt and the
// key server.key of dir. Its clients use the configuration trust.
func TLS(t testing.TB, dir string, trust *tls.Config) *Node {
	t.Helper()
	from := serverSource(t)
	if from == fromAddress {
		Skip(t, "a server that takes TLS does not come from an address: unset "+envSource+" or "+envAddr)
	}
	port := strconv.Itoa(freePort(t))
	at := func(dir string) []string {
		return []string{
			"--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
			"--tls-cert-file", dir + "/server.crt", "--tls-key-file", dir + "/server.key", "--tls-ca-cert-file", dir + "/server.crt",
		}
	}
	n := &Node{t: t}
	if from == fromDocker {
		n.machine = startContainer(t, mustImage(t), at("/tls"), copyFiles(dir, "/tls", "server.crt", "server.key")...)
	} else {
		n.machine = startProcess(t, at(dir))
	}
	n.machine = moved{n.machine, net.JoinHostPort("127.0.0.1", port)}
	n.ctl = redis.NewClient(&redis.Options{Addr: n.machine.Addr(), TLSConfig: trust})
	t.Cleanup(func() { _ = n.ctl.Close() })
	t.Logf("server: %s, TLS only", n.Version())
	return n
}

// moved is a server whose clients connect to another port than it was started with.
type moved struct {
	machine
	addr string
}

func (m moved) Addr() string { return m.addr }
