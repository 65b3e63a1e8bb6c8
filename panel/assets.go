package panel

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
)

//go:embed assets templates
var files embed.FS

// assetVersion is a sum of all assets. It is part of their URLs, so a browser may keep
// them, and gets others from another release.
var assetVersion = sumAssets()

func sumAssets() string {
	sum := sha256.New()
	entries, _ := fs.ReadDir(files, "assets")
	for _, e := range entries {
		data, _ := fs.ReadFile(files, "assets/"+e.Name())
		sum.Write(data)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// pages are the templates of the pages, each with the layout.
var pages = parsePages("list", "breaker", "confirm", "fault")

func parsePages(names ...string) map[string]*template.Template {
	all := map[string]*template.Template{}
	for _, name := range names {
		all[name] = template.Must(template.New(name+".html").ParseFS(files, "templates/layout.html", "templates/"+name+".html"))
	}
	return all
}

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// serveAsset serves a file of this release. Another version is not found: a cache must
// not keep the file of one release under the URL of another.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	data, err := fs.ReadFile(files, path.Join("assets", path.Base(r.PathValue("file"))))
	if err != nil || r.PathValue("version") != assetVersion {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetTypes[path.Ext(r.PathValue("file"))])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data)
}
