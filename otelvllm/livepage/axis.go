package livepage

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// axis is the vertical axis of a plot.
type axis struct {
	low, high float64 // of a logarithmic axis, powers of ten
	log       bool
	ticks     []float64
	write     func(float64) string
}

// axis chooses the range that holds the values from low to high, which are NaN if there are none.
func (p *plot) axis(low, high float64) axis {
	a := axis{write: p.tick}
	switch p.scale {
	case hundred:
		a.high, a.ticks = 100, []float64{0, 50, 100}
	case log:
		a.log = true
		a.low, a.high = decades(low, high)
		every := 1 + int(a.high-a.low-1)/4 // five ticks at most
		for e := a.low; e <= a.high; e += float64(every) {
			a.ticks = append(a.ticks, math.Pow(10, e))
		}
	default:
		a.high = round(fmax(high, p.least))
		a.ticks = []float64{0, a.high / 2, a.high}
	}
	return a
}

// decades returns the powers of ten around times in seconds: two at least, between 0.1 ms and a day.
func decades(low, high float64) (from, to float64) {
	if math.IsNaN(low) || math.IsNaN(high) || high <= 0 {
		return -2, 1
	}
	from, to = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	from = min(max(from, -4), 3)
	to = min(max(to, from+2), 5)
	return from, to
}

// round returns the round number (1, 2, 4, 6 or 8 times a power of ten) at or above v.
func round(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 6, 8} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// height returns where a value lies, within the plot also if the value does not.
func (a *axis) height(v float64) float64 {
	if a.log {
		v = math.Log10(max(v, 1e-9))
	}
	share := (v - a.low) / (a.high - a.low)
	return plotBottom - min(max(share, 0), 1)*(plotBottom-plotTop)
}

// grid draws the lines and the labels of both axes.
func (a *axis) grid(b *strings.Builder) {
	for _, v := range a.ticks {
		y := a.height(v)
		fmt.Fprintf(b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="y" x="%g" y="%.1f">%s</text>`,
			plotLeft, plotRight, y, y, plotLeft-5, y+3.5, template.HTMLEscapeString(a.write(v)))
	}
	for _, t := range timeLabels {
		x := plotRight - (plotRight-plotLeft)*t.minutes/span.Minutes()
		fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%g">%s</text>`, t.class, x, plotHeight-4, t.text)
	}
}

// timeLabels are the labels of the horizontal axis.
var timeLabels = []struct {
	minutes     float64
	text, class string
}{{15, "−15 min", "x first"}, {10, "−10", "x"}, {5, "−5", "x"}, {0, "now", "x last"}}
