package cluster

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// names draws names as bad as they come: any bytes, of which many mean
// something to the encoding, and now and then too many of them.
func names() *rapid.Generator[string] {
	tricky := rapid.SampledFrom([]byte("{}%#:/ab7B\x00\n \xff"))
	return rapid.OneOf(
		rapid.StringN(1, -1, -1),
		rapid.Map(rapid.SliceOfN(tricky, 1, 8), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 600), func(b []byte) string { return string(b) }),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat("a", rapid.IntRange(500, 520).Draw(t, "n")) + string(tricky.Draw(t, "end"))
		}),
	)
}

func TestKey_injective(t *testing.T) {
	k := keysOf(t, "shop")
	rapid.Check(t, func(t *rapid.T) {
		a, b := names().Draw(t, "a"), names().Draw(t, "b")
		if (keyOf(t, k, a) == keyOf(t, k, b)) != (a == b) {
			t.Errorf("both names have the key %q", keyOf(t, k, a))
		}
	})
}

// One edit is the hardest to tell apart.
func TestKey_injectiveNearby(t *testing.T) {
	k := keysOf(t, "shop")
	rapid.Check(t, func(t *rapid.T) {
		a := names().Draw(t, "a")
		at := rapid.IntRange(0, len(a)-1).Draw(t, "at")
		edits := map[string]string{
			"encoded":  encodeName(a),
			"doubled":  a[:at] + a[at:at+1] + a[at:],
			"replaced": a[:at] + string([]byte{rapid.Byte().Draw(t, "byte")}) + a[at+1:],
		}
		for edit, b := range edits {
			if a != b && keyOf(t, k, a) == keyOf(t, k, b) {
				t.Errorf("%q, %s as %q, keeps its key", a, edit, b)
			}
		}
	})
}

func TestKey_namespacesAreDisjoint(t *testing.T) {
	namespace := rapid.StringMatching(`[a%:]{1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := keysOf(t, namespace.Draw(t, "a")), keysOf(t, namespace.Draw(t, "b"))
		together, err := b.Colocate(names().Draw(t, "tag"))
		if err != nil {
			t.Fatal(err)
		}
		key := keyOf(t, a, names().Draw(t, "name"))
		if _, ok := b.Name(key); ok && a != b {
			t.Errorf("%q is a key of both %q and %q", key, a.namespace, b.namespace)
		}
		if name, ok := together.Name(key); ok {
			t.Errorf("%q is colocated %q as well", key, name)
		}
	})
}

// allowed is every form a key of the namespace shop has.
var allowed = regexp.MustCompile(`^shop:\{(([-A-Za-z0-9._~:/@+=,]|%[0-9A-F]{2})+|([-A-Za-z0-9._~:/@+=,]|%[0-9A-F]{2})*#[0-9a-f]{64})\}$`)

func FuzzKey(f *testing.F) {
	for _, name := range []string{
		"payments", "{", "}", "}a", "a}b", "{}", "", "\n", "\r\n", "\x00", "\xff", "100%", "%7B", "#", "pаyments",
		strings.Repeat("a", 512), strings.Repeat("a", 513), strings.Repeat("{", 2000),
	} {
		f.Add(name)
	}
	k := keysOf(f, "shop")
	f.Fuzz(func(t *testing.T, name string) {
		key, err := k.Key(name)
		if name == "" {
			if err == nil {
				t.Fatalf("the empty name has the key %q", key)
			}
			return
		}
		if err != nil || !allowed.MatchString(key) || len(key) > len("shop:{}")+maxEncoded {
			t.Fatalf("Key(%q) = %q, %v", name, key, err)
		}
		tag := strings.TrimSuffix(strings.TrimPrefix(key, "shop:{"), "}")
		if Slot(key) != crc16(tag)%Slots {
			t.Errorf("%q is not in the slot of its tag", key)
		}
		// A name in full has no digest mark, and comes back.
		decoded, ok := k.Name(key)
		if ok == strings.Contains(tag, digestMark) || ok && decoded != name {
			t.Errorf("Name(%q) = %q, %v; want %q", key, decoded, ok, name)
		}
	})
}

// Whatever is under the namespace, Name takes it only if Key made it.
func FuzzName(f *testing.F) {
	for _, key := range []string{"shop:{payments}", "shop:{%7B}", "shop:{%7b}", "shop:{}", "shop:{a}b}", "shop:{a#b}", "shop:events"} {
		f.Add(key)
	}
	k := keysOf(f, "shop")
	f.Fuzz(func(t *testing.T, key string) {
		if name, ok := k.Name(key); ok && keyOf(t, k, name) != key {
			t.Errorf("Name(%q) = %q, whose key is %q", key, name, keyOf(t, k, name))
		}
	})
}
