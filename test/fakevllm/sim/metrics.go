package sim

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// exposition writes the text format as Python's client library does, _created lines included.
type exposition struct {
	bytes.Buffer
}

func (x *exposition) head(name, help, kind string) {
	x.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
}

// row writes one sample. labels are what stands between the braces; "" is no braces.
func (x *exposition) row(name, labels string, value float64) {
	x.WriteString(name)
	if labels != "" {
		x.WriteString("{" + labels + "}")
	}
	x.WriteString(" " + sample(value) + "\n")
}

// sample formats a value as Python's client library does: like Go's in exponents, like Python in the rest.
func sample(v float64) string {
	s := pythonFloat(v)
	if dot := strings.IndexByte(s, '.'); v > 0 && dot > 6 {
		mantissa := strings.TrimRight(s[:1]+"."+s[1:dot]+s[dot+1:], "0.")
		return mantissa + "e+0" + strconv.Itoa(dot-1)
	}
	return s
}

// series is one set of labels with its value.
type series struct {
	labels string
	value  float64
}

// counter writes a counter; name has no _total.
func (x *exposition) counter(name, help string, created float64, rows ...series) {
	x.head(name+"_total", help, "counter")
	for _, r := range rows {
		x.row(name+"_total", r.labels, r.value)
	}
	x.created(name, help, created, rows)
}

// created writes when each series began, which Python's client library does as a gauge of its own.
func (x *exposition) created(name, help string, at float64, rows []series) {
	if len(rows) == 0 {
		return
	}
	x.head(name+"_created", help, "gauge")
	for _, r := range rows {
		x.row(name+"_created", r.labels, at)
	}
}

func (x *exposition) gauge(name, help string, rows ...series) {
	x.head(name, help, "gauge")
	for _, r := range rows {
		x.row(name, r.labels, r.value)
	}
}

// distribution is one set of labels with its histogram. le stands in alphabetical order among the labels.
type distribution struct {
	before, after string
	h             *histogram
}

func (d distribution) labels(le string) string {
	var parts []string
	for _, part := range []string{d.before, le, d.after} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ",")
}

func (x *exposition) histogram(name, help string, created float64, rows ...distribution) {
	x.head(name, help, "histogram")
	var all []series
	for _, r := range rows {
		n := 0.0
		for i, count := range r.h.counts {
			n += count
			le := "+Inf"
			if i < len(r.h.bounds) {
				le = sample(r.h.bounds[i])
			}
			x.row(name+"_bucket", r.labels(`le="`+le+`"`), n)
		}
		x.row(name+"_count", r.labels(""), n)
		x.row(name+"_sum", r.labels(""), r.h.sum)
		all = append(all, series{labels: r.labels("")})
	}
	x.created(name, help, created, all)
}

// summary writes a summary without quantiles.
func (x *exposition) summary(name, help string, created float64, counts, sums []series) {
	x.head(name, help, "summary")
	for i := range counts {
		x.row(name+"_count", counts[i].labels, counts[i].value)
		x.row(name+"_sum", sums[i].labels, sums[i].value)
	}
	x.created(name, help, created, counts)
}

// label writes a label as the text format wants it.
func label(name, value string) string {
	return name + `="` + strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(value) + `"`
}

func (e *Engine) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	body := e.Metrics()
	w.Header().Set("Content-Type", e.cfg.Metrics.contentType())
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // the client may have left
}

// Metrics returns what GET /metrics answers.
func (e *Engine) Metrics() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := &exposition{}
	e.writeProcess(x)
	e.writeEngine(x)
	e.writeRequests(x)
	e.writeHTTP(x)
	return e.cfg.Metrics.translate(x.Bytes())
}
