package otelvllm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// roundTrip is a RoundTripper made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer returns a response with a body.
func answer(r *http.Request, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

func chatRequest(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, engineURL+chatPath, strings.NewReader(body))
	r.RequestURI = ""
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestFault_D01_RequestTrailersArrive(t *testing.T) {
	var got http.Header
	engine := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got = r.Trailer
	}))
	defer engine.Close()
	tel := newTelemetry()
	client := &http.Client{Transport: otelvllm.NewTransport(nil, tel.options()...)}
	req, _ := http.NewRequest(http.MethodPost, engine.URL+chatPath, nil)
	req.Trailer = http.Header{"X": nil}
	req.Header.Set("Content-Type", "application/json")
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader(wholeBody), readerFunc(func([]byte) (int, error) {
		req.Trailer.Set("X", "v")
		return 0, io.EOF
	})))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got.Get("X") != "v" {
		t.Errorf("the engine got trailers %v, want X: v", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestFault_D02_TheCallersRequestIsNotChanged(t *testing.T) {
	tel := newTelemetry()
	tr := otelvllm.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		return answer(r, "text/event-stream", "data: [DONE]\n\n"), nil
	}), tel.options()...)
	req := chatRequest(streamBody)
	length, header := req.ContentLength, fmt.Sprint(req.Header)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if req.ContentLength != length || fmt.Sprint(req.Header) != header {
		t.Errorf("got length %d, headers %v; want them as they were: %d, %s", req.ContentLength, req.Header, length, header)
	}
}

func TestFault_D03_ABodyCanBeSentAgain(t *testing.T) {
	tel := newTelemetry()
	var first, second []byte
	tr := otelvllm.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		first, _ = io.ReadAll(r.Body)
		again, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		second, _ = io.ReadAll(again)
		return answer(r, "application/json", "{}"), nil
	}), tel.options()...)
	resp, err := tr.RoundTrip(chatRequest(streamBody))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !bytes.Equal(first, second) || !bytes.Contains(first, []byte(`"include_usage":true`)) {
		t.Errorf("got bodies\n%s\n%s\nwant the same one twice, with the question for usage", first, second)
	}
}

func TestFault_D05_ClosingTwiceAndReadingAfterwardsEndTheCallOnce(t *testing.T) {
	tel := newTelemetry()
	tr := otelvllm.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, "text/event-stream", "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"), nil
	}), tel.options()...)
	resp, err := tr.RoundTrip(chatRequest(streamBody))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body.Close()
	_, _ = resp.Body.Read(make([]byte, 10))
	if call := tel.call(t); call.Outcome != otelvllm.CallerLeft {
		t.Errorf("got %s, want caller_left", call.Outcome)
	}
	if n := len(tel.registry.Running()); n != 0 {
		t.Errorf("got %d running requests, want 0", n)
	}
}

func TestFault_D08_OddAnswersOfABaseDoNotPanic(t *testing.T) {
	for name, base := range map[string]roundTrip{
		"no response and no error": func(*http.Request) (*http.Response, error) { return nil, nil }, //nolint:nilnil // the fault
		"a response without a body": func(r *http.Request) (*http.Response, error) {
			resp := answer(r, "application/json", "")
			resp.Body = nil
			return resp, nil
		},
		"a response without headers": func(r *http.Request) (*http.Response, error) {
			resp := answer(r, "", "{}")
			resp.Header = nil
			return resp, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			tel := newTelemetry()
			resp, _ := otelvllm.NewTransport(base, tel.options()...).RoundTrip(chatRequest(streamBody))
			if resp != nil && resp.Body != nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			tel.call(t)
		})
	}
}

func TestFault_D11_ABaseThatPanicsIsRecordedAndStillPanics(t *testing.T) {
	tel := newTelemetry()
	tr := otelvllm.NewTransport(roundTrip(func(*http.Request) (*http.Response, error) { panic("base") }), tel.options()...)
	func() {
		defer func() {
			if v := recover(); v != "base" {
				t.Errorf("got panic %v, want the base's own", v)
			}
		}()
		_, _ = tr.RoundTrip(chatRequest(wholeBody))
	}()
	if call := tel.call(t); call.Outcome != otelvllm.Panicked {
		t.Errorf("got %s, want panic", call.Outcome)
	}
}

func TestFault_A22_ALargeBodyStreamsThroughAndIsStillRead(t *testing.T) {
	tel := newTelemetry()
	var sent int64
	tr := otelvllm.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		sent, _ = io.Copy(io.Discard, r.Body)
		return answer(r, "application/json", `{"usage":{"prompt_tokens":3,"completion_tokens":4}}`), nil
	}), tel.options()...)
	body := `{"model":"tiny","messages":[{"role":"user","content":"` + strings.Repeat("x", 5<<20) + `"}]}`
	resp, err := tr.RoundTrip(chatRequest(body))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if call := tel.call(t); sent != int64(len(body)) || call.Model != "tiny" || call.Usage.Output.N != 4 {
		t.Errorf("got %d bytes, model %q, %d output tokens; want %d, tiny, 4", sent, call.Model, call.Usage.Output.N, len(body))
	}
}

func TestFault_D07_AReadErrorReachesTheCaller(t *testing.T) {
	tel := newTelemetry()
	broken := errors.New("broken")
	tr := otelvllm.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		resp := answer(r, "text/event-stream", "")
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"cho"), readerFunc(func([]byte) (int, error) { return 0, broken })))
		return resp, nil
	}), tel.options()...)
	resp, err := tr.RoundTrip(chatRequest(streamBody))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if !errors.Is(err, broken) || !bytes.HasSuffix(got, []byte("data: {\"cho")) {
		t.Errorf("got %q, %v; want all that came, and the error", got, err)
	}
	if call := tel.call(t); call.Outcome != otelvllm.Truncated || call.Chunks != 1 {
		t.Errorf("got %s with %d chunks, want truncated with 1", call.Outcome, call.Chunks)
	}
}

func TestFault_A32_NestedMiddlewareCountsOnce(t *testing.T) {
	tel := newTelemetry()
	mw := otelvllm.Middleware(tel.options()...)
	h := mw(mw(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(wholeBody)))
	tel.call(t)
	if names := tel.names(); len(names) != 3 { // SERVER, request, generation
		t.Errorf("got spans %v, want three", names)
	}
}

func TestFault_A36_ProbesPassWithoutCost(t *testing.T) {
	tel := newTelemetry()
	h := otelvllm.Middleware(tel.options()...)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r, w := httptest.NewRequest(http.MethodGet, "/health", nil), httptest.NewRecorder()
	if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
	if names := tel.names(); len(names) != 0 {
		t.Errorf("got spans %v, want none", names)
	}
}

func TestFault_F09_F11_APublicEndpointLinksToTheCallersTrace(t *testing.T) {
	tel := newTelemetry()
	h := otelvllm.Middleware(tel.options(otelvllm.WithPublicEndpoint(nil))...)(http.NotFoundHandler())
	r := httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(wholeBody))
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	h.ServeHTTP(httptest.NewRecorder(), r)
	s := tel.span(t, "POST "+chatPath)
	if s.Parent.IsValid() || len(s.Links) != 1 || s.Links[0].SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("got parent %v and links %v, want a root linked to the caller", s.Parent, s.Links)
	}
	for _, header := range []string{"", "garbage", "00-0-0-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", strings.Repeat("a", 1<<20)} {
		tel := newTelemetry()
		r := httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(wholeBody))
		r.Header.Set("Traceparent", header)
		otelvllm.Middleware(tel.options()...)(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if s := tel.span(t, "POST "+chatPath); s.Parent.IsValid() {
			t.Errorf("traceparent %.20q: got a parent, want a root", header)
		}
	}
}

// TestFault_F05_F06_F07_F08_NoSecretLeaves puts secrets wherever a request and its answer can hold them
// and looks for them in all that is exported.
func TestFault_F05_F06_F07_F08_NoSecretLeaves(t *testing.T) {
	tel := newTelemetry()
	var log bytes.Buffer
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "c=SECRET-setcookie")
		if bytes.Contains(body, []byte("fail")) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{"message":"SECRET-errortext","type":"BadRequestError","param":"SECRET-param","code":400}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range []string{
			`{"id":"x","model":"tiny","choices":[{"index":0,"delta":{"content":"SECRET-completion"}}]}`,
			`{"choices":[{"index":0,"delta":{"reasoning":"SECRET-reasoning"}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"SECRET-toolid","function":{"name":"SECRET-toolname","arguments":"SECRET-toolargs"}}]}}]}`,
			`{"error":{"message":"SECRET-streamerror","type":"InternalServerError","code":500}}`, `[DONE]`,
		} {
			fmt.Fprintf(w, "data: %s\n\n", e)
		}
	}))
	defer engine.Close()
	opts := tel.options(otelvllm.WithLogger(newTextLogger(&log)))
	client := &http.Client{Transport: otelvllm.NewTransport(nil, opts...)}
	gateway := httptest.NewServer(otelvllm.Middleware(opts...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, strings.Replace(engine.URL, "http://", "http://SECRET-user:SECRET-password@", 1)+r.URL.RequestURI(), r.Body)
		req.Header = r.Header.Clone()
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})))
	defer gateway.Close()
	for _, word := range []string{"", "fail"} {
		body := `{"model":"tiny","stream":true,"user":"SECRET-enduser","metadata":{"k":"SECRET-metadata"},"messages":[{"role":"system","content":"SECRET-system ` + word +
			`"},{"role":"user","content":[{"type":"text","text":"SECRET-prompt"},{"type":"image_url","image_url":{"url":"data:image/png;base64,SECRET-image"}}]}],` +
			`"tools":[{"type":"function","function":{"name":"SECRET-tool","description":"SECRET-tooldescription"}}]}`
		req, _ := http.NewRequest(http.MethodPost, gateway.URL+chatPath+"?key=SECRET-query&sig=SECRET-sig", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		for _, h := range []string{"Authorization", "Api-Key", "X-Api-Key", "Cookie", "Proxy-Authorization", "X-Custom", "Baggage", "X-Request-Id", "Referer"} {
			req.Header.Set(h, "SECRET-"+h)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	gateway.Close()
	recorder := httptest.NewRecorder()
	tel.registry.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/requests", nil))
	exported := fmt.Sprintf("%+v\n%+v\n%s\n%s\n%+v", tel.spans.GetSpans(), tel.metrics(t), log.String(), recorder.Body.String(), tel.calls)
	if i := strings.Index(exported, "SECRET"); i >= 0 {
		t.Errorf("a secret left: …%s…", exported[max(0, i-80):min(len(exported), i+80)])
	}
	if len(tel.calls) != 2 || !strings.Contains(log.String(), "complete") {
		t.Errorf("got %d calls and log %q, want two calls that were logged", len(tel.calls), log.String())
	}
}

func TestCloseIdleConnectionsReachesTheBase(t *testing.T) {
	base := &closer{}
	otelvllm.NewTransport(base).CloseIdleConnections()
	if !base.closed {
		t.Error("the base was not told")
	}
	otelvllm.NewTransport(roundTrip(nil)).CloseIdleConnections() // cannot, and does not panic
}

func newTextLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

type closer struct{ closed bool }

func (*closer) RoundTrip(*http.Request) (*http.Response, error) { return nil, context.Canceled }
func (c *closer) CloseIdleConnections()                         { c.closed = true }
