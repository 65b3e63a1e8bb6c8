// Command demopicture draws the output of the demo as an SVG picture of a terminal:
//
//	go run ./cmd/redbreaker demo | go run ./internal/demopicture > docs/demo.svg
//
// It draws the events, one per line, and the verdict that follows the demo's table.
package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	if err := drawPicture(os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const (
	lineHeight = 18
	margin     = 16
	charWidth  = 7.85 // of the font at its size
	fontSize   = 13
)

// lineStyle is the color of lines that contain a text; the first that matches wins.
type lineStyle struct{ text, color string }

var lineStyles = []lineStyle{
	{"dependency  failing", "#ff7b72"},
	{"dependency  ", "#7ee787"},
	{"> open", "#ff7b72"},
	{"> half_open", "#e3b341"},
	{"> closed", "#7ee787"},
	{"  calls  ", "#8b949e"},
}

const plainColor = "#e6edf3"

func drawPicture(r io.Reader, w io.Writer) error {
	lines, err := readLines(r)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("the demo printed no events, want its output on standard input")
	}
	widest := 0
	for _, line := range lines {
		widest = max(widest, len([]rune(line)))
	}
	width, height := int(2*margin+charWidth*float64(widest)), 2*margin+lineHeight*len(lines)
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="redbreaker demo">
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="%d" xml:space="preserve">
`, width, height, width, height, fontSize)
	for i, line := range lines {
		fmt.Fprintf(out, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", margin, margin+lineHeight*i+fontSize, colorOf(line), escapeText(line))
	}
	fmt.Fprint(out, "</g>\n</svg>\n")
	return out.Flush()
}

// readLines keeps the command, the events and the verdict.
func readLines(r io.Reader) ([]string, error) {
	var events, verdict []string
	table := false
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		line := strings.TrimRight(scanner.Text(), " ")
		switch {
		case strings.HasPrefix(line, "How "):
			table = true
		case !table && isEvent(line):
			events = append(events, line)
		case table && strings.HasPrefix(line, "- ") && !strings.HasSuffix(line, ":"), strings.HasPrefix(line, "Verdict: "):
			verdict = append(verdict, line)
		}
	}
	if len(events) == 0 {
		return nil, scanner.Err()
	}
	lines := append([]string{"$ redbreaker demo"}, events...)
	if len(verdict) > 0 {
		lines = append(append(lines, ""), verdict...)
	}
	return lines, scanner.Err()
}

// isEvent reports whether a line begins with a time, such as "  4.05s  breaker".
func isEvent(line string) bool {
	fields := strings.Fields(line)
	var seconds float64
	if len(fields) < 3 {
		return false
	}
	n, err := fmt.Sscanf(fields[0], "%fs", &seconds)
	return n == 1 && err == nil
}

func colorOf(line string) string {
	for _, s := range lineStyles {
		if strings.Contains(line, s.text) {
			return s.color
		}
	}
	return plainColor
}

func escapeText(line string) string {
	var text strings.Builder
	if err := xml.EscapeText(&text, []byte(line)); err != nil {
		return ""
	}
	return text.String()
}
