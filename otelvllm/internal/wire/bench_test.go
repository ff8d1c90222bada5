package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// chatStream is a stream as vLLM 0.32 sends it: the role, chunks of content, the finish reason, usage.
func chatStream(chunks int) (head []byte, events [][]byte, tail []byte) {
	const start = `data: {"id":"chatcmpl-9131ccc27705d291","object":"chat.completion.chunk","created":1795481271,"model":"tiny","choices":[`
	words := []string{" the", " queue", " is", ",", "\\n", " long", "ing", " übrig", ".", " I"}
	head = []byte(start + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}` + "\n\n")
	for i := range chunks {
		events = append(events, fmt.Appendf(nil, `%s{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":null,"token_ids":null}]}`+"\n\n",
			start, words[i%len(words)]))
	}
	tail = []byte(start + `{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null}]}` + "\n\n" +
		start + `],"usage":{"prompt_tokens":15,"total_tokens":215,"completion_tokens":200,"prompt_tokens_details":{"cached_tokens":0}},"system_fingerprint":"vllm-0.32.0-a5a29c53"}` + "\n\n" +
		"data: [DONE]\n\n")
	return head, events, tail
}

// BenchmarkStream reads a whole stream of 200 chunks, event by event as it comes from an engine.
func BenchmarkStream(b *testing.B) {
	const chunks = 200
	head, events, tail := chatStream(chunks)
	size := len(head) + len(bytes.Join(events, nil)) + len(tail)
	report := func(b *testing.B) { b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/chunks, "ns/chunk") }

	b.Run("sse and wire", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(size))
		for b.Loop() {
			r := Match("POST", "/v1/chat/completions").NewResponseReader()
			r.Header(200, eventStream)
			r.Write(head)
			for _, e := range events {
				r.Write(e)
			}
			r.Write(tail)
			if f := r.Facts(); f.Contents != chunks || f.Usage.Output.Value != 200 {
				b.Fatalf("got %+v", f)
			}
		}
		report(b)
	})
	b.Run("content events only", func(b *testing.B) {
		b.ReportAllocs()
		r := Match("POST", "/v1/chat/completions").NewResponseReader()
		r.Header(200, eventStream)
		r.Write(head)
		for b.Loop() {
			for _, e := range events {
				r.Write(e)
			}
		}
		report(b)
	})
	b.Run("sse alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			p := sse.Parser{OnEvent: func(sse.Event) { n++ }}
			_, _ = p.Write(head)
			for _, e := range events {
				_, _ = p.Write(e)
			}
			_, _ = p.Write(tail)
		}
		report(b)
	})
	b.Run("without shapes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := Match("POST", "/v1/chat/completions").NewResponseReader()
			r.Header(200, eventStream)
			r.shapes.misses = maxMisses
			r.Write(head)
			for _, e := range events {
				r.Write(e)
			}
			r.Write(tail)
		}
		report(b)
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			contents := 0
			p := sse.Parser{OnEvent: func(e sse.Event) {
				var chunk struct {
					ID, Model string
					Choices   []struct {
						Index        int
						Delta        struct{ Content string }
						FinishReason string `json:"finish_reason"`
					}
					Usage *struct {
						Completion int64 `json:"completion_tokens"`
					}
				}
				if json.Unmarshal(e.Data, &chunk) == nil && len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
					contents++
				}
			}}
			_, _ = p.Write(head)
			for _, e := range events {
				_, _ = p.Write(e)
			}
			_, _ = p.Write(tail)
			if contents != chunks {
				b.Fatalf("got %d contents", contents)
			}
		}
		report(b)
	})
	b.Run("restorer", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 4096)
		for b.Loop() {
			var r Restorer
			r.Write(head)
			for _, e := range events {
				r.Write(e)
				if r.Read(buf) == 0 {
					b.Fatal("a content event did not pass at once")
				}
			}
			r.Write(tail)
			r.Read(buf)
		}
		report(b)
	})
}

// BenchmarkEmbeddings reads a body of 3 MB: 128 vectors of 1,024 numbers.
func BenchmarkEmbeddings(b *testing.B) {
	var vector []string
	for i := range 1024 {
		vector = append(vector, fmt.Sprintf("%.18f", 1/float64(i+1)-0.3))
	}
	item := `{"index":0,"object":"embedding","embedding":[` + strings.Join(vector, ",") + `]}`
	body := []byte(`{"id":"embd-1","object":"list","created":1,"model":"m","data":[` + strings.Repeat(item+",", 127) + item +
		`],"usage":{"prompt_tokens":4,"total_tokens":4}}`)
	h := http.Header{"Content-Type": {"application/json"}}
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			r := Match("POST", "/v1/embeddings").NewResponseReader()
			r.Header(200, h)
			for p := body; len(p) > 0; {
				n := min(len(p), 32<<10)
				r.Write(p[:n])
				p = p[n:]
			}
			if r.Facts().Usage.Input.Value != 4 {
				b.Fatal("no usage")
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			var answer struct {
				Usage struct {
					Prompt int64 `json:"prompt_tokens"`
				}
			}
			if json.Unmarshal(body, &answer) != nil || answer.Usage.Prompt != 4 {
				b.Fatal("no usage")
			}
		}
	})
}

func BenchmarkInjectUsage(b *testing.B) {
	body := []byte(`{"model":"tiny","messages":[{"role":"user","content":"` + strings.Repeat("Where does it wait? ", 500) + `"}],"max_tokens":12,"stream":true}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, ok := Match("POST", "/v1/chat/completions").InjectUsage(body); !ok {
			b.Fatal("not injected")
		}
	}
}

// BenchmarkDialects reads a content event of the dialects whose events are typed, and of those that are numbered too.
func BenchmarkDialects(b *testing.B) {
	for name, c := range map[string]struct {
		path  string
		event func(i int) string
	}{
		"messages":  {messagesPath, func(int) string { return typed(textDelta("the")) }},
		"responses": {responsesPath, func(i int) string { return typed(responsesDelta("output_text", "the", i)) }},
		"cohere":    {coherePath, func(int) string { return events(cohereText) }},
		"generate": {generatePath, func(int) string {
			return events(`{"request_id":"generate-tokens-acf663dece887e03","usage":null,"output_mode":"tokens","choices":[{"index":0,"finish_reason":null,"stop_reason":null,"token_ids":[249],"routed_experts":null,"sampling_mask":null,"weight_versions":null,"logprobs":null}]}`)
		}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var list [][]byte
			for i := range 256 {
				list = append(list, []byte(c.event(i)))
			}
			r := Match("POST", c.path).NewResponseReader()
			r.Header(200, eventStream)
			i := 0
			for b.Loop() {
				r.Write(list[i%len(list)])
				i++
			}
			if f := r.Facts(); f.Contents != int64(i) {
				b.Fatalf("got %d contents of %d events", f.Contents, i)
			}
		})
	}
}

// BenchmarkForm reads a form with 1 MiB of sound.
func BenchmarkForm(b *testing.B) {
	sound := make([]byte, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range sound {
		sound[i] = byte(random.Uint32())
	}
	body := formOf(b, sound, "model", "m", "stream", "true")
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		r := Match("POST", transcriptionPath).NewRequestReader()
		for p := body; len(p) > 0; {
			n := min(len(p), 32<<10)
			r.Write(p[:n])
			p = p[n:]
		}
		if r.End(); !r.Request().Complete {
			b.Fatal("not complete")
		}
	}
}
