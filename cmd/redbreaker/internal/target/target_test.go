package target

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

func TestParse_server(t *testing.T) {
	for _, tt := range []struct {
		text, addr, user, password string
		db                         int
		tls                        bool
	}{
		{"10.0.0.1:7000", "10.0.0.1:7000", "", "", 0, false},
		{"cache", "cache:6379", "", "", 0, false},
		{"redis://ann:s3cret@cache/2", "cache:6379", "ann", "s3cret", 2, false},
		{"rediss://cache:6380", "cache:6380", "", "", 0, true},
		{"unix:///run/redis.sock", "/run/redis.sock", "", "", 0, false},
		{"redis://[::1]:7000", "[::1]:7000", "", "", 0, false},
	} {
		target, err := Parse(tt.text, Settings{})
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		client := target.Client()
		defer client.Close()
		o := client.(*redis.Client).Options()
		if o.Addr != tt.addr || o.Username != tt.user || o.Password != tt.password || o.DB != tt.db || (o.TLSConfig != nil) != tt.tls {
			t.Errorf("%s: %+v", tt.text, o)
		}
		if target.String() != tt.addr {
			t.Errorf("%s is shown as %s", tt.text, target)
		}
		if !o.ContextTimeoutEnabled {
			t.Errorf("%s: the client ignores a context's deadline", tt.text)
		}
	}
}

func TestParse_cluster(t *testing.T) {
	for _, text := range []string{
		"redis://ann:secret@a:7000?addr=b:7001&addr=c:7002",
		"redis://ann:secret@a:7000,b:7001,c:7002",
		"redis://ann:secret@a:7000,b:7001,c:7002/0?max_redirects=1",
	} {
		target, err := Parse(text, Settings{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		client := target.Client()
		defer client.Close()
		o := client.(*redis.ClusterClient).Options()
		if len(o.Addrs) != 3 || o.Username != "ann" || o.Password != "secret" || !o.ContextTimeoutEnabled || o.TLSConfig != nil {
			t.Errorf("%s: %+v", text, o)
		}
		if got, want := target.String(), "a:7000, b:7001, c:7002"; got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
	target, err := Parse("rediss://a,b:7001,[::1]", Settings{User: "ann", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if o := target.cluster; target.String() != "a:6379, b:7001, [::1]:6379" || o.TLSConfig == nil || o.TLSConfig.ServerName != "" || o.Username != "ann" || o.Password != "secret" {
		t.Errorf("%s: %+v", target, o)
	}
}

func TestParse_sentinels(t *testing.T) {
	target, err := Parse("redis+sentinel://ann:secret@a:1,b/shop/2?sentinel_username=s&sentinel_password=p", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	o := target.sentinel
	if o.MasterName != "shop" || len(o.SentinelAddrs) != 2 || o.SentinelAddrs[1] != "b:26379" || o.DB != 2 ||
		o.Username != "ann" || o.Password != "secret" || o.SentinelUsername != "s" || o.SentinelPassword != "p" || o.TLSConfig != nil {
		t.Errorf("%+v", o)
	}
	if got, want := target.String(), "shop of a:1, b:26379"; got != want {
		t.Errorf("it is shown as %s, want %s", got, want)
	}
	target, err = Parse("rediss+sentinel://a", Settings{})
	if err != nil || target.sentinel.MasterName != "mymaster" || target.sentinel.TLSConfig == nil {
		t.Errorf("%v, %+v", err, target.sentinel)
	}
	for _, text := range []string{"redis+sentinel://a/shop/zero", "http+sentinel://a", "redis+sentinel://a/shop?colour=red"} {
		if _, err := Parse(text, Settings{}); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestParse_tls(t *testing.T) {
	for _, tt := range []struct {
		text string
		s    Settings
		tls  bool
	}{
		{"a", Settings{}, false},
		{"a", Settings{TLS: true}, true},
		{"rediss://a", Settings{}, true},
		{"a,b", Settings{TLS: true}, true},
		{"redis+sentinel://a", Settings{TLS: true}, true},
	} {
		target, err := Parse(tt.text, tt.s)
		if err != nil || (target.tlsConfig() != nil) != tt.tls {
			t.Errorf("%s, %+v: TLS %v, %v; want %v", tt.text, tt.s, target.tlsConfig() != nil, err, tt.tls)
		}
	}
}

// miniredis says that it is a single server; a server that does not answer HELLO
// counts as one.
func TestResolve(t *testing.T) {
	m := miniredis.RunT(t)
	for _, query := range []string{"", "?protocol=2"} {
		target, err := Parse("redis://"+m.Addr()+query, Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := target.Resolve(t.Context()); err != nil || got.single == nil {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	for mode, check := range map[string]func(Target, error) bool{
		"standalone": func(got Target, err error) bool { return err == nil && got.single != nil },
		"cluster":    func(got Target, err error) bool { return err == nil && got.String() == m.Addr() && got.cluster != nil },
		"sentinel":   func(_ Target, err error) bool { return err != nil },
		"":           func(got Target, err error) bool { return err == nil && got.single != nil },
	} {
		m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
			if cmd != "HELLO" || len(args) > 1 || c.ClientName != "" {
				return false
			}
			c.WriteMapLen(1)
			c.WriteBulk("mode")
			c.WriteBulk(mode)
			return true
		})
		target, err := Parse(m.Addr(), Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := target.Resolve(t.Context()); !check(got, err) {
			t.Errorf("mode %q: %+v, %v", mode, got, err)
		}
	}
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if cmd == "HELLO" {
			c.WriteError("ERR unknown command 'HELLO'")
		}
		return cmd == "HELLO"
	})
	old, _ := Parse(m.Addr(), Settings{})
	if got, err := old.Resolve(t.Context()); err != nil || got.single == nil {
		t.Errorf("without HELLO: %+v, %v", got, err)
	}
	gone, _ := Parse("127.0.0.1:1", Settings{})
	if _, err := gone.Resolve(t.Context()); err == nil {
		t.Error("a server that is down is resolved")
	}
}

// A password that breaks the URL does not get into the error.
func TestParse_errors(t *testing.T) {
	const advice = "; use host:port, or a URL such as redis://user:password@host:6379/0"
	const unreadable = "the address of the Redis: it is not a valid URL (write special characters of a password as %XX)" + advice
	for text, want := range map[string]string{
		"":                              "the address of the Redis is empty; use host:port or a URL such as redis://host:6379",
		"http://x":                      "the address of the Redis: invalid URL scheme: http" + advice,
		"http://x?addr=y":               "the address of the Redis: invalid URL scheme: http" + advice,
		"redis://x/zero":                `the address of the Redis: invalid database number: "zero"` + advice,
		"redis://x?colour=red":          "the address of the Redis: unexpected option: colour" + advice,
		"redis://ann:hun#ter@x":         unreadable,
		"redis://ann:12/hunter@x:6379/": unreadable,
		"redis://x:port":                unreadable,
	} {
		if _, err := Parse(text, Settings{}); err == nil || err.Error() != want {
			t.Errorf("%s: got\n%v\nwant\n%s", text, err, want)
		}
	}
}

func TestTarget_none(t *testing.T) {
	if got := (Target{}).String(); got != "no server" {
		t.Errorf("it is shown as %s", got)
	}
}
