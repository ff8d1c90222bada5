package livepage

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
)

// history makes samples that end at now, one each step, oldest first.
func history(now time.Time, values []float64, series int) []sample {
	list := make([]sample, len(values))
	for i, v := range values {
		list[i].at = now.Add(-time.Duration(len(values)-1-i) * step)
		for k := range list[i].values {
			list[i].values[k] = math.NaN()
		}
		list[i].values[series] = v
	}
	return list
}

// moment is the end of a bucket's first half: two samples fall into each bucket.
func moment() time.Time { return time.Unix(1700000000, 0).Truncate(bucket).Add(step) }

func plotByID(t *testing.T, list []sample, now time.Time, id string) drawing {
	t.Helper()
	for _, d := range draw(list, now) {
		if d.ID == id {
			return d
		}
	}
	t.Fatalf("no plot %s", id)
	return drawing{}
}

func TestUnknownIsAGapInTheLine(t *testing.T) {
	nan := math.NaN()
	now := moment()
	d := plotByID(t, history(now, []float64{10, 10, 20, 20, nan, nan, 30, 30}, cache), now, "cache")
	lines := regexp.MustCompile(`class="line a" d="([^"]*)"`).FindStringSubmatch(string(d.SVG))
	if lines == nil {
		t.Fatalf("no line in %s", d.SVG)
	}
	if got := regexp.MustCompile(`[0-9. ]+`).ReplaceAllString(lines[1], ""); got != "MLMh" {
		t.Errorf("got the path %s, want a line of two points, a gap, and a dot", lines[1])
	}
	if d.Lines[0].Now != "30"+space+"%" || d.Lines[0].Peak != "30"+space+"%" {
		t.Errorf("got now %q and highest %q, want 30 %%", d.Lines[0].Now, d.Lines[0].Peak)
	}
}

func TestNothingKnownIsNoLine(t *testing.T) {
	for _, list := range [][]sample{nil, history(moment(), []float64{math.NaN()}, cache)} {
		for _, d := range draw(list, moment()) {
			if strings.Contains(string(d.SVG), "<path") || d.Lines[0].Now != unknown {
				t.Errorf("%s: got %q and %s, want no line and –", d.ID, d.Lines[0].Now, d.SVG)
			}
		}
	}
}

func TestAnOldSampleIsNotNow(t *testing.T) {
	now := moment()
	d := plotByID(t, history(now.Add(-time.Minute), []float64{50}, cache), now, "cache")
	if d.Lines[0].Now != unknown || d.Lines[0].Peak != "50"+space+"%" {
		t.Errorf("got now %q and highest %q, want – and 50 %%", d.Lines[0].Now, d.Lines[0].Peak)
	}
}

func TestFindingsAreBands(t *testing.T) {
	now := moment()
	d := plotByID(t, history(now, []float64{0, 0, 1, 1, 2, 2, 0, 0, 1, 1}, findings), now, "queue")
	bands := regexp.MustCompile(`class="band" x="([0-9.]+)" y="8" width="([0-9.]+)"`).FindAllStringSubmatch(string(d.SVG), -1)
	if len(bands) != 2 || bands[0][2] != "2.4" || bands[1][2] != "1.2" {
		t.Errorf("got %v, want a band of two buckets and one of one", bands)
	}
}

func TestALineKeepsItsShapeAsTimePasses(t *testing.T) {
	start := moment()
	values := make([]float64, 400)
	for i := range values {
		values[i] = float64(i * 7919 % 101)
	}
	heights := func(now time.Time, n int) string {
		points := line{series: cache}.points(history(now, values[:n], cache), now.Truncate(bucket).Add(bucket))
		var b strings.Builder
		for _, v := range points[50:200] {
			b.WriteString(number(v) + " ")
		}
		return b.String()
	}
	first, later := heights(start, 398), heights(start.Add(bucket), 400)
	if _, shifted, _ := strings.Cut(first, " "); !strings.HasPrefix(later, shifted) {
		t.Errorf("after one bucket the line is not the same one moved:\n%s\n%s", first, later)
	}
}

func TestEveryDrawingIsWellFormed(t *testing.T) {
	now := moment()
	for _, v := range []float64{0, 1e-9, 0.001, 1, 99.9, 1e6, 1e18, math.Inf(1), -5, math.NaN()} {
		list := history(now, []float64{v, v, v, v}, cache)
		for i := range list {
			for k := range list[i].values {
				list[i].values[k] = v
			}
		}
		for _, d := range draw(list, now) {
			decoder := xml.NewDecoder(strings.NewReader(string(d.SVG)))
			for {
				_, err := decoder.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s of %v: %v", d.ID, v, err)
				}
			}
			if strings.Contains(string(d.SVG), "NaN") || strings.Contains(string(d.SVG), "Inf") {
				t.Errorf("%s of %v has a number that is none: %s", d.ID, v, d.SVG)
			}
		}
	}
}

func TestAxesAreRound(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 1: 1, 1.1: 2, 3: 4, 5: 6, 7: 8, 9: 10, 412: 600, 0.03: 0.04, 1e6: 1e6, math.Inf(1): 1} {
		if got := round(v); math.Abs(got-want) > want*1e-9 {
			t.Errorf("%v: got %v, want %v", v, got, want)
		}
	}
	for _, c := range []struct{ low, high, from, to float64 }{
		{math.NaN(), math.NaN(), -2, 1}, {0.02, 0.3, -2, 0}, {0.05, 0.06, -2, 0}, {1e-9, 1e9, -4, 5}, {0.1, 100, -1, 2}, {5, 0, -2, 1},
	} {
		if from, to := decades(c.low, c.high); from != c.from || to != c.to {
			t.Errorf("%v to %v: got 10^%v to 10^%v, want 10^%v to 10^%v", c.low, c.high, from, to, c.from, c.to)
		}
	}
}

func TestNumbersReadLikeNumbers(t *testing.T) {
	plain := func(s string) string { return strings.ReplaceAll(s, space, " ") }
	for v, want := range map[float64]string{
		0: "0 s", 0.00042: "0.4 ms", 0.084: "84 ms", 0.9996: "1.00 s", 1.238: "1.24 s", 12.38: "12.4 s", 59.96: "1 min 00 s", 190: "3 min 10 s",
		7500: "2 h 05 min", 273600: "3 d 4 h", -1.5: "-1.50 s", math.NaN(): "–",
	} {
		if got := plain(seconds(v)); got != want {
			t.Errorf("seconds %v: got %q, want %q", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0 s", 9990 * time.Millisecond: "9.9 s", 10 * time.Second: "10 s", 59900 * time.Millisecond: "59 s", time.Hour: "1 h 00 min",
	} {
		if got := plain(clock(d)); got != want {
			t.Errorf("clock %v: got %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "just now", 12 * time.Second: "12 s ago", 200 * time.Second: "3 min ago", 3 * time.Hour: "3 h ago", 80 * time.Hour: "3 d ago",
	} {
		if got := plain(ago(d)); got != want {
			t.Errorf("ago %v: got %q, want %q", d, got, want)
		}
	}
	for v, want := range map[float64]string{
		0: "0", 0.25: "0.25", 4.25: "4.2", 412.4: "412", 12345: "12,345", -1234567: "-1,234,567", 1e20: "1e+20", math.NaN(): "–",
	} {
		if got := number(v); got != want {
			t.Errorf("number %v: got %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{512: "512 MiB", 71822: "70.1 GiB", math.NaN(): "–"} {
		if got := plain(mebibytes(v)); got != want {
			t.Errorf("mebibytes %v: got %q, want %q", v, got, want)
		}
	}
}
