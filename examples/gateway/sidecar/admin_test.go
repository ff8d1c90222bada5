package sidecar

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// TestAForeignNameReadsNothingOfTheAdminListener asks as a browser does whose page has pointed its own name at this
// host's loopback address.
func TestAForeignNameReadsNothingOfTheAdminListener(t *testing.T) {
	engine, _ := url.Parse("http://127.0.0.1:1")
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	s := New(Config{Engine: engine, StallAfter: time.Second, ScrapeInterval: time.Second, Metrics: metrics})
	admin := httptest.NewServer(s.Admin)
	defer admin.Close()
	status := func(path, host string) int {
		r, _ := http.NewRequest(http.MethodGet, admin.URL+path, nil)
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, path := range []string{"/", "/requests", "/findings", "/evidence", "/health", "/metrics", "/history.json"} {
		if got := status(path, "stranger.example"); got != http.StatusMisdirectedRequest {
			t.Errorf("%s under a foreign name: got %d, want 421", path, got)
		}
		if got := status(path, "localhost:9091"); got != http.StatusOK {
			t.Errorf("%s as localhost: got %d, want 200", path, got)
		}
	}
	if got := status("/healthz", "probe.example"); got != http.StatusOK {
		t.Errorf("/healthz, which tells nothing: got %d under any name, want 200", got)
	}
}

// TestAdminHostsCountWhateverTheAddress asks over a connection that is not known to be one of this host alone, as those
// are that come through a container's published port.
func TestAdminHostsCountWhateverTheAddress(t *testing.T) {
	engine, _ := url.Parse("http://127.0.0.1:1")
	s := New(Config{Engine: engine, StallAfter: time.Second, ScrapeInterval: time.Second, AdminHosts: []string{"gateway"}})
	for host, want := range map[string]int{
		"gateway:9091": http.StatusOK, "127.0.0.1:9091": http.StatusOK, "stranger.example:9091": http.StatusMisdirectedRequest,
	} {
		r := httptest.NewRequest(http.MethodGet, "/findings", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if s.Admin.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: got %d, want %d", host, w.Code, want)
		}
	}
}
