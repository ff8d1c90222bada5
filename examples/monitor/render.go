package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// view is how a shot is drawn: within a width, in characters, and with colours or without.
type view struct {
	width int
	color bool
}

// frame draws a shot as lines.
func (v view) frame(s *shot) []string {
	lines := v.table(s.stats.Engines)
	lines = append(lines, "")
	lines = append(lines, v.latencies(s.latencies)...)
	lines = append(lines, "")
	if len(s.stats.Findings) == 0 {
		lines = append(lines, v.paint(dim, "no findings"))
	}
	for i := range s.stats.Findings {
		lines = append(lines, v.finding(&s.stats.Findings[i], s.stats.Timestamp)...)
	}
	for i := range lines {
		lines[i] = clip(lines[i], v.width)
	}
	return lines
}

// column is one of the table of engines.
type column struct {
	title string
	left  bool // else the cells stand to the right, as numbers do
	cell  func(e *engine.Status) string
}

func (v view) columns() []column {
	rank := func(of func(r *engine.Rank) engine.Value) func(e *engine.Status) string {
		return func(e *engine.Status) string { return number(e.Snapshot.Sum(of)) }
	}
	cols := []column{
		{"ENGINE", true, func(e *engine.Status) string { return clean(e.Address) }},
		{"STATE", true, func(e *engine.Status) string { return state(e) }},
		{"RUN", false, rank(func(r *engine.Rank) engine.Value { return r.Running })},
		{"WAIT", false, rank(func(r *engine.Rank) engine.Value { return r.Waiting })},
		{"SWAP", false, rank(func(r *engine.Rank) engine.Value { return r.Swapped })},
		{"KV CACHE", false, func(e *engine.Status) string { return v.cache(e) }},
		{"IN tok/s", false, func(e *engine.Status) string { return number(rate(e, promptTokens)) }},
		{"OUT tok/s", false, func(e *engine.Status) string { return number(rate(e, generationTokens)) }},
		{"NOTE", true, note},
		{"VLLM", true, func(e *engine.Status) string { return clean(e.Version) }},
		{"MODELS", true, func(e *engine.Status) string { return clean(strings.Join(models(e), ", ")) }},
	}
	return cols
}

// table draws a line for each engine. Columns about which no engine tells anything are left out.
func (v view) table(engines []engine.Status) []string {
	lines := make([]string, len(engines)+1)
	for _, c := range v.columns() {
		cells, told := []string{c.title}, false
		for i := range engines {
			text := c.cell(&engines[i])
			told = told || text != "" && (text != unknown || c.title != "SWAP")
			cells = append(cells, text)
		}
		if !told {
			continue
		}
		width := 0
		for _, text := range cells {
			width = max(width, utf8.RuneCountInString(text))
		}
		for i, text := range cells {
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(text))
			switch {
			case i == 0:
				text = v.paint(dim, text)
			case c.title == "STATE":
				text = v.paint(colorOf(engines[i-1].State), text)
			case c.title == "NOTE":
				text = v.paint(yellow, text)
			}
			if c.left {
				text += pad
			} else {
				text = pad + text
			}
			lines[i] += text + "  "
		}
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// cache draws how full the fullest rank's KV cache is.
func (v view) cache(e *engine.Status) string {
	kv := e.Snapshot.Worst(func(r *engine.Rank) engine.Value { return r.KVCache })
	if !kv.Known {
		return unknown
	}
	share := min(max(kv.V, 0), 1)
	text := fmt.Sprintf("%3.0f %%", share*100)
	if v.width < 110 {
		return text
	}
	full := int(share*10 + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", 10-full) + " " + text
}

// latencies draws the table of quantiles.
func (v view) latencies(list []latency) []string {
	if !slices.ContainsFunc(list, func(l latency) bool { return l.p50.Known }) {
		return []string{v.paint(dim, "no token in the last minute")}
	}
	lines := []string{v.paint(dim, fmt.Sprintf("%-15s %9s %9s %9s", "LAST MINUTE", "P50", "P95", "P99"))}
	for _, l := range list {
		lines = append(lines, fmt.Sprintf("%-15s %9s %9s %9s", l.short, seconds(l.p50), seconds(l.p95), seconds(l.p99)))
	}
	return lines
}

// finding draws what is wrong, then a line for each step of the remedy.
func (v view) finding(f *watchdog.Finding, now time.Time) []string {
	head := v.paint(red, string(f.Code)) + "  for " + age(now.Sub(f.Since))
	if f.Engine != nil {
		head += "  at " + clean(*f.Engine)
	}
	lines := append([]string{head}, wrap(clean(f.Summary), "  ", "  ", v.width)...)
	for step := range strings.SplitSeq(f.Remedy, "; ") {
		lines = append(lines, wrap(clean(step), "  → ", "    ", v.width)...)
	}
	return append(lines, "")
}

// screen returns what shows a shot in place, and what gives the terminal back with the last one.
func (p *program) screen(interval time.Duration) (show func(*shot), leave func()) {
	var last []string
	show = func(s *shot) {
		width, height, _ := p.size()
		v := view{width: width, color: p.color}
		last = append([]string{clip(v.title(s, interval), width), ""}, v.frame(s)...)
		shown := last
		if len(shown) >= height && height > 2 {
			more := fmt.Sprintf("… %d more lines: make the terminal higher", len(last)-height+2)
			shown = append(slices.Clone(shown[:height-2]), v.paint(dim, clip(more, width)))
		}
		var b bytes.Buffer
		b.WriteString("\x1b[H")
		for _, line := range shown {
			b.WriteString(line + "\x1b[K\r\n")
		}
		b.WriteString("\x1b[J")
		_, _ = p.out.Write(b.Bytes()) // a terminal that is gone ends the program by a signal
	}
	fmt.Fprint(p.out, "\x1b[?1049h\x1b[?25l") // another screen, without a cursor
	return show, func() {
		fmt.Fprintf(p.out, "\x1b[?25h\x1b[?1049l%s\n", strings.TrimRight(strings.Join(last, "\n"), "\n"))
	}
}

// title says how many engines are in which state.
func (v view) title(s *shot, interval time.Duration) string {
	counts := make(map[engine.State]int)
	for i := range s.stats.Engines {
		counts[s.stats.Engines[i].State]++
	}
	var states []string
	for _, st := range []engine.State{engine.Up, engine.Wedged, engine.Down, engine.Loading, engine.Asleep, engine.Unknown} {
		if n := counts[st]; n > 0 {
			states = append(states, v.paint(colorOf(st), fmt.Sprintf("%d %s", n, st)))
		}
	}
	return fmt.Sprintf("vLLM engines: %s   %s", strings.Join(states, ", "),
		v.paint(dim, fmt.Sprintf("every %s   %s   Ctrl-C ends", interval, s.stats.Timestamp.Local().Format(time.TimeOnly))))
}

// appendLines returns what prints a shot as lines of plain text, for a file or a pipe: one for each
// engine, one of latencies, and one for each finding that has come or gone.
func (p *program) appendLines() func(*shot) {
	var known []watchdog.Finding
	return func(s *shot) {
		var b bytes.Buffer
		at := s.stats.Timestamp.Format(time.RFC3339)
		for i := range s.stats.Engines {
			e := &s.stats.Engines[i]
			fmt.Fprintf(&b, "%s %s %s", at, clean(e.Address), e.State)
			for _, c := range (view{}).columns()[2:] {
				if text := c.cell(e); text != "" && text != unknown {
					fmt.Fprintf(&b, " %s=%s", plainName[c.title], plain(text))
				}
			}
			b.WriteByte('\n')
		}
		for _, l := range s.latencies {
			if l.p50.Known {
				fmt.Fprintf(&b, "%s last_minute %s p50=%.4gs p95=%.4gs p99=%.4gs\n", at, l.name, l.p50.V, l.p95.V, l.p99.V)
			}
		}
		for _, f := range without(s.stats.Findings, known) {
			fmt.Fprintf(&b, "%s finding %s %s: %s. Remedy: %s\n", at, where(&f), f.Code, clean(f.Summary), clean(f.Remedy))
		}
		for _, f := range without(known, s.stats.Findings) {
			fmt.Fprintf(&b, "%s cleared %s %s\n", at, where(&f), f.Code)
		}
		known = s.stats.Findings
		_, _ = p.out.Write(b.Bytes()) // a pipe that is gone ends the program by a signal
	}
}
