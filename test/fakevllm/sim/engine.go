package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Engine is a simulated vLLM server: an http.Handler in front of one or more engine ranks. It needs no goroutine of its
// own and nothing to close: an engine without requests does nothing at all. All methods may be called from anywhere at
// any time.
type Engine struct {
	cfg         Config
	tracer      trace.Tracer // nil: no spans
	routes      map[string]map[string]route
	fingerprint string

	mu         sync.Mutex
	rng        *rand.Rand
	cores      []*core
	front      front
	stage      stage
	started    time.Time
	changed    chan struct{} // closed when anything changes that somebody may wait for
	lifetime   int           // counts deaths and starts, so that a timer of an earlier life does nothing
	clears     int           // counts Clear
	injections []*Injection  // faults that wait for requests
	held       bool          // loads until the fault Loading is lifted
	stuck      bool          // the HTTP server itself answers nothing (WedgeAPI)
	busy       bool          // every request is refused (Busy)
}

// New returns an engine that loads for Config.LoadTime and then serves. It starts nothing.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg.withDefaults(), changed: make(chan struct{})}
	if cfg.TracerProvider != nil {
		e.tracer = cfg.TracerProvider.Tracer("vllm.tracing.otel")
	}
	e.rng = rand.New(rand.NewPCG(e.cfg.Seed, 1))
	e.routes = map[string]map[string]route{}
	for _, r := range e.table() {
		if e.routes[r.path] == nil {
			e.routes[r.path] = map[string]route{}
		}
		e.routes[r.path][r.method] = r
	}
	h := fnv.New32a()
	fmt.Fprint(h, e.cfg.Model, e.cfg.MaxModelLen, e.cfg.BlockSize)
	e.fingerprint = fmt.Sprintf("vllm-%s-%08x", e.cfg.Version, h.Sum32())
	e.start(e.cfg.LoadTime)
	return e
}

// route is one endpoint: a row here and a method that serves it are all that a new one needs.
type route struct {
	method, path string
	serve        func(http.ResponseWriter, *http.Request)
	// counted requests are in http_requests_total, tracked ones in /load.
	counted, tracked bool
}

func (e *Engine) table() []route {
	rows := []route{
		{"POST", "/v1/chat/completions", e.serveChat, true, true},
		{"POST", "/v1/chat/completions/batch", e.serveBatch, true, true},
		{"POST", "/v1/completions", e.serveCompletions, true, true},
		{"POST", "/v1/embeddings", e.serveEmbeddings, true, true},
		{"POST", "/v2/embed", e.serveCohereEmbed, true, true},
		{"POST", "/v1/responses", e.serveResponses, true, true},
		{"POST", "/v1/messages", e.serveMessages, true, true},
		{"POST", "/v1/messages/count_tokens", e.serveCountTokens, true, true},
		{"POST", "/inference/v1/generate", e.serveGenerate, true, true},
		{"POST", "/cohere/v2/chat", e.serveCohere, true, true},
		{"POST", "/v1/audio/transcriptions", e.serveTranscriptions, true, true},
		{"POST", "/v1/audio/translations", e.serveTranslations, true, true},
		{"GET", "/v1/realtime", e.serveRealtime, false, false},
		{"POST", "/invocations", e.serveInvocations, true, false},
		{"POST", "/classify", e.serveClassify, true, true},
		{"POST", "/generative_scoring", e.serveGenerativeScoring, true, true},
		{"POST", "/pooling", e.servePooling, true, true},
		{"POST", "/score", e.serveScore, true, true},
		{"POST", "/v1/score", e.serveScore, true, true},
		{"POST", "/rerank", e.serveRerank, true, true},
		{"POST", "/v1/rerank", e.serveRerank, true, true},
		{"POST", "/v2/rerank", e.serveRerank, true, true},
		{"POST", "/tokenize", e.serveTokenize, true, false},
		{"POST", "/detokenize", e.serveDetokenize, true, false},
		{"GET", "/v1/models", e.serveModels, true, false},
		{"GET", "/version", e.serveVersion, false, false},
		{"GET", "/health", e.serveHealth, false, false},
		{"GET", "/ping", e.serveHealth, false, false},
		{"POST", "/ping", e.serveHealth, false, false},
		{"GET", "/load", e.serveLoad, false, false},
		{"GET", "/metrics", e.serveMetrics, false, false},
	}
	if e.cfg.DevMode {
		rows = append(rows, e.devTable()...)
	}
	return rows
}

// ServeHTTP answers like vLLM's HTTP server. While the engine loads or is gone it closes the connection without an
// answer; use Serve where the port itself has to refuse.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var stage stage
	if !e.await(r.Context(), func() bool { stage = e.stage; return !e.stuck }) {
		return
	}
	if stage == stageLoading || stage == stageGone {
		if stage == stageLoading && e.cfg.LoadStatus != 0 {
			w.WriteHeader(e.cfg.LoadStatus)
			return
		}
		reset(w)
		return
	}
	header := w.Header()
	header["Server"] = []string{"uvicorn"}
	if e.cfg.RequestIDHeaders {
		id := r.Header.Get("X-Request-Id")
		if id == "" {
			id = e.newID() + e.newID()
		}
		header["X-Request-Id"] = []string{id}
	}
	if e.cfg.APIKey != "" && guarded(r.URL.Path) && r.Header.Get("Authorization") != "Bearer "+e.cfg.APIKey {
		writeJSON(w, http.StatusUnauthorized, struct {
			Error string `json:"error"`
		}{"Unauthorized"})
		return
	}
	header["Vary"] = []string{"Origin"}
	if e.cfg.AllowRequestFaults {
		marked(r)
	}
	e.route(w, r)
}

// guarded reports whether a path asks for the API key: vLLM has endpoints at its root that are open to all.
func guarded(path string) bool {
	return strings.HasPrefix(path, "/v1") || strings.HasPrefix(path, "/v2") || strings.HasPrefix(path, "/inference") || strings.HasPrefix(path, "/cohere")
}

func (e *Engine) route(w http.ResponseWriter, r *http.Request) {
	methods, known := e.routes[r.URL.Path]
	row, allowed := methods[r.Method]
	handler := r.URL.Path
	switch {
	case !known:
		handler = "none"
		row = route{counted: true, serve: serveNotFound}
	case !allowed:
		row = route{counted: true, serve: notAllowed(methods)}
	}
	if !row.counted {
		row.serve(w, r)
		return
	}
	cw := &countingWriter{ResponseWriter: w, errors: e.cfg.Errors}
	if row.tracked {
		e.addLoad(1)
		defer e.addLoad(-1)
	}
	begin := time.Now()
	defer func() { e.countHTTP(handler, r, cw, time.Since(begin)) }()
	row.serve(cw, r)
}

// newID returns 16 hexadecimal digits.
func (e *Engine) newID() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprintf("%016x", e.rng.Uint64())
}

// leastLoaded chooses the rank for a new sequence.
func (e *Engine) leastLoaded() *core {
	best := e.cores[0]
	for _, c := range e.cores[1:] {
		if c.load() < best.load() {
			best = c
		}
	}
	return best
}

// load weighs waiting sequences more, as vLLM's load balancer does.
func (c *core) load() int { return 4*(len(c.waiting)+len(c.inbox)) + len(c.running) + len(c.deferred) }

// admission says whether the admission limits let a job in.
func (e *Engine) admission(j *job) *apiError {
	requests, tokens := 0, 0
	for _, c := range e.cores {
		requests += len(c.running)
		for _, list := range [][]*sequence{c.inbox, c.deferred, c.waiting} {
			requests += len(list)
			for _, s := range list {
				tokens += len(s.prompt)
			}
		}
	}
	for _, s := range j.seqs {
		tokens += len(s.prompt)
	}
	switch limit := e.cfg.MaxNumQueuedReqs; {
	case e.busy, limit > 0 && requests+len(j.seqs) > limit:
		e.front.rejectedRequests++
		return errBusy()
	}
	if limit := e.cfg.MaxNumQueuedTokens; limit > 0 && tokens > limit {
		e.front.rejectedTokens++
		return errBusy()
	}
	return nil
}
