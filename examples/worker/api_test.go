package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func TestHostileInputGetsAClearAnswer(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"no JSON", "POST", "/run", "hello", 400, "invalid character 'h'"},
		{"half a job", "POST", "/run", `{"input":{"prompt":"x"`, 400, "unexpected EOF"},
		{"nothing", "POST", "/run", "", 400, "EOF"},
		{"a list", "POST", "/runsync", "[]", 400, "it is no JSON object but one of type array"},
		{"two jobs at once", "POST", "/run", prompt + prompt, 400, "send one JSON object"},
		{"no input", "POST", "/run", "{}", 400, `has no \"input\"`},
		{"an empty input", "POST", "/run", `{"input":{}}`, 400, "neither"},
		{"prompt and messages", "POST", "/run", `{"input":{"prompt":"x","messages":[]}}`, 400, "both"},
		{"messages that are no list", "POST", "/run", `{"input":{"messages":"x"}}`, 400, "not a list"},
		{"a prompt that is no text", "POST", "/run", `{"input":{"prompt":5}}`, 400, `input.prompt\" must not be of type number`},
		{"an unknown action", "POST", "/run", `{"input":{"action":"rm -rf"}}`, 400, `unknown action \"rm -rf\"`},
		{"a misspelt member", "POST", "/run", `{"input":{"promt":"x"}}`, 400, "promt"},
		{"a parameter that is the worker's", "POST", "/run", `{"input":{"prompt":"x","sampling_params":{"stream":false}}}`, 400, `must not hold \"stream\"`},
		{"a job that is too large", "POST", "/run", `{"input":{"prompt":"` + strings.Repeat("x", maxBody) + `"}}`, 413, "larger than 4194304 bytes"},
		{"deep nesting", "POST", "/run", `{"input":{"messages":` + strings.Repeat("[", 100_000) + `}}`, 400, "exceeded max depth"},
		{"an unknown id", "GET", "/status/nope", "", 404, `no job \"nope\"`},
		{"an unknown id to stream", "GET", "/stream/nope", "", 404, `no job \"nope\"`},
		{"an unknown id to cancel", "POST", "/cancel/nope", "", 404, `no job \"nope\"`},
		{"a long unknown id", "GET", "/status/" + strings.Repeat("y", 5000), "", 404, "no job"},
		{"an unknown path", "GET", "/runs", "", 404, "there are POST /run"},
		{"the wrong method", "GET", "/run", "", 404, "there are POST /run"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, h, text := w.do(t.Context(), tt.method, tt.path, tt.body)
			var a struct{ Error, Status string }
			err := json.Unmarshal([]byte(text), &a)
			if status != tt.status || !strings.Contains(text, tt.want) || err != nil || a.Error == "" || a.Status != "FAILED" || h.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %.300s; want %d and %s in RunPod's form", status, text, tt.status, tt.want)
			}
			if len(text) > 500 {
				t.Errorf("got an answer of %d bytes, want a short one", len(text))
			}
		})
	}
	if got := w.queue.tally(); got["completed"]+got["failed"]+got["inProgress"]+got["inQueue"] != 0 {
		t.Errorf("got jobs %v, want none", got)
	}
}

func TestHealthIsAnAction(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/run", "/runsync"} {
		_, _, text := w.do(t.Context(), "POST", path, `{"input":{"action":"health"}}`)
		var got struct {
			ID, Status string
			Output     struct {
				Action         string
				Stats          map[string]any
				Summary        string
				ConcurrencyEnv map[string]any `json:"concurrency_env"`
			}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if _, ok := got.Output.Stats["num_running_requests"]; !ok || got.Status != "COMPLETED" || got.Output.Action != "health" || got.Output.Summary == "" {
			t.Errorf("%s: got %s, want the health document", path, text)
		}
		if env := got.Output.ConcurrencyEnv; env["MAX_NUM_SEQS"] != "4" || env["MAX_MODEL_LEN"] != nil {
			t.Errorf("%s: got %v, want MAX_NUM_SEQS as it is set and null for what is not", path, env)
		}
		if again := w.call("GET", "/status/"+got.ID, ""); again.Status != completed {
			t.Errorf("got %+v, want the job to be known", again)
		}
	}
}

func TestHealthTellsJobsAndEngine(t *testing.T) {
	w := newWorld(t, func(c *config) { c.concurrency = 3 })
	w.call("POST", "/runsync", prompt)
	w.sim.Fault(sim.HangDecode)
	w.start()
	_, _, text := w.do(t.Context(), "GET", "/health", "")
	for _, want := range []string{`"completed":1,`, `"inProgress":1,`, `"workers":{"idle":2,"running":1}`, `"pending_tasks":1,`, `"summary":"`} {
		if !strings.Contains(text, want) {
			t.Errorf("got %s, want %s", text, want)
		}
	}
}

func TestConcurrencyEnvNamesWhatIsSet(t *testing.T) {
	got := concurrencyEnv(func(k string) string { return map[string]string{"MAX_CONCURRENCY": "8"}[k] })
	if len(got) != 4 || got["MAX_CONCURRENCY"] == nil || *got["MAX_CONCURRENCY"] != "8" || got["GPU_MEMORY_UTILIZATION"] != nil {
		t.Errorf("got %v, want four names and one value", got)
	}
}

func TestACallerOfRunSyncWhoLeavesCancelsTheJob(t *testing.T) {
	w := newWorld(t, nil)
	w.sim.Fault(sim.HangDecode)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		w.do(ctx, "POST", "/runsync", prompt)
	}()
	w.spans.span(t, "first_token") // it runs
	leave()
	<-gone
	if o := attribute(w.spans.span(t, "text_completion tiny"), "vllm.request.outcome"); o != "caller_left" {
		t.Errorf("got outcome %s, want caller_left", o)
	}
}

func TestRunSyncAnswersWithTheIDWhenTheJobTakesLong(t *testing.T) {
	w := newWorld(t, func(c *config) { c.syncWait = 1 })
	got := w.call("POST", "/runsync", `{"input":{"prompt":"x","sampling_params":{"max_tokens":50,"ignore_eos":true}}}`)
	if got.Status != inProgress || got.ID == "" {
		t.Fatalf("got %+v, want IN_PROGRESS and an id", got)
	}
	if _, end := w.wait(got.ID); end.Status != completed {
		t.Errorf("got %+v, want COMPLETED later", end)
	}
}

func TestOnlyTheLastEndedJobsAreKept(t *testing.T) {
	w := newWorld(t, func(c *config) { c.history = 2 })
	var ids []string
	for range 3 {
		ids = append(ids, w.call("POST", "/runsync", prompt).ID)
	}
	for i, want := range []int{404, 200, 200} {
		if status, _, text := w.do(t.Context(), "GET", "/status/"+ids[i], ""); status != want {
			t.Errorf("job %d: got %d %s, want %d", i, status, text, want)
		}
	}
	if n := len(w.queue.jobs); n != 2 {
		t.Errorf("got %d jobs in memory, want 2", n)
	}
}
