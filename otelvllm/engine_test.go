package otelvllm_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"syscall"
	"time"
)

var (
	quietLog          = log.New(io.Discard, "", 0)
	errRefusedForTest = syscall.ECONNREFUSED
)

// scripted is an engine that answers a chat stream in the way of vLLM 0.32, with times of its own
// choosing: the role after first, then words at a fixed pace.
type scripted struct {
	first, gap time.Duration
	words      []string
	metrics    bool                // --enable-per-request-metrics
	unqueued   bool                // its queue takes no time
	hangAfter  int                 // words after which it falls silent; 0 never
	resume     <-chan struct{}     // ends the silence
	dieAfter   int                 // words after which it sends an error event; 0 never
	cutAfter   int                 // words after which it cuts the connection; 0 never
	seen       func(*http.Request) // sees each request
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.seen != nil {
		s.seen(r)
	}
	var req struct {
		Stream  bool `json:"stream"`
		Options struct {
			Usage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !req.Stream {
		s.whole(w)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	send := func(format string, args ...any) {
		fmt.Fprintf(w, "data: "+format+"\n\n", args...)
		_ = rc.Flush()
	}
	head := `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"tiny","choices":`
	time.Sleep(s.first)
	send(head + `[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null}`)
	for i, word := range s.words {
		if i > 0 {
			time.Sleep(s.gap)
		}
		switch {
		case s.hangAfter > 0 && i == s.hangAfter:
			select {
			case <-s.resume:
			case <-r.Context().Done():
				return
			}
		case s.dieAfter > 0 && i == s.dieAfter:
			send(`{"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": null, "code": 500}}`)
			send("[DONE]")
			return
		case s.cutAfter > 0 && i == s.cutAfter:
			panic(http.ErrAbortHandler)
		}
		send(head+`[{"index":0,"delta":{"content":%q},"logprobs":null,"finish_reason":null,"token_ids":null}]}`, word)
	}
	finish := head + `[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null}]`
	if !req.Options.Usage {
		send(finish + `,"system_fingerprint":"vllm-0.32.0-x"}`)
	} else {
		send(finish + `}`)
		send(head+`[],"usage":{"prompt_tokens":7,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":0}},"system_fingerprint":"vllm-0.32.0-x"%s}`,
			7+len(s.words), len(s.words), s.timings())
	}
	send("[DONE]")
}

func (s *scripted) timings() string {
	if !s.metrics {
		return ""
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	queued := s.first / 4
	if s.unqueued {
		queued = 0
	}
	return fmt.Sprintf(`,"metrics":{"time_to_first_token_ms":%g,"generation_time_ms":%g,"queue_time_ms":%g}`,
		ms(s.first*3/4), ms(s.gap)*float64(len(s.words)-1), ms(queued))
}

// whole answers without a stream.
func (s *scripted) whole(w http.ResponseWriter) {
	time.Sleep(s.first + s.gap*time.Duration(len(s.words)-1))
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":"chatcmpl-2","object":"chat.completion","created":1,"model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":"private words"},"finish_reason":"length"}],`+
		`"usage":{"prompt_tokens":7,"total_tokens":%d,"completion_tokens":%d}%s}`, 7+len(s.words), len(s.words), s.timings())
}
