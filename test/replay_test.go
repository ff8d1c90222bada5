package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// recordedDirs hold recordings of a real vLLM: some in the repository, and more beside it.
var recordedDirs = []string{"../otelvllm/internal/wire/testdata/vllm-live", "../../shared/testdata/vllm-live"}

// notReplayed are recordings that the simulated engine cannot answer alike, each with its reason. A name that ends in *
// stands for all that begin like it.
var notReplayed = map[string]string{
	"err-chat-on-embed":          "the simulated engine generates and embeds at once, where vLLM does what its model can",
	"err-embeddings-on-generate": "the simulated engine generates and embeds at once, where vLLM does what its model can",
	"score-classify2":            "the simulated engine scores and classifies at once, where vLLM does what its model can",
	"render-chat":                "rendering is not simulated: no program of this project asks for it",
	"tokenizer-info":             "the simulated engine has no tokenizer to tell of",
	"embeddings-messages":        "embedding a chat is not simulated",
	"err-embed-cohere-dimension": "an embedding of the simulated model can be cut to any length",
	"kv-event-sources":           "the simulated engine publishes no KV events",
	"err-prompt-too-long":        "the simulated engine counts a token for every 4 bytes, so that the same prompt fits",
}

// setups say with which flags and in which state the recorded engine was, by the beginning of a recording's name.
var setups = []struct {
	prefix string
	set    func(*sim.Config)
	fault  sim.Injection
}{
	{prefix: "err-401", set: func(c *sim.Config) { c.APIKey = "sk-other" }},
	{prefix: "err-503", fault: sim.Injection{Kind: sim.Busy}},
	{prefix: "err-dp2", set: func(c *sim.Config) { c.DataParallelSize = 2 }},
	{prefix: "dp2", set: func(c *sim.Config) { c.DataParallelSize = 2 }},
	{prefix: "metrics-dp2", set: func(c *sim.Config) { c.DataParallelSize = 2 }},
	{prefix: "kill-engine", fault: sim.Injection{Kind: sim.ErrorEvent, AfterTokens: 5}},
	{prefix: "keepalive-death", fault: sim.Injection{Kind: sim.ErrorEvent, AfterTokens: 5}},
	{prefix: "wedge-worker", fault: sim.Injection{Kind: sim.ErrorEvent, AfterTokens: 5}},
	{prefix: "metrics-embed", set: func(c *sim.Config) { c.ToolCallParser = "" }},
	{prefix: "is-paused", fault: sim.Injection{Kind: sim.Pause}},
	{prefix: "is-sleeping", fault: sim.Injection{Kind: sim.Sleep}},
	{prefix: "chat-stop", set: func(c *sim.Config) { c.Seed = 5 }}, // an answer of several tokens before the stop string
}

// before are requests that had been answered before the recorded one, where its answer shows that.
var before = map[string][]string{"metrics-sleeping": {"/sleep"}, "metrics-paused": {"/sleep", "/wake_up", "/pause"}}

// exchange is a recorded request and its answer.
type exchange struct {
	name     string
	request  *http.Request
	response *http.Response
	body     []byte
	cut      bool // the answer ended without its end
	timed    bool // it is known how it ended
}

func readExchange(t *testing.T, dir, name string) (x exchange, ok bool) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name+".request"))
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	x.name = name
	if x.request, err = http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader("\r\n\r\n"), bytes.NewReader(body)))); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if raw, err = os.ReadFile(filepath.Join(dir, name+".http")); err != nil {
		return x, false // no answer came
	}
	head, x.body, _ = bytes.Cut(raw, []byte("\r\n\r\n"))
	var plain []string // without what a parser would act upon
	for _, line := range strings.Split(string(head), "\r\n") {
		if lower := strings.ToLower(line); !strings.HasPrefix(lower, "transfer-encoding") && !strings.HasPrefix(lower, "content-length") {
			plain = append(plain, line)
		}
	}
	if x.response, err = http.ReadResponse(bufio.NewReader(strings.NewReader(strings.Join(plain, "\r\n")+"\r\n\r\n")), nil); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	timing, err := os.ReadFile(filepath.Join(dir, name+".timing"))
	x.timed = err == nil
	x.cut = err == nil && !strings.HasSuffix(strings.TrimSpace(string(timing)), "end")
	return x, true
}

// replayEngine returns an engine with the flags and in the state of the recorded one.
func replayEngine(t *testing.T, name string) *sim.Engine {
	t.Helper()
	cfg := sim.Config{
		Model: "tiny", MaxModelLen: 2048, MaxNumSeqs: 8, BlockSize: 128, PromptTokensDetails: true, RequestIDHeaders: true,
		PerRequestMetrics: true, ServerLoadTracking: true, ToolCallParser: "hermes", DevMode: true, Timing: sim.Timing{Step: 100 * time.Microsecond},
	}
	var fault sim.Injection
	for _, s := range setups {
		if !strings.HasPrefix(name, s.prefix) {
			continue
		}
		if s.set != nil {
			s.set(&cfg)
		}
		fault = s.fault
	}
	engine := sim.New(cfg)
	if fault.Kind != "" {
		if err := engine.Inject(fault); err != nil {
			t.Fatal(err)
		}
	}
	return engine
}

// replay sends a recorded request to an engine and returns its answer, and whether that was cut off.
func replay(t *testing.T, x exchange, engine http.Handler) (resp *http.Response, body []byte, cut bool) {
	t.Helper()
	server := httptest.NewServer(engine)
	defer server.Close()
	req := x.request.Clone(t.Context())
	req.URL.Scheme, req.URL.Host, req.RequestURI = "http", server.Listener.Addr().String(), ""
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp, body, err != nil
}

func TestReplayOfEveryRecordedRequest(t *testing.T) {
	for i, dir := range recordedDirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.request"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 && i > 0 {
			t.Logf("the recordings in %s are not here; those in the repository are", dir)
			continue
		}
		replayed := 0
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".request")
			why := notReplayed[name]
			x, answered := readExchange(t, dir, name)
			if !answered {
				why = "the recorded request got no answer"
			}
			if why == "" {
				replayed++
			}
			t.Run(name, func(t *testing.T) {
				if why != "" {
					t.Skip(why)
				}
				t.Parallel() // a long answer takes seconds, in which nothing is computed
				replayAndCompare(t, x)
			})
		}
		if replayed*10 < len(files)*9 {
			t.Errorf("replayed %d of %d recordings in %s, want nine in ten or more", replayed, len(files), dir)
		}
	}
}

// replayAndCompare has the simulated engine answer a recorded request.
func replayAndCompare(t *testing.T, x exchange) {
	t.Helper()
	engine := replayEngine(t, x.name)
	for _, path := range before[x.name] {
		engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil))
	}
	resp, body, cut := replay(t, x, engine)
	if resp.StatusCode != x.response.StatusCode {
		t.Fatalf("got status %d, want %d: %.300s", resp.StatusCode, x.response.StatusCode, body)
	}
	compareHeaders(t, x, resp.Header)
	switch media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); media {
	case "text/event-stream":
		compareStreams(t, x, body, cut)
	case "application/json":
		compare(t, "body", shapeOf(t, body), shapeOf(t, x.body), allowedIn(x.name))
	case "application/octet-stream":
		if len(body) != len(x.body) {
			t.Errorf("got %d bytes of vectors, want %d", len(body), len(x.body))
		}
		if want := x.response.Header.Get("Metadata"); want != "" {
			compare(t, "Metadata", shapeOf(t, []byte(resp.Header.Get("Metadata"))), shapeOf(t, []byte(want)), nil)
		}
	case "text/plain":
		if x.request.URL.Path == "/metrics" {
			compareFamilies(t, body, x.body)
		}
	default:
		if len(body) != 0 || len(x.body) != 0 {
			t.Errorf("got %q, want %q", body, x.body)
		}
	}
}

// compareHeaders compares the names of the headers, and the values that do not differ from answer to answer.
func compareHeaders(t *testing.T, x exchange, got http.Header) {
	t.Helper()
	names := func(h http.Header) (names []string) {
		for name := range h {
			if name != "Content-Length" && name != "Date" { // taken off with the framing; net/http writes it
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	if a, b := names(got), names(x.response.Header); !slices.Equal(a, b) {
		t.Errorf("got the headers %v, want %v", a, b)
	}
	for _, name := range []string{"Content-Type", "Server", "Vary", "Allow"} {
		if a, b := got.Get(name), x.response.Header.Get(name); a != b {
			t.Errorf("got %s: %s, want %s", name, a, b)
		}
	}
}

// compareStreams compares the order of the events, and what each kind of event holds.
func compareStreams(t *testing.T, x exchange, got []byte, cut bool) {
	t.Helper()
	a, b := eventsOf(t, got), eventsOf(t, x.body)
	if order, want := a.order(), b.order(); order != want && !x.cut && orderAllowed[x.name] == "" {
		t.Errorf("got the events\n%s\nwant\n%s", order, want)
	}
	for kind, want := range b.shapes {
		if _, ok := a.shapes[kind]; !ok && x.cut {
			continue // the recording was cut elsewhere
		}
		compare(t, "event "+kind, a.shapes[kind], want, allowedIn(x.name))
	}
	if strings.Contains(x.name, "responses-stream") && x.timed && x.cut != cut {
		t.Errorf("got an answer that is cut: %v, want %v", cut, x.cut)
	}
}

// compareFamilies compares the families of /metrics with their types. Those of what has not happened are missing on
// both sides.
func compareFamilies(t *testing.T, got, want []byte) {
	t.Helper()
	families := func(text []byte) map[string]string {
		all := map[string]string{}
		for _, line := range strings.Split(string(text), "\n") {
			if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
				all[f[2]] = f[3]
			}
		}
		return all
	}
	a, b := families(got), families(want)
	var differ []string
	for name, kind := range b {
		if a[name] != kind && !strings.HasPrefix(name, "http_") { // they come with the first request
			differ = append(differ, fmt.Sprintf("%s: got %q, want %q", name, a[name], kind))
		}
	}
	for name, kind := range a {
		if b[name] == "" {
			differ = append(differ, fmt.Sprintf("%s: got %q, which vLLM does not have", name, kind))
		}
	}
	if slices.Sort(differ); len(differ) > 0 {
		t.Errorf("families:\n%s", strings.Join(differ, "\n"))
	}
}
