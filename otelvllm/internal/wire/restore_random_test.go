package wire

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// referenceRestore restores a stream whose lines end with LF, event by event, with encoding/json and without bounds.
func referenceRestore(body string) string {
	var out, waiting strings.Builder // what waits begins with an event with a finish reason
	var finishes []string            // the events that wait for a fingerprint
	release := func(fingerprint string) {
		text := waiting.String()
		for _, f := range finishes {
			bracket := strings.LastIndex(f, "}")
			text = strings.Replace(text, f, f[:bracket]+fingerprint+"\x00"+f[bracket:], 1)
		}
		out.WriteString(strings.ReplaceAll(text, "\x00", ""))
		waiting.Reset()
		finishes = nil
	}
	blocks := strings.SplitAfter(body, "\n\n")
	for i, block := range blocks {
		data, isData := strings.CutPrefix(block, "data:")
		if !strings.HasSuffix(block, "\n\n") {
			release("")
			out.WriteString(block)
			break
		}
		doc, valid := decode([]byte(data))
		one := strings.Count(block, "\n") == 2
		object, _ := doc.(map[string]any)
		r := reference{path: chatPath, reason: map[int64]string{}}
		r.document(doc)
		choices, isList := object["choices"].([]any)
		usage, _ := object["usage"].(map[string]any)
		_, stamped := object["system_fingerprint"]
		finished := false
		for _, reason := range r.reason {
			finished = finished || reason != ""
		}
		switch {
		case strings.HasPrefix(block, ":") && one:
			waiting.WriteString(block)
		case !one, !isData, !valid, r.facts.Err != nil, strings.Count(block, `"choices":`) > 1:
			waiting.WriteString(block)
			release("")
		case usage != nil && isList && len(choices) == 0:
			fingerprint := ""
			if f, ok := object["system_fingerprint"].(string); ok {
				fingerprint = `,"system_fingerprint":"` + f + `"`
			}
			release(fingerprint)
		case usage != nil:
			release("")
			out.WriteString(strings.Join(blocks[i:], ""))
			return out.String()
		default:
			waiting.WriteString(block)
			if finished && !stamped {
				finishes = append(finishes, block)
			}
		}
		if len(finishes) == 0 {
			release("")
		}
	}
	release("")
	return out.String()
}

// TestRandomStreamsAreRestoredAsEventByEvent makes streams and restores them both ways, whole and in pieces.
func TestRandomStreamsAreRestoredAsEventByEvent(t *testing.T) {
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	removed, stamped := 0, 0
	for seed := range rounds {
		m := textMaker{rand.New(rand.NewPCG(uint64(seed), 2))}
		var b strings.Builder
		for n := range m.IntN(8) + 1 {
			fingerprint := m.one("", `,"system_fingerprint":"f"`, `,"system_fingerprint":null`)
			// Each event is told apart by its id, so that the reference finds it again.
			id := `{"id":"` + string(rune('a'+n)) + `"`
			switch m.IntN(6) {
			case 0:
				b.WriteString(m.one(": ping\n\n", "data: [DONE]\n\n", "data: "+m.document()+"\n\n", "id: 1\ndata: "+usageEvent+"\n\n"))
			case 1, 2:
				b.WriteString(m.one("data: ", "data:") + id + `,"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]` +
					m.one("", "", fingerprint) + m.one("}", "} ") + "\n\n")
			case 3:
				b.WriteString("data: " + id + `,"choices":[],"usage":{}` + fingerprint + "}\n\n")
			default:
				b.WriteString(events(contentEvent(m.one("a", "b", "usage"))))
			}
		}
		body := b.String() + m.one("", "", "data: {\"choices\":[]")
		if strings.Contains(body, "\x00") {
			continue
		}
		want := referenceRestore(body)
		removed += strings.Count(body, `"usage":{}`) - strings.Count(want, `"usage":{}`)
		stamped += max(0, strings.Count(want, `}],"system_fingerprint":"f"`)-strings.Count(body, `}],"system_fingerprint":"f"`))
		for _, n := range []int{0, 1 + m.IntN(80)} {
			if _, got := restored(cuts([]byte(body), n)...); string(got) != want {
				t.Fatalf("seed %d in pieces of %d bytes:\n%s\n got %s\nwant %s", seed, n, body, got, want)
			}
		}
	}
	if removed < rounds/4 || stamped < rounds/20 {
		t.Errorf("got %d usage events removed and %d fingerprints restored in %d rounds: the test sees too little", removed, stamped, rounds)
	}
}
