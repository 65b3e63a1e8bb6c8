package target

import (
	"testing"

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
		target, err := Parse(tt.text)
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
			t.Errorf("%s: the client does not keep to a context's deadline", tt.text)
		}
	}
}

func TestParse_cluster(t *testing.T) {
	target, err := Parse("redis://:secret@a:7000?addr=b:7001&addr=c:7002")
	if err != nil {
		t.Fatal(err)
	}
	client := target.Client()
	defer client.Close()
	o := client.(*redis.ClusterClient).Options()
	if len(o.Addrs) != 3 || o.Password != "secret" || !o.ContextTimeoutEnabled {
		t.Errorf("%+v", o)
	}
	if got, want := target.String(), "a:7000, b:7001, c:7002"; got != want {
		t.Errorf("it is shown as %s, want %s", got, want)
	}
}

// A password that breaks the URL does not get into the error.
func TestParse_errors(t *testing.T) {
	const advice = "; give host:port or a URL such as redis://user:password@host:6379/0"
	const unreadable = "the address of the Redis: it does not read as a URL (in a password, write special characters as %XX)" + advice
	for text, want := range map[string]string{
		"":                              "the address of the Redis is empty, give host:port or a URL such as redis://host:6379",
		"http://x":                      "the address of the Redis: invalid URL scheme: http" + advice,
		"http://x?addr=y":               "the address of the Redis: invalid URL scheme: http" + advice,
		"redis://x/zero":                `the address of the Redis: invalid database number: "zero"` + advice,
		"redis://x?colour=red":          "the address of the Redis: unexpected option: colour" + advice,
		"redis://ann:hun#ter@x":         unreadable,
		"redis://ann:12/hunter@x:6379/": unreadable,
		"redis://x:port":                unreadable,
	} {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%s: got\n%v\nwant\n%s", text, err, want)
		}
	}
}

func TestTarget_none(t *testing.T) {
	if got := (Target{}).String(); got != "no server" {
		t.Errorf("it is shown as %s", got)
	}
}
