package servers

import (
	"context"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy is a faulty network in front of one server: toxiproxy as a library.
type Proxy struct {
	t testing.TB
	p *toxiproxy.Proxy
}

// newProxy starts a proxy in front of upstream; the test's end stops it.
func newProxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)
	mustSucceed(t, "start a proxy", p.Start())
	t.Cleanup(p.Stop)
	return &Proxy{t, p}
}

// Addr returns the address on which the proxy listens.
func (p *Proxy) Addr() string { return p.p.Listen }

// Blackhole drops data in both directions; connections stay open.
func (p *Proxy) Blackhole() {
	p.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		p.addToxic(`{"name":"` + stream + `","type":"timeout","stream":"` + stream + `","attributes":{"timeout":0}}`)
	}
}

// Heal ends the fault. Connections that lost data are closed.
func (p *Proxy) Heal() {
	p.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		mustSucceed(p.t, "heal a partition", p.p.Toxics.RemoveToxic(context.Background(), stream))
	}
}

func (p *Proxy) addToxic(toxic string) {
	p.t.Helper()
	_, err := p.p.Toxics.AddToxicJson(strings.NewReader(toxic))
	mustSucceed(p.t, "add a fault", err)
}
