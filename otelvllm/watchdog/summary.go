package watchdog

import "strings"

func withCount(evidence map[string]any, n int) map[string]any {
	m := make(map[string]any, len(evidence)+1)
	for name, v := range evidence {
		m[name] = v
	}
	m["stalled_requests"] = n
	return m
}

// summary fills the evidence into the text.
func summary(r *rule, s *sign) string {
	text := s.summary
	if text == "" {
		text = r.summary
	}
	return fill(text, s.evidence)
}

// remedy says what to do.
func remedy(r *rule, s *sign) string {
	if s.remedy != "" {
		return s.remedy
	}
	return r.remedy
}

// fill replaces {name} by that member of the evidence.
func fill(text string, evidence map[string]any) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(word(evidence[name]))
		text = after
	}
}
