package main

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart plots a quantity by goroutines, both on logarithmic scales.
type chart struct {
	file, title, quantity string
	query, unit           string // of a benchmark, without the parts that differ by line
	goroutines            []string
	lines                 []axis
	legendAbove           bool // above the plot, where no line runs
}

var allCharts = []chart{
	{
		file: "bench/charts/peers.svg", title: "A call that succeeds, one breaker in process", quantity: "time of a call",
		query: "peers Peers/path=success", unit: "ns/op", goroutines: []string{"1", "8", "64"}, legendAbove: true,
		lines: []axis{
			{label: "redbreaker, consecutive", parts: "/breaker=redbreaker/rule=consecutive"},
			{label: "redbreaker, time window", parts: "/breaker=redbreaker/rule=time"},
			{label: "go-resiliency (counts nothing)", parts: "/breaker=go-resiliency/rule=consecutive"},
			{label: "mercari, time window", parts: "/breaker=mercari/rule=time"},
			{label: "failsafe-go, time window", parts: "/breaker=failsafe-go/rule=time"},
			{label: "bytedance, time window", parts: "/breaker=bytedance/rule=time"},
			{label: "gobreaker, time window", parts: "/breaker=gobreaker/rule=time"},
			{label: "go-zero", parts: "/breaker=go-zero/rule=time"},
		},
	},
	{
		file: "bench/charts/decisions.svg", title: "Decisions a second, one process, calls that succeed", quantity: "decisions a second",
		query: "contention ", unit: "decisions/s", goroutines: []string{"1", "8", "64", "256", "1024"},
		lines: []axis{
			{label: "redbreaker, one breaker", parts: "Contention/storage=redis/path=success/breakers=1"},
			{label: "redbreaker, 100 breakers", parts: "Contention/storage=redis/path=success/breakers=100"},
			{label: "one EVALSHA a decision", parts: "RoundTrip/storage=redis/do=evalsha/breakers=1"},
		},
	},
}

// drawCharts returns the charts of the results.
func (r *results) drawCharts() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, c := range allCharts {
		svg, err := r.drawChart(c)
		if err != nil {
			return nil, err
		}
		files[c.file] = svg
	}
	return files, nil
}

func (r *results) drawChart(c chart) ([]byte, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, "goroutines", c.quantity
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.Y.Tick.Marker = ticks(c.unit)
	p.Legend.Top, p.Legend.Left = true, true
	var counts plot.ConstantTicks
	for _, n := range c.goroutines {
		counts = append(counts, plot.Tick{Value: parseDigits(n), Label: n})
	}
	p.X.Tick.Marker = counts
	p.Add(plotter.NewGrid())
	p.X.Min, p.X.Max = parseDigits(c.goroutines[0]), parseDigits(c.goroutines[len(c.goroutines)-1])
	for i, line := range c.lines {
		points, err := r.linePoints(c, line)
		if err != nil {
			return nil, err
		}
		if len(points) == 0 {
			continue // the page's tables report the missing results
		}
		if err := addLine(p, i, line.label, points); err != nil {
			return nil, err
		}
	}
	roundToDecades(&p.Y)
	if c.legendAbove {
		p.Y.Max *= 10
	}
	return encodeSVG(p)
}

// roundToDecades makes an axis begin and end with a power of ten.
func roundToDecades(a *plot.Axis) {
	if a.Min > a.Max { // no line has a point
		a.Min, a.Max = 1, 1
	}
	a.Min = math.Pow(10, math.Floor(math.Log10(a.Min)))
	a.Max = max(10*a.Min, math.Pow(10, math.Ceil(math.Log10(a.Max))))
}

// ticks labels powers of ten in a unit.
type ticks string

// Ticks implements plot.Ticker.
func (unit ticks) Ticks(low, high float64) []plot.Tick {
	list := plot.LogTicks{}.Ticks(low, high)
	for i := range list {
		if list[i].Label != "" {
			list[i].Label = formatQuantity(list[i].Value, string(unit))
		}
	}
	return list
}

// linePoints are the medians of one line.
func (r *results) linePoints(c chart, line axis) (points plotter.XYs, err error) {
	for _, n := range c.goroutines {
		f, err := r.findFigure(c.query + line.parts + "/goroutines=" + n + " " + c.unit)
		if errors.Is(err, errNotMeasured) {
			continue
		}
		if err != nil {
			return nil, err
		}
		points = append(points, plotter.XY{X: parseDigits(n), Y: f.summarize().Center})
	}
	return points, nil
}

func addLine(p *plot.Plot, i int, label string, points plotter.XYs) error {
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Dashes, line.Width = plotutil.Color(i), plotutil.Dashes(i/len(plotutil.DefaultColors)), vg.Points(1.5)
	dots.Color, dots.Shape = line.Color, plotutil.Shape(i)
	p.Add(line, dots)
	p.Legend.Add(label, line, dots)
	return nil
}

// encodeSVG draws on a white background, since the page may be dark.
func encodeSVG(p *plot.Plot) ([]byte, error) {
	canvas := vgsvg.NewWith(vgsvg.UseWH(20*vg.Centimeter, 12*vg.Centimeter))
	p.Draw(draw.New(canvas))
	var text bytes.Buffer
	_, err := canvas.WriteTo(&text)
	return text.Bytes(), err
}

func parseDigits(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64) // of digits in this file
	return f
}
