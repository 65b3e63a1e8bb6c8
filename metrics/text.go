package metrics

import (
	"io"
	"slices"
	"strconv"
	"strings"
)

// TextContentType is the Content-Type of what [WriteText] writes.
const TextContentType = "text/plain; version=0.0.4; charset=utf-8"

// WriteText writes samples in the text format of Prometheus, for a program that serves
// few metrics and needs no client library. It writes the instruments in the order of
// the lists, and the samples of each in their order. It returns the error of w.
func WriteText(w io.Writer, samples []Sample) error {
	var text strings.Builder
	for _, i := range slices.Concat(Instruments(), FleetInstruments()) {
		writeInstrument(&text, i, samples)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func writeInstrument(out *strings.Builder, i *Instrument, samples []Sample) {
	name, hasHead := i.PrometheusName(), false
	for _, s := range samples {
		if s.Instrument != i {
			continue
		}
		if !hasHead {
			hasHead = true
			out.WriteString("# HELP " + name + " " + helpEscaper.Replace(i.Description) + "\n# TYPE " + name + " " + i.prometheusType() + "\n")
		}
		out.WriteString(name)
		writeLabels(out, &s)
		out.WriteString(" " + strconv.FormatFloat(s.Value, 'g', -1, 64) + "\n")
	}
}

func (i *Instrument) prometheusType() string {
	if i.Kind == Counter {
		return "counter"
	}
	return "gauge"
}

var (
	helpEscaper  = strings.NewReplacer("\\", `\\`, "\n", `\n`)
	labelEscaper = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\"", `\"`)
)

// writeLabels writes labels in the order of their names, as client libraries do. An
// absent label is an empty one, which is the same to Prometheus.
func writeLabels(out *strings.Builder, s *Sample) {
	var labels []string
	for n, value := range s.Values {
		value = labelEscaper.Replace(strings.ToValidUTF8(value, "\ufffd"))
		labels = append(labels, PrometheusLabel(s.Instrument.Attributes[n])+`="`+value+`"`)
	}
	if len(labels) > 0 {
		slices.Sort(labels)
		out.WriteString("{" + strings.Join(labels, ",") + "}")
	}
}
