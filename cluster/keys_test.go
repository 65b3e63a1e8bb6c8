package cluster

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redbreaker/redbreaker/engine"
)

// The keys of Ping are no breaker's, and spread unless the breakers are colocated.
func TestPingKeys(t *testing.T) {
	spread, err := New("shop")
	if err != nil {
		t.Fatal(err)
	}
	together, err := spread.Colocate("tag")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys  Keys
		first string
		slots int
	}{{spread, "shop:{#ping}", 100}, {together, "shop:{tag}:#ping", 1}} {
		slots := map[uint16]bool{}
		first := ""
		for key := range c.keys.PingKeys() {
			if first == "" {
				first = key
			}
			if _, _, ok := c.keys.IndexMember(key); ok {
				t.Errorf("%s may be a breaker's", key)
			}
			if slots[Slot(key)] = true; len(slots) == 100 {
				break
			}
		}
		if first != c.first || len(slots) != c.slots {
			t.Errorf("%d slots from %s on, want %d from %s on", len(slots), first, c.slots, c.first)
		}
	}
}

func TestKey_forms(t *testing.T) {
	for _, test := range []struct{ namespace, name, want string }{
		{"redbreaker", "payments", "redbreaker:{payments}"},
		{"team:shop", "payments", "team:shop:{payments}"},
		{"shop", "GET /orders", "shop:{GET%20/orders}"},
		{"shop", "https://api.example:8080/v1", "shop:{https://api.example:8080/v1}"},
		{"shop", "eu-west_1.db~2@host", "shop:{eu-west_1.db~2@host}"},
		{"shop", "a+b=c,d", "shop:{a+b=c,d}"},
		{"shop", "100%", "shop:{100%25}"},
		{"shop", "%7B", "shop:{%257B}"},
		{"shop", "{", "shop:{%7B}"},
		{"shop", "}", "shop:{%7D}"},
		{"shop", "{}", "shop:{%7B%7D}"},
		{"shop", "}a", "shop:{%7Da}"},
		{"shop", "a}b", "shop:{a%7Db}"},
		{"shop", "shop:{a}", "shop:{shop:%7Ba%7D}"},
		{"shop", "\n", "shop:{%0A}"},
		{"shop", "\r\n", "shop:{%0D%0A}"},
		{"shop", "\x00", "shop:{%00}"},
		{"shop", "\xff\xfe", "shop:{%FF%FE}"},
		{"shop", "zahlung-ü", "shop:{zahlung-%C3%BC}"},
		{"shop", "pаyments", "shop:{p%D0%B0yments}"}, // the a is Cyrillic
		{"shop", " ", "shop:{%20}"},
		{"shop", "*?[]^\\", "shop:{%2A%3F%5B%5D%5E%5C}"},
		{"shop", `"';$&|<>` + "`", "shop:{%22%27%3B%24%26%7C%3C%3E%60}"},
		{"shop", "a#b", "shop:{a%23b}"},
	} {
		k := keysOf(t, test.namespace)
		got, err := k.Key(test.name)
		if err != nil || got != test.want {
			t.Errorf("Key(%q) = %q, %v; want %q", test.name, got, err, test.want)
		}
		if name, ok := k.Name(got); !ok || name != test.name {
			t.Errorf("Name(%q) = %q, %v; want %q", got, name, ok, test.name)
		}
	}
}

// The longest name that is written in full, and the shortest that is not.
func TestKey_longNames(t *testing.T) {
	k := keysOf(t, "shop")
	for _, test := range []struct {
		name, want string
		inverse    bool
	}{
		{strings.Repeat("a", 512), strings.Repeat("a", 512), true},
		{strings.Repeat("a", 513), strings.Repeat("a", 64) + "#02425c0f5b0dabf3d2b9115f3f7723a02ad8bcfb1534a0d231614fd42b8188f6", false},
		{strings.Repeat("\x00", 170), strings.Repeat("%00", 170), true}, // 510 bytes
		// An escape is never split: 21 of them are 63 bytes.
		{strings.Repeat("\x00", 171), strings.Repeat("%00", 21) + "#41c77c1739e8ed68f37930c031f36cba4618b62ac737e92584490a5df9fd10d4", false},
	} {
		key, err := k.Key(test.name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("shop:{"+test.want+"}", key); diff != "" {
			t.Errorf("key of %d bytes (-want +got):\n%s", len(test.name), diff)
		}
		if name, ok := k.Name(key); ok != test.inverse || ok && name != test.name {
			t.Errorf("Name of %d bytes = %.20q, %v; want %v", len(test.name), name, ok, test.inverse)
		}
	}
}

func TestKey_digestIsNoName(t *testing.T) {
	k := keysOf(t, "shop")
	long := keyOf(t, k, strings.Repeat("a", 1<<20))
	if len(long) > 200 {
		t.Errorf("the key of a name of 1 MB has %d bytes", len(long))
	}
	// The name that looks like the encoding of another gets a key of its own.
	looksLike := strings.TrimSuffix(strings.TrimPrefix(long, "shop:{"), "}")
	if key := keyOf(t, k, looksLike); key == long {
		t.Errorf("%q has the key of another name", looksLike)
	}
	// Names that differ in the last byte only do as well.
	if key := keyOf(t, k, strings.Repeat("a", 1<<20-1)+"b"); key == long {
		t.Error("two long names share a key")
	}
}

func TestKey_emptyName(t *testing.T) {
	_, err := keysOf(t, "shop").Key("")
	invalid(t, err, "redbreaker: the name is empty, name the breaker after what it protects: invalid argument")
}

func TestNew_badNamespaces(t *testing.T) {
	_, err := New("")
	invalid(t, err, "redbreaker: the namespace is empty, give one such as shop: invalid argument")
	for namespace, quoted := range map[string]string{
		"{":                        `"{"`,
		"}":                        `"}"`,
		"shop:{a}":                 `"shop:{a}"`,
		"my shop":                  `"my shop"`,
		"shop\n":                   `"shop\n"`,
		"shop\t":                   `"shop\t"`,
		"\x00":                     `"\x00"`,
		"shop\u00a0":               `"shop\u00a0"`,
		"shop\u2028":               `"shop\u2028"`,
		"shop\u200b":               `"shop\u200b"`,
		"\xff":                     `"\xff"`,
		strings.Repeat("{", 1<<20): `"` + strings.Repeat("{", 64) + `"`,
	} {
		_, err := New(namespace)
		invalid(t, err, "redbreaker: namespace "+quoted+": use printable characters other than braces and spaces: invalid argument")
	}
}

func TestNew_goodNamespaces(t *testing.T) {
	for _, namespace := range []string{"redbreaker", ":", "team:shop:", "a", "größe", "%7B", "shop#1"} {
		k, err := New(namespace)
		if err != nil {
			t.Errorf("New(%q): %v", namespace, err)
			continue
		}
		if got, want := keyOf(t, k, "a"), namespace+":{a}"; got != want {
			t.Errorf("key %q, want %q", got, want)
		}
	}
}

func TestName_notOurs(t *testing.T) {
	k := keysOf(t, "shop")
	for _, key := range []string{
		"", "shop", "shop:", "shop:{", "shop:{}", "shop:a", "shop:{a", "shop:a}", "other:{a}",
		"shop:{a}b", "shop:{a}}", "shop:{{a}", "shop:{a b}", "shop:{a\n}",
		"shop:{%7b}", // lower case
		"shop:{%61}", // an escape that is not needed
		"shop:{%}", "shop:{%2}", "shop:{%zz}",
		"shop:{a#b}",
		"shop:{" + strings.Repeat("a", 513) + "}", // its key is a digest
		"shop:events",
	} {
		if name, ok := k.Name(key); ok {
			t.Errorf("Name(%q) = %q", key, name)
		}
	}
}

func TestChannel(t *testing.T) {
	k := keysOf(t, "team:shop")
	if got, want := k.Channel(), "team:shop:events"; got != want {
		t.Errorf("Channel = %q, want %q", got, want)
	}
	together, err := k.Colocate("a:{b}")
	if err != nil {
		t.Fatal(err)
	}
	// As the scripts derive it from the key.
	for _, k := range []Keys{k, together} {
		before, _, _ := strings.Cut(keyOf(t, k, "x:{y}"), ":{")
		if got := before + ":events"; got != k.Channel() {
			t.Errorf("the scripts would publish on %q, not %q", got, k.Channel())
		}
	}
}

func TestColocate(t *testing.T) {
	k := keysOf(t, "shop")
	together, err := k.Colocate("all {of} them")
	if err != nil {
		t.Fatal(err)
	}
	want := "shop:{all%20%7Bof%7D%20them}:"
	for name, encoded := range map[string]string{"payments": "payments", "{a}": "%7Ba%7D"} {
		key := keyOf(t, together, name)
		if key != want+encoded {
			t.Errorf("key %q, want %q", key, want+encoded)
		}
		if Slot(key) != Slot("all%20%7Bof%7D%20them") {
			t.Errorf("%q is in slot %d", key, Slot(key))
		}
		if got, ok := together.Name(key); !ok || got != name {
			t.Errorf("Name(%q) = %q, %v", key, got, ok)
		}
		if got, ok := k.Name(key); ok {
			t.Errorf("without colocation, Name(%q) = %q", key, got)
		}
	}
	// Colocating again replaces the tag.
	again, err := together.Colocate("b")
	if err != nil || keyOf(t, again, "a") != "shop:{b}:a" {
		t.Errorf("%q, %v", keyOf(t, again, "a"), err)
	}
}

func TestColocate_emptyTag(t *testing.T) {
	_, err := keysOf(t, "shop").Colocate("")
	invalid(t, err, "redbreaker: the colocation tag is empty, give one or leave colocation out: invalid argument")
}

// ---- helpers ----

func keysOf(t rapid.TB, namespace string) Keys {
	t.Helper()
	k, err := New(namespace)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func keyOf(t rapid.TB, k Keys, name string) string {
	t.Helper()
	key, err := k.Key(name)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func invalid(t *testing.T, err error, want string) {
	t.Helper()
	if !errors.Is(err, engine.ErrInvalid) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
