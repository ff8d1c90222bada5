package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestQuickstartShowsTheTracesAndTheRequestThatHangs(t *testing.T) {
	for _, signal := range []string{"TRACES", "METRICS", "LOGS"} {
		t.Setenv("OTEL_"+signal+"_EXPORTER", "none")
	}
	start := time.Now()
	var out bytes.Buffer
	if err := run(t.Context(), &out, false); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s, want less than 20 s", took)
	}
	for _, want := range []string{
		`live page at http://127\.0\.0\.1:\d+/`,
		`POST /v1/chat/completions +SERVER`,
		`└ chat demo-8b +INTERNAL .* 11 tokens in, 48 out, [\d.]+ tokens/s, completed`,
		`│ └ llm_request +SERVER .* vLLM's own span`,
		`│ ├ queue +INTERNAL`,
		`text_completion demo-8b .* 5 tokens in, 32 out`,
		`embeddings demo-8b .* 7 tokens in, completed`,
		`finding  engine_wedged`,
		`remedy   \S`,
		`stall, phase decode, silent for \d+\.\d\d s, trace [0-9a-f]{32}`,
		`caller_left`,
		`stall +INTERNAL .* cause engine_wedged`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("the output lacks %s", want)
		}
	}
	if strings.Contains(out.String(), "telemetry lost") {
		t.Error("telemetry was lost though nothing is exported")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}
