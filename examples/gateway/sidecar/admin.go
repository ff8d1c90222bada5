package sidecar

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle []byte

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"seconds": func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) },
}).Parse(pageText))

// adminHandler answers the operator. It reads memory only: it answers while the engine hangs.
func (s *Sidecar) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /page.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(pageStyle)
	})
	mux.Handle("GET /requests", s.Registry)
	mux.Handle("GET /findings", s.Watchdog)
	mux.HandleFunc("GET /health", s.serveHealth)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.serveReady)
	if s.config.Metrics != nil {
		mux.Handle("GET /metrics", s.config.Metrics)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// view is what the page shows.
type view struct {
	Engine   string
	Ready    string
	Findings []watchdog.Finding
	Running  []inflight.Status
	Recent   []inflight.Status
}

// shownRecent bounds the finished requests on the page.
const shownRecent = 50

func (s *Sidecar) servePage(w http.ResponseWriter, _ *http.Request) {
	v := view{Engine: s.config.Engine.Redacted(), Findings: s.Watchdog.Findings(), Running: s.Registry.Running(), Recent: s.Registry.Recent()}
	v.Recent = v.Recent[:min(len(v.Recent), shownRecent)]
	switch state := s.probe.state.Load(); {
	case state == nil:
		v.Ready = "not asked yet"
	case state.err != nil:
		v.Ready = "not ready"
	default:
		v.Ready = "answers /health"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, v) // the reader has left: nobody to tell
}

// serveReady answers 200 while the engine takes requests.
func (s *Sidecar) serveReady(w http.ResponseWriter, _ *http.Request) {
	if s.probe.up() {
		_, _ = w.Write([]byte("ready\n"))
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte("the engine is not ready\n"))
}

// serveHealth answers what is known without the engine's metrics.
func (s *Sidecar) serveHealth(w http.ResponseWriter, _ *http.Request) {
	running, findings := s.Registry.Running(), s.Watchdog.Findings()
	if findings == nil {
		findings = []watchdog.Finding{}
	}
	summary := fmt.Sprintf("%d requests running, none stalled", len(running))
	if len(findings) > 0 {
		summary = fmt.Sprintf("%d requests running; %s", len(running), findings[0].Summary)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"stats":   map[string]any{"timestamp": time.Now().UTC(), "pending_tasks": len(running), "engine_initialized": s.probe.up(), "findings": findings},
		"summary": summary,
	})
}
