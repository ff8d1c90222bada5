package livepage_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/livepage"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// What watches a gateway. The registry is filled by otelvllm.Middleware and otelvllm.NewReverseProxy, which get it as
// otelvllm.WithRegistry(registry), on another port than that of the operators.
func Example() {
	registry := &inflight.Registry{}
	monitor := engine.NewMonitor([]string{"http://127.0.0.1:8000"})
	dog := &watchdog.Watchdog{Registry: registry, Engines: monitor.Status}
	document := &health.Source{Registry: registry, Engines: monitor.Status, Findings: dog.Findings}
	page := livepage.New(
		livepage.Source{Health: document, Registry: registry, Findings: dog.Findings, Cleared: dog.Cleared},
		livepage.WithLinks(livepage.Link{Name: "findings", URL: "findings"}),
		livepage.WithTraceURL(func(id string) string { return "http://127.0.0.1:16686/trace/" + id }),
	)

	ctx, stop := context.WithCancel(context.Background()) // a program ends it when it is told to
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{monitor.Run, dog.Run, document.Run, page.Run} {
		parts.Go(func() {
			if err := run(ctx); err != nil {
				fmt.Println(err)
			}
		})
	}

	operators := http.NewServeMux()
	operators.Handle("/", page)
	operators.Handle("/health", document.Handler())
	operators.Handle("/requests", registry)
	operators.Handle("/findings", dog)

	for _, path := range []string{"/", "/health", "/requests", "/findings"} {
		w := httptest.NewRecorder()
		operators.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
		fmt.Println(path, w.Code, kind)
	}
	stop()
	parts.Wait()
	// Output:
	// / 200 text/html
	// /health 200 application/json
	// /requests 200 application/json
	// /findings 200 application/json
}
