package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func TestRunSyncIsPartOfItsCallersTrace(t *testing.T) {
	w := newWorld(t, nil)
	got := w.call("POST", "/runsync", prompt, "traceparent", caller)
	if got.Status != completed || len(strings.Fields(got.Output.Text)) == 0 || got.Output.FinishReason != "length" || got.Output.Model != "tiny" ||
		got.Output.Usage == nil || *got.Output.Usage != (usage{5, 6}) || got.DelayTime == nil || got.ExecutionTime == nil {
		t.Errorf("got %+v, want a completed job of tiny with 5 tokens in, 6 out and its times", got)
	}
	w.spans.span(t, "llm_request") // the engine's own may end last
	last := w.spans.span(t, "POST /runsync")
	if last.Parent().SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("got parent %s, want the caller's span", last.Parent().SpanID())
	}
	want := `POST /runsync server
  text_completion tiny internal
    engine_init internal
    generation internal
      POST client
        llm_request server
      decode internal
      first_token internal
        prefill internal
        queue internal
`
	if tree := w.spans.tree(t, last); tree != want {
		t.Errorf("got tree\n%swant\n%s", tree, want)
	}
	request := w.spans.span(t, "text_completion tiny")
	for key, want := range map[string]string{
		"vllm.request.outcome": "completed", "gen_ai.request.max_tokens": "6", "gen_ai.usage.output_tokens": "6", "messaging.message.id": got.ID,
	} {
		if a := attribute(request, key); a != want {
			t.Errorf("got %s=%q, want %q", key, a, want)
		}
	}
	if len(request.Links()) != 0 {
		t.Errorf("got links %v, want none beside the parent", request.Links())
	}
}

func TestRunGetsATraceOfItsOwnWithALink(t *testing.T) {
	w := newWorld(t, nil)
	first := w.call("POST", "/run", streaming, "traceparent", caller)
	if first.ID == "" || first.Status != inQueue {
		t.Fatalf("got %+v, want an id and IN_QUEUE", first)
	}
	parts, end := w.wait(first.ID)
	if end.Status != completed || parts == "" || parts != end.Output.Text || end.Output.Usage.Output != 12 {
		t.Errorf("got parts %q and %+v, want the same text and 12 tokens", parts, end)
	}
	enqueued, request := w.spans.span(t, "POST /run"), w.spans.span(t, "chat tiny")
	if enqueued.SpanContext().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("POST /run is in trace %s, want the caller's", enqueued.SpanContext().TraceID())
	}
	if request.Parent().IsValid() || request.SpanContext().TraceID() == enqueued.SpanContext().TraceID() {
		t.Errorf("the job has parent %v in trace %s, want a trace of its own", request.Parent(), request.SpanContext().TraceID())
	}
	if l := request.Links(); len(l) != 1 || l[0].SpanContext.SpanID() != enqueued.SpanContext().SpanID() || l[0].SpanContext.TraceID() != enqueued.SpanContext().TraceID() {
		t.Errorf("got links %+v, want one to POST /run, %v", l, enqueued.SpanContext())
	}
	wantLines(t, w, first.ID)
}

// wantLines checks the log lines of the only job: those from outside are in the caller's trace, the
// others in the job's own.
func wantLines(t *testing.T, w *world, id string) {
	t.Helper()
	outer, own := w.spans.span(t, "POST /run").SpanContext(), w.spans.span(t, "chat tiny").SpanContext()
	type line struct {
		Msg     string `json:"msg"`
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
		Job     string `json:"job"`
	}
	got := make(map[string]line)
	for text := range strings.Lines(w.log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		got[l.Msg] = l
	}
	inside := func(msg, job string) line { return line{msg, own.TraceID().String(), own.SpanID().String(), job} }
	for _, want := range []line{
		{"queued", outer.TraceID().String(), outer.SpanID().String(), id},
		inside("picked up", id),
		inside("start", ""), inside("engine ready", ""), inside("generation start", ""), inside("complete", ""),
	} {
		if got[want.Msg] != want {
			t.Errorf("got log line %+v, want %+v", got[want.Msg], want)
		}
	}
}

func TestPartsAreOnlyKeptForJobsThatWantThem(t *testing.T) {
	w := newWorld(t, nil)
	parts, end := w.wait(w.call("POST", "/run", prompt).ID)
	if parts != "" || end.Status != completed || end.Output.Text == "" {
		t.Errorf("got parts %q and %+v, want the text in the output alone", parts, end)
	}
}

func TestCancelEndsWaitingAndRunningJobs(t *testing.T) {
	w := newWorld(t, func(c *config) { c.concurrency = 1 })
	w.sim.Fault(sim.HangDecode)
	running := w.start()
	waiting := w.call("POST", "/run", prompt).ID
	if got := w.call("GET", "/status/"+waiting, ""); got.Status != inQueue || got.DelayTime != nil {
		t.Errorf("got %+v, want IN_QUEUE and no time yet", got)
	}
	for _, id := range []string{waiting, running} {
		if got := w.call("POST", "/cancel/"+id, ""); got.ID != id || got.Status != cancelled {
			t.Errorf("got %+v, want %s CANCELLED", got, id)
		}
	}
	if got := attribute(w.spans.span(t, "chat tiny"), "vllm.request.outcome"); got != "caller_left" {
		t.Errorf("got outcome %s of the job that ran, want caller_left", got)
	}
	if _, end := w.wait(w.call("POST", "/run", prompt).ID); end.Status != completed { // its place is free again
		t.Errorf("got %+v, want COMPLETED", end)
	}
	if got := strings.Count(w.log.String(), `"msg":"picked up"`); got != 2 {
		t.Errorf("got %d jobs picked up, want 2: the one that was cancelled in the queue never ran", got)
	}
	if got := w.call("POST", "/cancel/"+running, ""); got.Status != cancelled {
		t.Errorf("got %+v for a second time, want CANCELLED still", got)
	}
}

func TestAFullQueueIs429(t *testing.T) {
	w := newWorld(t, func(c *config) { c.concurrency, c.waiting = 1, 1 })
	w.sim.Fault(sim.HangDecode)
	w.start()
	w.call("POST", "/run", prompt)
	for _, path := range []string{"/run", "/runsync"} {
		status, h, text := w.do(t.Context(), "POST", path, prompt)
		if status != 429 || h.Get("Retry-After") == "" || text != `{"error":"the queue is full; try again later","status":"FAILED"}`+"\n" {
			t.Errorf("%s: got %d, %v, %s; want 429 with Retry-After", path, status, h, text)
		}
	}
	if got := w.call("POST", "/runsync", `{"input":{"action":"health"}}`); got.Status != completed {
		t.Errorf("got %+v, want the health document whatever waits", got)
	}
}

func TestFailuresOfTheEngineAreTold(t *testing.T) {
	for _, tt := range []struct {
		name         string
		fault        sim.Kind
		job          string
		status       state
		err, outcome string
	}{
		{"an error event", sim.ErrorEvent, prompt, failed, "the engine failed: ", "failed"},
		{"a connection that breaks", sim.Truncate, prompt, failed, "the connection to the engine failed: connection_reset", "truncated"},
		{"an answer that stops early", sim.EndEarly, prompt, failed, "broke off", "truncated"},
		{"a job that the engine refuses", "", `{"input":{"prompt":"x","sampling_params":{"max_tokens":-1}}}`, failed, "the engine answered 400: max_tokens", "rejected"},
		{"a job that takes too long", sim.HangDecode, prompt, timedOut, "the job took longer than 400ms", "deadline"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *config) {
				if tt.status == timedOut {
					c.timeout = 400e6
				}
			})
			if tt.fault != "" {
				w.sim.Fault(tt.fault)
			}
			got := w.call("POST", "/runsync", tt.job)
			if got.Status != tt.status || !strings.Contains(got.Error, tt.err) || got.Output.Text != "" {
				t.Errorf("got %+v, want %s and %q", got, tt.status, tt.err)
			}
			if o := attribute(w.spans.span(t, "text_completion tiny"), "vllm.request.outcome"); o != tt.outcome {
				t.Errorf("got outcome %s, want %s", o, tt.outcome)
			}
		})
	}
}

func TestAnEngineThatIsNotReadyIsWaitedForAWhile(t *testing.T) {
	w := newWorld(t, func(c *config) { c.engine, c.waitReady = "http://127.0.0.1:1", 50e6 })
	got := w.call("POST", "/runsync", prompt)
	if got.Status != failed || got.Error != "the engine was not ready within 50ms: connection_refused" {
		t.Errorf("got %+v, want FAILED and why", got)
	}
	if o := attribute(w.spans.span(t, "text_completion tiny"), "vllm.request.outcome"); o != "unreachable" {
		t.Errorf("got outcome %s, want unreachable", o)
	}
}

func TestAJobWaitsUntilTheEngineHasLoaded(t *testing.T) {
	w := newWorld(t, func(c *config) { c.model = "" })
	if err := w.sim.Inject(sim.Injection{Kind: sim.Loading, For: 300e6}); err != nil {
		t.Fatal(err)
	}
	if got := w.call("POST", "/runsync", prompt); got.Status != completed || got.Output.Model != "tiny" {
		t.Errorf("got %+v, want COMPLETED by the model that the engine told", got)
	}
	s := w.spans.span(t, "engine_init")
	if took := s.EndTime().Sub(s.StartTime()); took < 200e6 {
		t.Errorf("got an engine_init of %s, want the time of the loading", took)
	}
	w.spans.span(t, "text_completion tiny") // the name is known in the end
}
