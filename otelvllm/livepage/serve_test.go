package livepage

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// ask answers one request by the page.
func ask(p http.Handler, method, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

func TestAPageOfNothingIsAPage(t *testing.T) {
	w := ask(New(Source{}), http.MethodGet, "/")
	body := w.Body.String()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got %d %v, want an HTML page", w.Code, w.Header())
	}
	for _, text := range []string{"not watched", "Findings are not known", "No request is running", "no engine is watched", "No request has ended"} {
		if !strings.Contains(body, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if strings.Contains(body, "Nothing hangs") {
		t.Error("the page says that nothing hangs, though nobody watches")
	}
	if strings.Contains(body, "NaN") {
		t.Error("the page shows NaN")
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	p := New(Source{})
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8",
		"/history.json": "application/json", "/nothing": "text/plain; charset=utf-8",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := ask(p, method, path)
			h := w.Header()
			if h.Get("Content-Type") != contentType || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" ||
				h.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s %s: got %v", method, path, h)
			}
			if got := h.Get("Content-Security-Policy"); got != policy {
				t.Errorf("%s %s: got the policy %q, want %q", method, path, got, policy)
			}
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "PROPFIND"} {
		if w := ask(p, method, "/"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d, want 405", method, w.Code)
		}
	}
}

// TestThePageNeedsNothingElse holds the page to its content policy: no script or style in it, no
// address of another host.
func TestThePageNeedsNothingElse(t *testing.T) {
	page := ask(New(Source{}), http.MethodGet, "/").Body.String()
	for _, pattern := range []string{`(?i)\son[a-z]+=`, `(?i)\sstyle=`, `(?i)<style`, `(?i)<script(?: [^>]*)?>[^<]`, `(?i)(src|href)="(https?:)?//`} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
	for _, name := range []string{"page.css", "page.js"} {
		asset, err := assets.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []string{`https?://`, `@import`, `url\(`, `\beval\b`, `new Function`} {
			if found := regexp.MustCompile(pattern).Find(asset); found != nil {
				t.Errorf("%s has %q", name, found)
			}
		}
	}
}

func TestTheHostHeaderIsChecked(t *testing.T) {
	loopback := func(r *http.Request) *http.Request {
		return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9091}))
	}
	for _, c := range []struct {
		name, host string
		local      bool
		hosts      []string
		want       int
	}{
		{"localhost on a loopback address", "localhost:9091", true, nil, 200},
		{"an address", "127.0.0.1:9091", true, nil, 200},
		{"an IPv6 address", "[::1]:9091", true, nil, 200},
		{"an IPv6 address without port", "[::1]", true, nil, 200},
		{"a name below localhost", "page.localhost:9091", true, nil, 200},
		{"a foreign name on a loopback address", "evil.example:9091", true, nil, 421},
		{"a name that ends like localhost", "evillocalhost", true, nil, 421},
		{"a foreign name where the network is trusted", "gateway.internal", false, nil, 200},
		{"an allowed name", "Gateway.internal:80", false, []string{"gateway.internal"}, 200},
		{"an allowed name with the root's dot", "gateway.internal.:80", true, []string{"gateway.internal"}, 200},
		{"another name than the allowed one", "evil.example", false, []string{"gateway.internal"}, 421},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = c.host
			if c.local {
				r = loopback(r)
			}
			w := httptest.NewRecorder()
			p := New(Source{}, WithHosts(c.hosts...))
			p.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("got %d, want %d", w.Code, c.want)
			}
			w = httptest.NewRecorder()
			p.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("beside the page: got %d, want %d", w.Code, c.want)
			}
		})
	}
}

func TestAnotherSitesPageGetsNoEvents(t *testing.T) {
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200, "": 200} {
		got := ask(New(Source{}), http.MethodGet, "/history.json", func(r *http.Request) {
			if site != "" {
				r.Header.Set("Sec-Fetch-Site", site)
			}
		}).Code
		if got != want {
			t.Errorf("Sec-Fetch-Site %q: got %d, want %d", site, got, want)
		}
	}
}

// nasties are texts that break pages which do not escape: the list of naughty strings where it is
// at hand, and our own.
func nasties(t *testing.T) []string {
	list := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg/onload=alert(1)>`, "</td></tr></table><script>", `javascript:alert(1)`,
		"\x00\x01\xff\xfe", "]]>--><!--", "{{.}}", `&lt;b&gt;`, strings.Repeat("x", 5000), "\u202egnp.exe", "</title></head>", "</textarea></svg></math>",
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "testdata", "blns", "blns.json"))
	if err != nil {
		t.Log("the list of naughty strings is not at hand; our own remain")
		return list
	}
	var more []string
	if err := json.Unmarshal(text, &more); err != nil {
		t.Fatal(err)
	}
	return append(list, more...)
}

// hostile is a source with a text in every place where one may come from outside.
func hostile(text string) Source {
	registry := &inflight.Registry{}
	now := time.Now()
	info := inflight.Info{TraceID: text, SpanID: text, Operation: text, Model: text, Route: text, Start: now.Add(-time.Minute)}
	q := registry.Begin(info)
	q.Enter(inflight.Phase(text), now.Add(-30*time.Second))
	q.Stalled(inflight.Stall{Cause: text, Phase: text, Summary: text, Remedy: text})
	registry.Begin(info).End(text, []inflight.Span{{Name: text, Parent: -1, Start: now, Duration: time.Second}}, now)
	findings := func() []watchdog.Finding {
		return []watchdog.Finding{{
			// A semicolon would make a list of the remedy.
			Code: watchdog.Code(text), Summary: text, Remedy: strings.ReplaceAll(text, ";", ","), Engine: &text, Requests: []string{text}, Since: now,
			Evidence: map[string]any{text: text, "list": []string{text}}, Cleared: &now,
		}}
	}
	return Source{Registry: registry, Findings: findings, Cleared: findings, Health: &health.Source{
		Registry: registry, Findings: findings,
		Engines: func() []engine.Status {
			return []engine.Status{{Address: text, State: engine.State(text), Err: text, Version: text, Models: []string{text}}}
		},
		GPUs: func() []health.GPUStats { return []health.GPUStats{{ID: text, UUID: &text, Name: &text}} },
	}}
}

// shape lists the elements of a page with the names of their attributes.
func shape(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			b.WriteString("<" + n.Data)
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key)
			}
			b.WriteString(">")
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	return b.String()
}

// TestFault_J09_NoTextAddsAnElement compares the page of a hostile text with that of a harmless one:
// both have the same elements with the same attributes.
func TestFault_J09_NoTextAddsAnElement(t *testing.T) {
	// The plots hold no text from outside and are most of the page: they are drawn once only.
	draw := func(text string, whole bool) string {
		p := New(hostile(text))
		if whole {
			return ask(p, http.MethodGet, "/").Body.String()
		}
		f, err := p.frame(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return "<title>" + html.EscapeString(f.title) + "</title>" + f.parts["status"] + f.parts["findings"] + f.parts["running"] + f.parts["recent"] + f.parts["host"]
	}
	want := map[bool]string{true: shape(t, draw("harmless", true)), false: shape(t, draw("harmless", false))}
	for i, text := range nasties(t) {
		if strings.TrimSpace(text) == "" {
			continue // what is not there has no element
		}
		whole := i < 10
		page := draw(text, whole)
		if got, want := shape(t, page), want[whole]; got != want {
			same := 0
			for same < min(len(got), len(want)) && got[same] == want[same] {
				same++
			}
			t.Errorf("%.60q changes the page: got …%.80s, want …%.80s", text, got[same:], want[same:])
		}
		if strings.Contains(page, "<script>alert") {
			t.Errorf("%.60q is in the page as it is", text)
		}
	}
}

// TestFault_J09_ReloadsShareOneDrawing shows that asking often does not draw often.
func TestFault_J09_ReloadsShareOneDrawing(t *testing.T) {
	calls := 0
	p := New(Source{Findings: func() []watchdog.Finding { calls++; return nil }})
	for range 200 {
		ask(p, http.MethodGet, "/")
	}
	if calls > 20 { // each drawing asks twice
		t.Errorf("200 requests at once asked for the findings %d times, want a few", calls)
	}
}

func TestTraceLinksGoWhereTheyAreSent(t *testing.T) {
	registry := &inflight.Registry{}
	registry.Begin(inflight.Info{TraceID: "0af7651916cd43dd8448eb211c80319c"})
	for url, want := range map[string]string{
		"https://jaeger.example/trace/": `href="https://jaeger.example/trace/0af7651916cd43dd8448eb211c80319c"`,
		"javascript:alert(1)//":         `href="#ZgotmplZ"`,
	} {
		p := New(Source{Registry: registry}, WithTraceURL(func(id string) string { return url + id }))
		if page := ask(p, http.MethodGet, "/").Body.String(); !strings.Contains(page, want) {
			t.Errorf("%s: the page lacks %s", url, want)
		}
	}
}
