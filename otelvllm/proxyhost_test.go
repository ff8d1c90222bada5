package otelvllm_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestTheProxyAsksForTheEngineByItsOwnName is what an engine behind an ingress needs, which finds it by that name.
func TestTheProxyAsksForTheEngineByItsOwnName(t *testing.T) {
	var host, forwarded string
	engine := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		host, forwarded = r.Host, r.Header.Get("X-Forwarded-Host")
	}))
	defer engine.Close()
	target, err := url.Parse(engine.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "http://gateway.example"+chatPath, strings.NewReader(wholeBody))
	otelvllm.NewReverseProxy(target).ServeHTTP(httptest.NewRecorder(), r)
	if host != target.Host || forwarded != "gateway.example" {
		t.Errorf("got host %q, forwarded host %q; want %q and the caller's gateway.example", host, forwarded, target.Host)
	}
}
