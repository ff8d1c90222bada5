package livepage

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// The measures of a plot, in units of its viewBox.
const (
	plotWidth, plotHeight = 320.0, 108.0
	plotLeft, plotRight   = 40.0, 314.0
	plotTop, plotBottom   = 8.0, 90.0
)

// bucket is the width of one point of a line. It divides the clock, so that a line moves as a whole
// and does not change its shape from one drawing to the next.
const bucket = 4 * time.Second

// scale is how a plot's values become heights.
type scale int

const (
	linear  scale = iota // from 0 to a round number above the largest value
	hundred              // from 0 to 100
	log                  // in powers of ten, for times
)

// plot is one diagram of the history.
type plot struct {
	id, title string
	note      string // what it counts, in a few words
	scale     scale
	least     float64 // the top of a linear scale is at least this
	write     func(float64) string
	tick      func(float64) string // writes the labels of the vertical axis
	lines     []line
}

// line is one series of a plot. The first is drawn with its area.
type line struct {
	series int
	name   string
	mean   bool // points are means of their samples, not the largest
	class  string
}

// plots are the diagrams, in the order of the page.
var plots = []plot{
	{
		id: "tokens", title: "Output tokens", note: "per second", least: 10, write: perSecond, tick: number,
		lines: []line{{engineRate, "engine", true, "a"}, {hereRate, "through here", true, "b"}},
	},
	{
		id: "ttft", title: "Time to first token", note: "of the last 10 s", scale: log, write: seconds, tick: power,
		lines: []line{{firstMedian, "median", false, "a"}, {firstSlowest, "slowest", false, "b"}},
	},
	{
		id: "gaps", title: "Token gaps", note: "streams", scale: log, write: seconds, tick: power,
		lines: []line{{gapTypical, "median gap", false, "a"}, {silenceLongest, "longest silence", false, "b"}},
	},
	{
		id: "queue", title: "Queue", note: "requests in the engine", least: 4, write: number, tick: number,
		lines: []line{{running, "running", false, "a"}, {waiting, "waiting", false, "b"}},
	},
	{
		id: "cache", title: "KV cache", note: "fullest rank", scale: hundred, write: percent, tick: percent,
		lines: []line{{cache, "used", false, "a"}},
	},
	{
		id: "gpu", title: "GPU", note: "all GPUs", scale: hundred, write: percent, tick: percent,
		lines: []line{{gpuBusy, "busy, mean", true, "a"}, {gpuMemory, "memory, fullest", false, "b"}},
	},
	{
		id: "ended", title: "Ended", note: "requests in the last minute", least: 4, write: number, tick: number,
		lines: []line{{completed, "completed", false, "a"}, {failed, "failed", false, "c"}},
	},
}

// power writes a power of ten of a second: 10 ms, 100 s.
func power(v float64) string {
	if v < 1 {
		return number(v*1000) + space + "ms"
	}
	return number(v) + space + "s"
}

func perSecond(v float64) string {
	if math.IsNaN(v) {
		return unknown
	}
	return number(v) + space + "/s"
}

// drawing is a plot as the page shows it.
type drawing struct {
	ID, Title, Note string
	Label           string // the whole in words
	SVG             template.HTML
	Lines           []lineNow
}

// lineNow is a line's place in the legend.
type lineNow struct {
	Name, Now, Peak string
	Series          string
	Class           string
}

// draw makes the drawings of all plots from the samples, oldest first.
func draw(list []sample, now time.Time) []drawing {
	end := now.Truncate(bucket).Add(bucket)
	drawings := make([]drawing, len(plots))
	for i := range plots {
		drawings[i] = plots[i].draw(list, now, end)
	}
	return drawings
}

func (p *plot) draw(list []sample, now, end time.Time) drawing {
	d := drawing{ID: p.id, Title: p.title, Note: p.note, Label: p.title + ", " + p.note + ", over the last 15 minutes."}
	points := make([][]float64, len(p.lines))
	low, high := math.NaN(), math.NaN()
	for i, l := range p.lines {
		points[i] = l.points(list, end)
		peak := math.NaN()
		for _, v := range points[i] {
			if !math.IsNaN(v) {
				peak = fmax(peak, v)
			}
			if v > 0 && (math.IsNaN(low) || v < low) {
				low = v
			}
		}
		high = fmax(high, peak)
		n := lineNow{Name: l.name, Now: unknown, Peak: p.write(peak), Class: l.class, Series: seriesNames[l.series]}
		if len(list) > 0 && now.Sub(list[len(list)-1].at) <= 3*step {
			n.Now = p.write(list[len(list)-1].known(l.series))
		}
		d.Label += fmt.Sprintf(" %s: now %s, highest %s.", l.name, n.Now, n.Peak)
		d.Lines = append(d.Lines, n)
	}
	a := p.axis(low, high)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s" tabindex="0" data-end="%d">`,
		plotWidth, plotHeight, template.HTMLEscapeString(d.Label), end.UnixMilli())
	bands(&b, list, end)
	a.grid(&b)
	for i := len(points) - 1; i >= 0; i-- { // the first lies on top
		trace(&b, points[i], a, p.lines[i].class, i == 0 && p.scale != log)
	}
	b.WriteString(`<line class="cross" x1="-9" x2="-9" y1="8" y2="90"/></svg>`)
	d.SVG = template.HTML(b.String()) //nolint:gosec // numbers, constants and an escaped label
	return d
}

// points returns a line's points, one for each bucket of the quarter of an hour before end.
func (l line) points(list []sample, end time.Time) []float64 {
	n := int(span / bucket)
	points, counts := make([]float64, n), make([]int, n)
	for i := range points {
		points[i] = math.NaN()
	}
	for i := range list {
		k := n - 1 - int((end.Sub(list[i].at)-1)/bucket) // a bucket has its beginning and not its end
		v := list[i].known(l.series)
		if k < 0 || k >= n || math.IsNaN(v) {
			continue
		}
		counts[k]++
		switch {
		case counts[k] == 1:
			points[k] = v
		case l.mean:
			points[k] += (v - points[k]) / float64(counts[k])
		default:
			points[k] = max(points[k], v)
		}
	}
	return points
}

// across returns the place of the middle of bucket k.
func across(k float64) float64 {
	return plotLeft + (k+0.5)*(plotRight-plotLeft)/float64(span/bucket)
}

// bands marks the times at which there were findings.
func bands(b *strings.Builder, list []sample, end time.Time) {
	marks := line{series: findings}.points(list, end)
	for k := 0; k < len(marks); k++ {
		from := k
		for k < len(marks) && marks[k] > 0 {
			k++
		}
		if k > from {
			x := across(float64(from) - 0.5)
			fmt.Fprintf(b, `<rect class="band" x="%.1f" y="%g" width="%.1f" height="%g"/>`, x, plotTop, across(float64(k)-0.5)-x, plotBottom-plotTop)
		}
	}
}

// trace draws one line. Where a point is unknown the line has a gap.
func trace(b *strings.Builder, points []float64, a axis, class string, area bool) {
	var path, fill strings.Builder
	for k := 0; k < len(points); {
		if math.IsNaN(points[k]) {
			k++
			continue
		}
		from := k
		for ; k < len(points) && !math.IsNaN(points[k]); k++ {
			command := byte('L')
			if k == from {
				command = 'M'
			}
			vertex(&path, command, across(float64(k)), a.height(points[k]))
			if k == from {
				vertex(&fill, 'M', across(float64(k)), plotBottom)
			}
			vertex(&fill, 'L', across(float64(k)), a.height(points[k]))
		}
		if k == from+1 {
			path.WriteString("h0") // a point alone is a dot
		}
		vertex(&fill, 'L', across(float64(k-1)), plotBottom)
		fill.WriteByte('Z')
	}
	if path.Len() == 0 {
		return
	}
	if area {
		fmt.Fprintf(b, `<path class="area %s" d="%s"/>`, class, fill.String())
	}
	fmt.Fprintf(b, `<path class="line %s" d="%s"/>`, class, path.String())
}

func vertex(b *strings.Builder, command byte, x, y float64) {
	b.WriteByte(command)
	b.WriteString(strconv.FormatFloat(x, 'f', 1, 64))
	b.WriteByte(' ')
	b.WriteString(strconv.FormatFloat(y, 'f', 1, 64))
}
