package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const transcript = `4 replicas, one breaker
state: embedded

  0.00s  breaker     -         > closed     created       replica-1
  1.00s  calls       200 admitted, 0 rejected
  4.00s  dependency  failing
  4.05s  breaker     closed    > open       consecutive   replica-4   streak=5

How the dependency was spared

calls                          healthy   failing

- While it failed, 23 of 1799 calls reached the dependency.
- One log: these transitions:

     0.00s  -         > closed     created       replica-1

Verdict: all promises kept.
`

func TestDrawPicture(t *testing.T) {
	var picture bytes.Buffer
	if err := drawPicture(strings.NewReader(transcript), &picture); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"#e6edf3 $ redbreaker demo",
		"#7ee787   0.00s  breaker     -         > closed     created       replica-1",
		"#8b949e   1.00s  calls       200 admitted, 0 rejected",
		"#ff7b72   4.00s  dependency  failing",
		"#ff7b72   4.05s  breaker     closed    > open       consecutive   replica-4   streak=5",
		"#e6edf3 ",
		"#e6edf3 - While it failed, 23 of 1799 calls reached the dependency.",
		"#e6edf3 Verdict: all promises kept.",
	}
	if diff := cmp.Diff(want, textsOf(t, &picture)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// textsOf returns color and text of each line of a picture.
func textsOf(t *testing.T, picture io.Reader) []string {
	t.Helper()
	var texts []string
	inText := false
	decoder := xml.NewDecoder(picture)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			if inText = x.Name.Local == "text"; inText {
				texts = append(texts, x.Attr[2].Value+" ")
			}
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				texts[len(texts)-1] += string(x)
			}
		}
	}
}

func TestDrawPicture_nothing(t *testing.T) {
	if err := drawPicture(strings.NewReader("no events\n"), io.Discard); err == nil {
		t.Error("drew a picture of nothing")
	}
}

// TestPicture checks the committed picture: it shows an outage from its beginning to
// its end.
func TestPicture(t *testing.T) {
	picture, err := os.ReadFile("../../docs/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(textsOf(t, bytes.NewReader(picture)), "\n")
	for _, want := range []string{"$ redbreaker demo", "dependency  failing", "consecutive", "> half_open", "recovered", "reached the dependency"} {
		if !strings.Contains(all, want) {
			t.Errorf("the picture does not show %q, run make demo-picture", want)
		}
	}
}
