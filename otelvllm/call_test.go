package otelvllm_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

const (
	chatPath   = "/v1/chat/completions"
	streamBody = `{"model":"tiny","stream":true,"max_tokens":5,"temperature":0.5,"messages":[{"role":"user","content":"secret prompt"}]}`
	wholeBody  = `{"model":"tiny","max_tokens":5,"messages":[{"role":"user","content":"secret prompt"}]}`
)

func fiveWords() *scripted {
	return &scripted{first: 200 * time.Millisecond, gap: 50 * time.Millisecond, words: strings.Fields("one two three four five")}
}

func TestStreamThroughGatewayMakesOneTraceWithExactTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := fiveWords()
		engine.metrics = true
		var parent string
		engine.seen = func(r *http.Request) { parent = r.Header.Get("Traceparent") }
		w := newWorld(engine)
		defer w.close()
		if _, _, err := w.post(t, t.Context(), chatPath, streamBody); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := `POST /v1/chat/completions server 400ms
  chat tiny internal 400ms
    generation client 400ms
      POST client 400ms
      first_token internal 200ms
        queue internal 50ms
        prefill internal 150ms
      decode internal 200ms
`
		if got := w.tree(); got != want {
			t.Errorf("got tree\n%s\nwant\n%s", got, want)
		}
		request := w.span(t, "chat tiny")
		wantAttrs(t, request, map[string]string{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "vllm", "gen_ai.request.model": "tiny",
			"gen_ai.response.model": "tiny", "gen_ai.response.id": "chatcmpl-1", "gen_ai.request.stream": "true",
			"gen_ai.request.max_tokens": "5", "gen_ai.request.temperature": "0.5",
			"gen_ai.usage.input_tokens": "7", "gen_ai.usage.output_tokens": "5", "gen_ai.usage.cache_read.input_tokens": "0",
			"gen_ai.response.finish_reasons": `["stop"]`, "gen_ai.response.time_to_first_chunk": "0.2",
			"vllm.request.time_to_first_token": "0.2", "vllm.request.output_rate": "12.5", "vllm.request.chunks": "5",
			"vllm.request.queue.duration": "0.05", "vllm.request.prefill.duration": "0.15", "vllm.request.decode.duration": "0.2",
			"vllm.request.outcome": "completed", "error.type": "", "vllm.request.usage.partial": "", "vllm.request.usage.estimated": "",
		})
		attempt := w.span(t, "POST")
		if want := "00-" + attempt.SpanContext.TraceID().String() + "-" + attempt.SpanContext.SpanID().String() + "-01"; parent != want {
			t.Errorf("engine got traceparent %q, want %q", parent, want)
		}
		wantAttrs(t, w.span(t, "generation"), map[string]string{"vllm.generation.attempts": "1", "gen_ai.request.model": ""})

		m := w.metrics(t)
		for name, want := range map[string]struct {
			count uint64
			sum   float64
		}{
			"gen_ai.server.request.duration": {1, 0.4}, "gen_ai.server.time_to_first_token": {1, 0.2},
			"gen_ai.server.time_per_output_token": {1, 0.05}, "gen_ai.client.operation.duration": {1, 0.4},
			"gen_ai.client.operation.time_to_first_chunk": {1, 0.2}, "gen_ai.client.operation.time_per_output_chunk": {0, 0},
			"gen_ai.client.token.usage": {2, 12}, "vllm.request.inter_token_latency": {4, 0.2}, "vllm.request.output_rate": {1, 12.5},
			"vllm.request.queue.duration": {1, 0.05}, "vllm.request.prefill.duration": {1, 0.15}, "vllm.request.decode.duration": {1, 0.2},
			"vllm.request.active": {1, 0},
		} {
			if got := m[name]; got.count != want.count || got.sum-want.sum > 1e-9 || want.sum-got.sum > 1e-9 {
				t.Errorf("metric %s: got count %d sum %v, want count %d sum %v", name, got.count, got.sum, want.count, want.sum)
			}
		}
		call := w.call(t)
		if call.Attempts != 1 || call.Chunks != 5 || call.TimeToFirstToken != 200*time.Millisecond || call.ServerAddress != "engine" || call.ServerPort != 8000 {
			t.Errorf("got call %+v", call)
		}
		recent := w.registry.Recent()
		if len(recent) != 1 || len(w.registry.Running()) != 0 {
			t.Fatalf("registry: got %d recent and %d running, want 1 and 0", len(recent), len(w.registry.Running()))
		}
		if recent[0].Outcome != "completed" || recent[0].OutputTokens != 5 || len(recent[0].Spans) != 6 {
			t.Errorf("registry: got %+v", recent[0])
		}
	})
}

func TestUsageInjectionLeavesTheCallersBytesAlone(t *testing.T) {
	run := func(t *testing.T, opts ...otelvllm.Option) (body []byte, input string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(fiveWords(), opts...)
			defer w.close()
			_, answer, err := w.post(t, t.Context(), chatPath, streamBody)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			body = answer
			input, _ = attr(w.span(t, "chat tiny"), "gen_ai.usage.input_tokens")
			if input == "" {
				wantAttrs(t, w.span(t, "chat tiny"), map[string]string{
					"vllm.request.usage.estimated": "true", "vllm.request.output_tokens.estimate": "5", "gen_ai.usage.output_tokens": "",
				})
			}
		})
		return body, input
	}
	bare, none := run(t, otelvllm.WithUsageInjection(false))
	injected, input := run(t)
	if none != "" {
		t.Errorf("without injection: got input tokens %q, want none", none)
	}
	if input != "7" {
		t.Errorf("with injection: got input tokens %q, want 7", input)
	}
	if !bytes.Equal(bare, injected) {
		t.Errorf("the caller got other bytes:\n%s\nwant\n%s", injected, bare)
	}
}

func TestAnswerThatIsNotStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := fiveWords()
		engine.metrics = true
		w := newWorld(engine)
		defer w.close()
		if _, _, err := w.post(t, t.Context(), chatPath, wholeBody); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := `POST /v1/chat/completions server 400ms
  chat tiny internal 400ms
    generation client 400ms
      POST client 400ms
      first_token internal 200ms
        queue internal 50ms
        prefill internal 150ms
      decode internal 200ms
`
		if got := w.tree(); got != want {
			t.Errorf("got tree\n%s\nwant\n%s", got, want)
		}
		wantAttrs(t, w.span(t, "chat tiny"), map[string]string{
			"gen_ai.usage.output_tokens": "5", "vllm.request.time_to_first_token": "0.2", "vllm.request.chunks": "",
			"gen_ai.response.time_to_first_chunk": "", "gen_ai.request.stream": "", "gen_ai.response.finish_reasons": `["length"]`,
		})
		if m := w.metrics(t); m["gen_ai.server.time_to_first_token"].count != 0 || m["vllm.request.inter_token_latency"].count != 0 {
			t.Error("stream metrics were recorded for an answer that is not streamed")
		}
	})
}

func TestEveryWayToEndHasItsOutcome(t *testing.T) {
	for _, tt := range []struct {
		name      string
		engine    *scripted
		leave     time.Duration // when the caller leaves; 0 stays
		outcome   otelvllm.Outcome
		errorType string
		status    string // of the request span
		chunks    int64
	}{
		{"an engine that dies in mid-stream failed", &scripted{dieAfter: 3}, 0, otelvllm.Failed, "500", "Error", 3},
		{"a connection cut in mid-stream is truncated", &scripted{cutAfter: 3}, 0, otelvllm.Truncated, "truncated", "Error", 3},
		{"a caller who leaves in mid-stream left", &scripted{}, 310 * time.Millisecond, otelvllm.CallerLeft, "caller_left", "Unset", 3},
		{"a caller who leaves before the first token left", &scripted{}, 100 * time.Millisecond, otelvllm.CallerLeft, "caller_left", "Unset", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ok := fiveWords()
				tt.engine.first, tt.engine.gap, tt.engine.words = ok.first, ok.gap, ok.words
				w := newWorld(tt.engine)
				defer w.close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.leave > 0 {
					time.AfterFunc(tt.leave, cancel)
				}
				_, _, _ = w.post(t, ctx, chatPath, streamBody)
				time.Sleep(time.Second)
				synctest.Wait()
				call := w.call(t)
				if call.Outcome != tt.outcome || call.ErrorType != tt.errorType || call.Chunks != tt.chunks {
					t.Errorf("got %s, %q, %d chunks; want %s, %q, %d", call.Outcome, call.ErrorType, call.Chunks, tt.outcome, tt.errorType, tt.chunks)
				}
				request := w.span(t, "chat tiny")
				if got := request.Status.Code.String(); got != tt.status {
					t.Errorf("got span status %s, want %s", got, tt.status)
				}
				wantAttrs(t, request, map[string]string{"vllm.request.outcome": string(tt.outcome), "error.type": tt.errorType})
				w.span(t, "first_token")
				m := w.metrics(t)
				if got := m["gen_ai.server.request.duration"]; got.count != 1 {
					t.Errorf("got %d durations, want 1", got.count)
				} else if v, _ := got.attrs[0].Value("error.type"); v.AsString() != tt.errorType {
					t.Errorf("metric: got error.type %q, want %q", v.AsString(), tt.errorType)
				}
				if m["gen_ai.server.time_to_first_token"].count != 0 {
					t.Error("time to first token was recorded for a call that did not complete")
				}
				if got := m["vllm.request.active"].sum; got != 0 {
					t.Errorf("got %v active requests, want 0", got)
				}
			})
		})
	}
}

func TestUnreachableEngineIs502AtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(fiveWords())
		defer w.close()
		w.net.mu.Lock()
		delete(w.net.listeners, "engine:8000")
		w.net.mu.Unlock()
		resp, body, err := w.post(t, t.Context(), chatPath, streamBody)
		if err != nil || resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(body), "connection_refused") {
			t.Fatalf("got %v, %s, %v; want a 502 that says connection_refused", resp, body, err)
		}
		synctest.Wait()
		wantAttrs(t, w.span(t, "chat tiny"), map[string]string{"vllm.request.outcome": "unreachable", "error.type": "connection_refused"})
		wantAttrs(t, w.span(t, "POST"), map[string]string{"error.type": "connection_refused"})
	})
}

func TestTransportAloneMakesAClientSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(fiveWords())
		defer w.close()
		base := &http.Transport{DialContext: w.net.dial}
		defer base.CloseIdleConnections()
		client := &http.Client{Transport: otelvllm.NewTransport(base, w.options()...)}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, engineURL+chatPath, strings.NewReader(streamBody))
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		want := `chat tiny client 400ms
  generation client 400ms
    POST client 400ms
    first_token internal 200ms
    decode internal 200ms
`
		if got := w.tree(); got != want {
			t.Errorf("got tree\n%s\nwant\n%s", got, want)
		}
		m := w.metrics(t)
		if m["gen_ai.server.request.duration"].count != 0 || m["gen_ai.client.operation.duration"].count != 1 || m["gen_ai.client.operation.time_per_output_chunk"].count != 4 {
			t.Error("a client's call must have client metrics alone")
		}
		if req.Header.Get("Traceparent") != "" {
			t.Error("the caller's request was changed")
		}
	})
}

func TestMiddlewareAloneReadsWhatTheHandlerWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(http.NotFoundHandler())
		defer w.close()
		w.proxy = fiveWords()
		body := strings.Replace(streamBody, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
		if _, _, err := w.post(t, t.Context(), chatPath, body); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := `POST /v1/chat/completions server 400ms
  chat tiny internal 400ms
    generation internal 400ms
      first_token internal 200ms
      decode internal 200ms
`
		if got := w.tree(); got != want {
			t.Errorf("got tree\n%s\nwant\n%s", got, want)
		}
		wantAttrs(t, w.span(t, "chat tiny"), map[string]string{"gen_ai.usage.output_tokens": "5", "vllm.request.chunks": "5"})
	})
}

func TestHandlerThatTriesAgainMakesOneCall(t *testing.T) {
	const refusal, pause = 70 * time.Millisecond, 300 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		ok := fiveWords()
		w := newWorld(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if tries++; tries == 1 {
				time.Sleep(refusal)
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			ok.ServeHTTP(rw, r)
		}))
		defer w.close()
		base := &http.Transport{DialContext: w.net.dial}
		defer base.CloseIdleConnections()
		client := &http.Client{Transport: otelvllm.NewTransport(base, w.options()...)}
		w.proxy = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			for {
				req, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, engineURL+chatPath, bytes.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				resp, err := client.Do(req)
				if err != nil {
					rw.WriteHeader(http.StatusBadGateway)
					return
				}
				if resp.StatusCode != http.StatusOK {
					resp.Body.Close()
					time.Sleep(pause)
					continue
				}
				_, _ = io.Copy(rw, resp.Body)
				resp.Body.Close()
				return
			}
		})
		if _, _, err := w.post(t, t.Context(), chatPath, wholeBody); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		call := w.call(t)
		if call.Attempts != 2 || call.Outcome != otelvllm.Completed || call.Usage.Output.N != 5 {
			t.Errorf("got %d attempts, %s, %d tokens; want 2, completed, 5", call.Attempts, call.Outcome, call.Usage.Output.N)
		}
		if got := call.AttemptTimes; len(got) != 2 || got[0] != refusal || got[1] <= 0 || got[0]+pause+got[1] > call.Duration {
			t.Errorf("got attempt times %v in a call of %s, want two: the first %s, and with the pause of %s no longer than the call", got, call.Duration, refusal, pause)
		}
		wantAttrs(t, w.span(t, "generation"), map[string]string{"vllm.generation.attempts": "2"})
	})
}

func TestHandlerThatPanicsIsRecordedAndStillPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(http.NotFoundHandler())
		defer w.close()
		w.proxy = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })
		if _, _, err := w.post(t, t.Context(), chatPath, wholeBody); err == nil {
			t.Error("the caller got an answer, want a closed connection")
		}
		synctest.Wait()
		if call := w.call(t); call.Outcome != otelvllm.Panicked {
			t.Errorf("got %s, want panic", call.Outcome)
		}
		if s := w.span(t, "POST /v1/chat/completions"); s.Status.Code.String() != "Error" {
			t.Errorf("got SERVER status %v, want Error", s.Status.Code)
		}
	})
}
