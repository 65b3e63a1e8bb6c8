package browser

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redbreaker/redbreaker/panel"
)

var pictures = flag.String("pictures", "", "a folder to write screenshots into")

// TestPictures draws the pages in light and dark, on a wide and a narrow screen.
func TestPictures(t *testing.T) {
	folder := *pictures
	if folder == "" {
		folder = t.TempDir()
	}
	f := newFleet(t)
	f.fillFleet(60)
	b := openPanel(t, f, panel.Options{Title: "shop", Actor: actorAnn})
	for _, p := range []struct{ name, path string }{
		{"list", "/"}, {"breaker", "/breakers/payments~2Feu"}, {"probing", "/breakers/search"},
		{"confirm", "/breakers/payments~2Feu/force-open"},
	} {
		for _, scheme := range []string{"light", "dark"} {
			for _, size := range [][2]int64{{1280, 900}, {400, 800}} {
				b.show(size[0], size[1], scheme)
				b.open(p.path)
				b.waitFor(`document.querySelector("[data-live]") === null || document.getElementById("live").className === "live on"`)
				png := b.picture()
				if len(png) < 5000 {
					t.Errorf("the picture of %s has %d bytes", p.path, len(png))
				}
				name := fmt.Sprintf("panel-%s-%s-%d.png", p.name, scheme, size[0])
				if err := os.WriteFile(filepath.Join(folder, name), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
