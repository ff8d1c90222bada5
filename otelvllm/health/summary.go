package health

import (
	"fmt"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// maxStep bounds the first step of a remedy in a summary, in bytes.
const maxStep = 200

// Summary says in a sentence or two how things are. Where something is wrong it names the first
// finding, which is the root cause, and the first step of its remedy.
func (s Stats) Summary() string {
	if len(s.Findings) > 0 {
		return s.finding(&s.Findings[0])
	}
	text := s.engineText()
	if s.PendingTasks != nil {
		text += fmt.Sprintf(" %s in flight here", plural(*s.PendingTasks, "request"))
		if s.Findings != nil {
			text += ", none stalled"
		}
		text += "."
	}
	return text
}

// finding tells of what is wrong and what to do first.
func (s *Stats) finding(f *watchdog.Finding) string {
	text := string(f.Code)
	if !f.Since.IsZero() && s.Timestamp.After(f.Since) {
		text += " for " + duration(s.Timestamp.Sub(f.Since))
	}
	if f.Engine != nil {
		text += " at " + *f.Engine
	}
	if n := len(f.Requests); n > 0 {
		text += fmt.Sprintf(", %s held up", plural(int64(n), "request"))
	}
	text += ": " + sentence(f.Summary)
	if more := len(s.Findings) - 1; more > 0 {
		text += fmt.Sprintf(" (%d more.)", more)
	}
	if step := firstStep(f.Remedy); step != "" {
		text += " First step: " + sentence(step)
	}
	return text
}

// engineText tells how the engine is where nothing is wrong.
func (s *Stats) engineText() string {
	var b strings.Builder
	switch ready := s.EngineInitialized; {
	case ready == nil:
		return "The engine's state is not known."
	case !*ready:
		return "The engine is not ready: " + s.states() + "."
	}
	verb := " and serves "
	if len(s.Engines) == 1 {
		b.WriteString("The engine is " + s.states())
	} else {
		verb = ", serving "
		b.WriteString("Of the engines, " + s.states())
	}
	if s.ModelName != nil {
		b.WriteString(verb + *s.ModelName)
	}
	lead := ": "
	add := func(known bool, text string) {
		if known {
			b.WriteString(lead + text)
			lead = ", "
		}
	}
	add(s.Running != nil, fmt.Sprintf("%d running", value(s.Running)))
	add(s.Waiting != nil, fmt.Sprintf("%d waiting", value(s.Waiting)))
	add(s.GPUCachePercent != nil, fmt.Sprintf("KV cache %.0f %% full", value(s.GPUCachePercent)))
	if s.Running == nil && s.Waiting == nil && s.GPUCachePercent == nil {
		b.WriteString("; its metrics are not known")
	}
	b.WriteString(".")
	return b.String()
}

// states tells the states of the engines: "up", or "2 up, 1 loading".
func (s *Stats) states() string {
	if len(s.Engines) == 1 {
		return string(s.Engines[0].State)
	}
	order, counts := []string{}, map[string]int{}
	for i := range s.Engines {
		state := string(s.Engines[i].State)
		if counts[state] == 0 {
			order = append(order, state)
		}
		counts[state]++
	}
	for i, state := range order {
		order[i] = fmt.Sprintf("%d %s", counts[state], state)
	}
	return strings.Join(order, ", ")
}

// firstStep returns the first step of a remedy: up to the first full stop, semicolon or colon that
// a space follows.
func firstStep(remedy string) string {
	end := len(remedy)
	for _, mark := range []string{". ", "; ", ": "} {
		if i := strings.Index(remedy, mark); i > 0 && i < end {
			end = i
		}
	}
	step := strings.TrimRight(strings.TrimSpace(remedy[:end]), ".;:")
	if len(step) > maxStep {
		step = strings.ToValidUTF8(step[:maxStep], "") + "…"
	}
	return step
}

// sentence gives a text its full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	for _, end := range []string{".", "!", "?", "…"} {
		if strings.HasSuffix(text, end) {
			return text
		}
	}
	return text + "."
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// duration writes a time as a person would say it: 4.2s, 42s, 3m10s, 2h05m.
func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Truncate(time.Second).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
