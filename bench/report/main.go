// Command report writes bench/README.md, its charts, and the performance section of
// the project's README from the raw output of benchmarks under bench/results.
// bench/report.sh makes the measurements and runs it.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	root := flag.String("root", "../..", "the project's `directory`")
	flag.Parse()
	files, err := generateFiles(*root)
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(*root, name), text); err != nil {
			log.Fatal(err)
		}
	}
}

func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// generateFiles returns the generated files of the project at a path, by name.
func generateFiles(root string) (map[string][]byte, error) {
	r, err := readResults(filepath.Join(root, "bench/results"))
	if err != nil {
		return nil, err
	}
	files, err := r.drawCharts()
	if err != nil {
		return nil, err
	}
	if files["bench/README.md"], err = r.renderPage(); err != nil {
		return nil, err
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return nil, err
	}
	files["README.md"], err = r.renderHeadline(readme)
	return files, err
}
