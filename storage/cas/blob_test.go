package cas_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/redbreaker/redbreaker/engine"
	"github.com/redbreaker/redbreaker/storage/cas"
)

// The format of a blob in a store, on which releases must agree.
func TestBlob_format(t *testing.T) {
	got := string(cas.Encode([]engine.Field{
		{Name: "head", Value: "1 closed auto"},
		{Name: `a b\c`, Value: "line\nbreak \\ backslash"},
		{Name: "empty"},
	}))
	want := "head 1 closed auto\n" + `a\sb\\c line\nbreak \\ backslash` + "\nempty \n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Whatever a store returns reads as something, and what was read is written and
// read again as the same.
func FuzzBlob(f *testing.F) {
	for _, seed := range []string{
		"", "head", "head 2 x", "x y\n", "head 1 closed auto\nlater\\s1 a\\nb\\\\c \\x\n\n head\n",
		"head 1 open auto epoch=5 policy=abcdef01 since=1 until=2 open_for=1 trips=1 n=1\ntally epoch=0\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		r, err := cas.Decode(blob)
		if err != nil {
			if !errors.Is(err, engine.ErrForeignKey) && !errors.Is(err, engine.ErrNewerLayout) {
				t.Fatalf("%q: %v", blob, err)
			}
			return
		}
		once := cas.Encode(r.Fields())
		again, err := cas.Decode(once)
		if err != nil {
			t.Fatalf("%q: %v", once, err)
		}
		if diff := cmp.Diff(r.Fields(), again.Fields()); diff != "" {
			t.Fatalf("%q:\n%s", blob, diff)
		}
		if twice := cas.Encode(again.Fields()); !bytes.Equal(once, twice) {
			t.Fatalf("%q\n%q", once, twice)
		}
	})
}
