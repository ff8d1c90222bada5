package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// unknown stands where an engine does not tell a number, which is another thing than zero.
const unknown = "-"

// Colours of a terminal.
const (
	red    = "31;1"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

// plainName names the columns where there is no table.
var plainName = map[string]string{
	"RUN": "running", "WAIT": "waiting", "SWAP": "swapped", "KV CACHE": "kv_cache", "IN tok/s": "prompt_tokens_per_second",
	"OUT tok/s": "output_tokens_per_second", "NOTE": "note", "VLLM": "vllm", "MODELS": "models",
}

func (v view) paint(color, text string) string {
	if !v.color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func colorOf(s engine.State) string {
	switch s {
	case engine.Up:
		return green
	case engine.Down, engine.Wedged:
		return red
	case engine.Loading, engine.Asleep:
		return yellow
	}
	return dim
}

// state says what an engine can do and for how long it has been so.
func state(e *engine.Status) string {
	if e.Since.IsZero() {
		return string(e.State)
	}
	return string(e.State) + " " + age(time.Since(e.Since))
}

// note says what a reader must know to believe the numbers beside it.
func note(e *engine.Status) string {
	var notes []string
	add := func(is bool, text string) {
		if is {
			notes = append(notes, text)
		}
	}
	add(e.Err != "", e.Err)
	add(e.Snapshot == nil && e.Age >= 0, "last reading "+age(e.Age)+" ago")
	add(e.Snapshot != nil && e.Err != "", "numbers "+age(e.Age)+" old")
	add(e.Snapshot != nil && len(e.Snapshot.Ranks) == 0, "no statistics")
	add(len(e.FrozenRanks) > 0 && e.State == engine.Up, "rank "+strings.Join(e.FrozenRanks[:min(len(e.FrozenRanks), 8)], "+")+" stands still")
	add(e.Mixed, "several engines behind it")
	add(e.Slow, "answers slowly")
	add(e.Resets > 0, fmt.Sprintf("restarts: %d", e.Resets))
	return clean(strings.Join(notes, ", "))
}

func models(e *engine.Status) []string {
	if len(e.Models) == 0 && e.Snapshot != nil && e.Snapshot.Model != "" {
		return []string{e.Snapshot.Model}
	}
	return e.Models
}

func promptTokens(r *engine.Rank) engine.Value     { return r.PromptTokens }
func generationTokens(r *engine.Rank) engine.Value { return r.GenerationTokens }

// rate is by how much a counter grew each second between the last two readings.
func rate(e *engine.Status, of func(*engine.Rank) engine.Value) engine.Value {
	if e.Snapshot == nil || e.Before == nil || e.Mixed {
		return engine.Value{}
	}
	now, before := e.Snapshot.Sum(of), e.Before.Sum(of)
	took := e.Snapshot.Taken.Sub(e.Before.Taken).Seconds()
	if !now.Known || !before.Known || now.V < before.V || took <= 0 {
		return engine.Value{}
	}
	return engine.Value{V: (now.V - before.V) / took, Known: true}
}

func number(v engine.Value) string {
	switch {
	case !v.Known || math.IsNaN(v.V) || math.IsInf(v.V, 0):
		return unknown
	case v.V != math.Trunc(v.V) && math.Abs(v.V) < 10:
		return fmt.Sprintf("%.1f", v.V)
	}
	return fmt.Sprintf("%.0f", v.V)
}

// seconds writes a latency with as many digits as it is good for.
func seconds(v engine.Value) string {
	switch {
	case !v.Known || math.IsNaN(v.V):
		return unknown
	case v.V < 0.01:
		return fmt.Sprintf("%.1f ms", v.V*1000)
	case v.V < 1:
		return fmt.Sprintf("%.0f ms", v.V*1000)
	}
	return fmt.Sprintf("%.1f s", v.V)
}

// age writes a time as a person would say it: 42s, 3m10s, 2h05m.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// clean takes out what a terminal would obey: names and versions are an engine's own words.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// wrap breaks a text into lines of at most width characters, between words.
func wrap(text, first, rest string, width int) (lines []string) {
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return append(lines, line)
}

// clip cuts a line to width characters; colours take none.
func clip(line string, width int) string {
	n, escape := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case n == width-1 && visible(line[i:]) > 1:
			tail := "…"
			if strings.Contains(line[:i], "\x1b") {
				tail += "\x1b[0m"
			}
			return line[:i] + tail
		default:
			n++
		}
	}
	return line
}

// visible counts the characters of a line that a terminal shows.
func visible(line string) (n int) {
	escape := false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}

// plain writes a cell of the table as the value of key=value.
func plain(cell string) string {
	text := strings.NewReplacer(" %", "%", ", ", ",").Replace(strings.TrimSpace(cell))
	if strings.ContainsAny(text, " \"=") {
		return strconv.Quote(text)
	}
	return text
}

// where names the engine of a finding.
func where(f *watchdog.Finding) string {
	if f.Engine == nil {
		return "host"
	}
	return clean(*f.Engine)
}

// without returns the findings that others does not have.
func without(findings, others []watchdog.Finding) (rest []watchdog.Finding) {
	for i := range findings {
		f := &findings[i]
		if !slices.ContainsFunc(others, func(o watchdog.Finding) bool { return o.Code == f.Code && where(&o) == where(f) }) {
			rest = append(rest, *f)
		}
	}
	return rest
}
