package browser

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/redbreaker/redbreaker/panel"
)

var pictures = flag.String("pictures", "", "a folder to write screenshots into, such as ../../docs")

// TestPictures draws the pages in light and dark, on a wide and a narrow screen.
func TestPictures(t *testing.T) {
	folder := *pictures
	if folder == "" {
		folder = t.TempDir()
	}
	f := newFleet(t)
	f.fillFleet(60)
	b := openPanel(t, f, panel.Options{Title: "shop", Actor: actorAnn})
	for _, p := range []struct {
		name, path, scheme string
		width, height      int64
	}{
		{"list", "/", "light", 1280, 900},
		{"list-narrow", "/", "dark", 400, 800},
		{"breaker", "/breakers/search", "dark", 1280, 1000},
		{"confirm", "/breakers/payments~2Feu/force-open", "light", 400, 640},
	} {
		b.show(p.width, p.height, p.scheme)
		b.open(p.path)
		b.waitFor(`document.querySelector("[data-live]") === null || document.getElementById("live").className === "live on"`)
		picture := shrinkPicture(t, b.picture())
		if len(picture) < 2000 || len(picture) > 100_000 {
			t.Errorf("the picture of %s has %d bytes", p.path, len(picture))
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("panel-%s.png", p.name)), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// shrinkPicture reduces a screenshot to its 256 most frequent colors, which are nearly
// all that a page of text has.
func shrinkPicture(t *testing.T, data []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	box := full.Bounds()
	counts := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(full.At(x, y)).(color.RGBA) }
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	var all []color.RGBA
	for c := range counts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int { return counts[b] - counts[a] })
	var palette color.Palette
	for _, c := range all[:min(len(all), 256)] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	small := image.NewPaletted(box, palette)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			c := at(x, y)
			if _, isKnown := nearest[c]; !isKnown {
				nearest[c] = uint8(palette.Index(c))
			}
			small.SetColorIndex(x, y, nearest[c])
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, small); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
