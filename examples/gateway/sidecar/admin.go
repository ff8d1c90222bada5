package sidecar

import "net/http"

// adminHandler answers the operator. It reads memory only: it answers while the engine hangs.
func (s *Sidecar) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.Page)
	mux.Handle("GET /requests", s.Page.Guard(s.Registry))
	mux.Handle("GET /findings", s.Page.Guard(s.Watchdog))
	mux.Handle("GET /evidence", s.Page.Guard(s.Watchdog.EvidenceHandler()))
	mux.Handle("GET /health", s.Page.Guard(s.Health.Handler()))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.serveReady)
	if s.config.Metrics != nil {
		mux.Handle("GET /metrics", s.Page.Guard(s.config.Metrics))
	}
	return mux
}

// serveReady answers 200 while the engine serves requests.
func (s *Sidecar) serveReady(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if s.ready() {
		_, _ = w.Write([]byte("ready\n"))
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte("the engine is not ready\n"))
}
