package otelvllm_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

func TestProxyIsMadeAlsoWhereTheDefaultTransportWasReplaced(t *testing.T) {
	engine := httptest.NewServer(say(`{"id":"x"}`))
	defer engine.Close()
	before := http.DefaultTransport
	http.DefaultTransport = roundTrip(before.RoundTrip)
	defer func() { http.DefaultTransport = before }()
	target, _ := url.Parse(engine.URL)
	w := httptest.NewRecorder()
	otelvllm.NewReverseProxy(target, newTelemetry().options()...).ServeHTTP(w, httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(wholeBody)))
	if w.Code != http.StatusOK || w.Body.String() != `{"id":"x"}` {
		t.Errorf("got %d, %q; want 200 and the engine's answer", w.Code, w.Body)
	}
}

// TestFaultyRequestsFailAsWithoutTransport compares what a Transport says of requests that are wrong with what its base
// says.
func TestFaultyRequestsFailAsWithoutTransport(t *testing.T) {
	engine := httptest.NewServer(say(`{"id":"x"}`))
	defer engine.Close()
	announced := func(n int64) func() *http.Request {
		return func() *http.Request {
			r, _ := http.NewRequest(http.MethodPost, engine.URL+chatPath, io.NopCloser(strings.NewReader(wholeBody)))
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = n
			return r
		}
	}
	for _, tt := range []struct {
		name    string
		request func() *http.Request
	}{
		{"no URL", func() *http.Request { return &http.Request{Method: http.MethodPost, Header: http.Header{}} }},
		{"no URL, GET", func() *http.Request { return &http.Request{Header: http.Header{}} }},
		{"a body shorter than announced", announced(int64(len(wholeBody)) + 1)},
		{"a body longer than announced", announced(int64(len(wholeBody)) - 1)},
		{"a body as long as announced", announced(int64(len(wholeBody)))},
		{"a body whose length is not known", announced(-1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			say := func(base http.RoundTripper) string {
				resp, err := base.RoundTrip(tt.request())
				if err != nil {
					return err.Error()
				}
				defer resp.Body.Close()
				return fmt.Sprint("status ", resp.StatusCode)
			}
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			want := say(base)
			if got := say(otelvllm.NewTransport(base, newTelemetry().options()...)); got != want {
				t.Errorf("got %q, want %q as without", got, want)
			}
		})
	}
}
