package cluster

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIndexKey(t *testing.T) {
	k := keysOf(t, "team:shop")
	together, err := k.Colocate("all")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		keys Keys
		part int
		want string
	}{
		{k, 0, "team:shop:{#index:0}"},
		{k, 15, "team:shop:{#index:f}"},
		{together, 0, "team:shop:{all}:#index:0"},
		{together, 10, "team:shop:{all}:#index:a"},
	} {
		if got := test.keys.IndexKey(test.part); got != test.want {
			t.Errorf("part %d: %q, want %q", test.part, got, test.want)
		}
		if name, ok := test.keys.Name(test.want); ok {
			t.Errorf("%q is the key of the breaker %q", test.want, name)
		}
		if member, _, ok := test.keys.IndexMember(test.want); ok {
			t.Errorf("%q is listed as %q", test.want, member)
		}
	}
}

// A key is found again from its member, and is in the part of its slot.
func TestIndexMember(t *testing.T) {
	k := keysOf(t, "shop")
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(t, "name"))
		key := keyOf(t, k, name)
		member, part, ok := k.IndexMember(key)
		if !ok || k.IndexedKey(member) != key || part != int(Slot(key))%IndexParts || len(member) > 512 {
			t.Fatalf("%q has the member %q in part %d (%v)", key, member, part, ok)
		}
	})
}

// The parts share the breakers of one slot, too.
func TestIndexMember_colocated(t *testing.T) {
	together, err := keysOf(t, "shop").Colocate("all")
	if err != nil {
		t.Fatal(err)
	}
	parts := map[int]int{}
	for i := range 1000 {
		key := keyOf(t, together, strings.Repeat("x", 1+i%7)+string(rune('a'+i%26))+string(rune('a'+i/26)))
		member, part, ok := together.IndexMember(key)
		if !ok || together.IndexedKey(member) != key {
			t.Fatalf("%q has the member %q (%v)", key, member, ok)
		}
		parts[part]++
	}
	if len(parts) != IndexParts {
		t.Errorf("1000 breakers are in %d parts, want %d", len(parts), IndexParts)
	}
}

func TestIndexMember_ofOtherKeys(t *testing.T) {
	k := keysOf(t, "shop")
	together, err := k.Colocate("all")
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("a1", 32)
	if member, _, ok := k.IndexMember("shop:{a%20b#" + digest + "}"); !ok || member != "a%20b#"+digest {
		t.Errorf("the member of a digest is %q (%v)", member, ok)
	}
	for _, key := range []string{"", "shop:{}", "shop:{#ping}", "shop:{#index:0}", "shop:{a}b", "other:{a}", "shop:{a b}", "shop:{all}:a",
		"shop:{%61}", "shop:{a%2f}", "shop:{a%}", "shop:{a%zz}", "shop:{" + strings.Repeat("a", maxEncoded+1) + "}",
		"shop:{#" + digest + "}", "shop:{a#}", "shop:{a#" + digest[1:] + "}", "shop:{a#" + strings.ToUpper(digest) + "}", "shop:{%61#" + digest + "}",
		"shop:{" + strings.Repeat("a", maxHead+1) + "#" + digest + "}"} {
		if member, _, ok := k.IndexMember(key); ok {
			t.Errorf("%q has the member %q", key, member)
		}
	}
	for _, key := range []string{"shop:{a}", "shop:{all}:", "shop:{all}:#index:0", "shop:{other}:a"} {
		if member, _, ok := together.IndexMember(key); ok {
			t.Errorf("colocated, %q has the member %q", key, member)
		}
	}
}
