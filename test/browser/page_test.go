package browser

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/livepage"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// service is a live page over a registry and findings that the test sets.
type service struct {
	registry *inflight.Registry
	server   *httptest.Server
	stop     context.CancelFunc

	mu       sync.Mutex
	findings []watchdog.Finding
}

func newService(t *testing.T, opts ...livepage.Option) *service {
	t.Helper()
	s := &service{registry: &inflight.Registry{}}
	page := livepage.New(livepage.Source{Registry: s.registry, Findings: func() []watchdog.Finding {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.findings
	}}, opts...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- page.Run(ctx) }()
	s.stop = cancel
	s.server = httptest.NewServer(page)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		s.server.Close()
	})
	return s
}

func (s *service) find(findings ...watchdog.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.findings = findings
}

// stream begins a stream that decodes.
func (s *service) stream(model string) *inflight.Request {
	now := time.Now()
	q := s.registry.Begin(inflight.Info{
		TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: strconv.FormatInt(now.UnixNano(), 16), Operation: "chat", Model: model, Stream: true, Start: now.Add(-3 * time.Second),
	})
	q.Enter(inflight.PhaseDecode, now.Add(-2*time.Second))
	return q
}

// end ends a stream with the spans of a waterfall.
func end(q *inflight.Request) {
	s := q.Status(time.Now())
	q.OutputTokens(42)
	q.End("completed", []inflight.Span{
		{Name: "chat " + s.Model, Parent: -1, Start: s.Started, Duration: s.Age},
		{Name: "generation", Parent: 0, Start: s.Started, Duration: s.Age},
		{Name: "first_token", Parent: 1, Start: s.Started, Duration: time.Second},
		{Name: "decode", Parent: 1, Start: s.Started.Add(time.Second), Duration: s.Age - time.Second},
	}, time.Now())
}

func TestThePageFollowsWhatHappens(t *testing.T) {
	b := newTab(t)
	s := newService(t)
	b.do(chromedp.Navigate(s.server.URL))
	b.until("the page is live", `document.documentElement.classList.contains("live")`)

	q := s.stream("model-of-a-stream")
	b.until("a request that begins is shown", `document.querySelector("#running tbody tr .model")?.textContent.includes("model-of-a-stream")`)
	age := eval[string](b, `document.querySelector("#running td.age").textContent`)
	b.until("its age grows", `document.querySelector("#running td.age").textContent !== "`+age+`"`)

	s.find(watchdog.Finding{
		Code: "engine_wedged", Since: time.Now(), Summary: "the engine's counters stand still", Remedy: "dump its stacks; restart it",
		Requests: []string{"0af7651916cd43dd8448eb211c80319c"}, Evidence: map[string]any{"running": 1},
	})
	q.Stalled(inflight.Stall{Cause: "engine_wedged"})
	b.until("a finding is shown with its steps", `document.querySelectorAll("#findings .finding .do li").length === 2`)
	b.until("the request is marked", `document.querySelector("#running tr.stalled .cause")?.textContent.includes("engine_wedged")`)
	b.until("a reader that listens is told", `document.getElementById("news").textContent.includes("engine_wedged")`)
	b.until("the window's title tells", `document.title.startsWith("(1) engine_wedged")`)
	b.until("the window's icon is red", `document.getElementById("icon").href.includes("ff6b60")`)

	s.find()
	end(q)
	b.until("the finding goes", `document.querySelectorAll("#findings .finding").length === 0 && document.getElementById("news").textContent === "No finding is open."`)
	b.until("the request has ended", `document.querySelector("#recent details .outcome")?.textContent === "completed"`)
	b.unharmed()
}

func TestAWaterfallOpensAndStaysOpen(t *testing.T) {
	b := newTab(t)
	s := newService(t)
	end(s.stream("first"))
	b.do(chromedp.Navigate(s.server.URL))
	b.until("the request is listed", `document.querySelectorAll("#recent details").length === 1`)

	// By keyboard: the first stop of the tab key that is a summary opens with Enter.
	eval[bool](b, `(document.querySelector("#recent summary").focus(), true)`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("Enter opens the spans", `document.querySelector("#recent details").open && document.querySelectorAll("#recent .spans li").length === 4`)
	if width := eval[float64](b, `document.querySelectorAll("#recent .spans rect")[3].getBoundingClientRect().width`); width < 20 {
		t.Errorf("the decode span is %v px wide, want most of the track", width)
	}
	eval[bool](b, `(document.activeElement.blur(), true)`)
	end(s.stream("second"))
	b.until("a newer request comes first", `document.querySelectorAll("#recent details").length === 2 && document.querySelector("#recent details .model").textContent === "second"`)
	if !eval[bool](b, `document.querySelectorAll("#recent details")[1].open`) {
		t.Error("the open request closed when another came")
	}
	b.unharmed()
}

func TestNothingMovesUnderThePointer(t *testing.T) {
	b := newTab(t)
	b.size(1200, 900, false)
	s := newService(t)
	end(s.stream("first"))
	b.do(chromedp.Navigate(s.server.URL))
	b.until("the page is live", `document.documentElement.classList.contains("live") && document.querySelectorAll("#recent details").length === 1`)
	box := eval[[]float64](b, `(() => { const r = document.querySelector("#recent summary").getBoundingClientRect(); return [r.x + 20, r.y + 8]; })()`)
	b.do(chromedp.MouseEvent("mouseMoved", box[0], box[1]))
	end(s.stream("second"))
	b.until("the list says that it is held", `document.querySelector('[data-held="recent"]').textContent.includes("held while you look")`)
	if n := eval[int](b, `document.querySelectorAll("#recent details").length`); n != 1 {
		t.Errorf("got %d rows under the pointer, want still 1", n)
	}
	b.do(chromedp.MouseEvent("mouseMoved", 600, 5))
	b.until("the list catches up", `document.querySelectorAll("#recent details").length === 2 && document.querySelector('[data-held="recent"]').textContent === ""`)
	b.unharmed()
}

func TestAPlotTellsTheValuesOfAMoment(t *testing.T) {
	b := newTab(t)
	b.size(1200, 900, false)
	s := newService(t)
	s.stream("m").Progress(time.Now(), 100)
	b.do(chromedp.Navigate(s.server.URL))
	b.until("the page is live", `document.documentElement.classList.contains("live")`)
	eval[bool](b, `(document.querySelector("#plots svg").focus(), true)`)
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	b.until("the arrow key sets a moment", `document.getElementById("moment").textContent.startsWith("at ")`)
	b.until("all plots show it", `[...document.querySelectorAll("#plots .cross")].every((c) => Number(c.getAttribute("x1")) > 40)`)
	eval[bool](b, `(document.activeElement.blur(), true)`)
	b.until("it goes with the focus", `document.getElementById("moment").textContent === "" && document.querySelector("#plots .cross").getAttribute("x1") === "-9"`)
	box := eval[[]float64](b, `(() => { const r = document.querySelectorAll("#plots svg")[1].getBoundingClientRect(); return [r.x + r.width / 2, r.y + 30]; })()`)
	b.do(chromedp.MouseEvent("mouseMoved", box[0], box[1]))
	b.until("the pointer sets one too", `Math.abs(Number(document.querySelector("#plots .cross").getAttribute("x1")) - 160) < 3`)
	b.unharmed()
}

func TestALostConnectionIsSaid(t *testing.T) {
	b := newTab(t)
	s := newService(t)
	b.do(chromedp.Navigate(s.server.URL))
	b.until("the page is live", `document.documentElement.classList.contains("live")`)
	s.stop()
	b.until("the page says that it is old", `!document.getElementById("stale").hidden && document.documentElement.classList.contains("old")`)
}

func TestThePageWorksWithoutScript(t *testing.T) {
	b := newTab(t)
	s := newService(t)
	end(s.stream("ended"))
	s.stream("first-model")
	b.withoutScript()
	b.do(chromedp.Navigate(s.server.URL))
	b.until("the requests are there", `document.querySelector("#running .model").textContent.includes("first-model")`)
	// A click opens the spans: the browser itself does it.
	b.do(chromedp.Click(chromedp.CSS("#recent summary")))
	b.until("a click opens the spans", `document.querySelector("#recent details").open`)
	s.stream("second-model")
	b.until("the page reloads by itself", `document.querySelectorAll("#running tbody tr").length === 2`)
}

func TestAHostileModelNameStaysText(t *testing.T) {
	b := newTab(t)
	s := newService(t)
	const name = `<img src=x onerror="wrong.push('ran')"><script>wrong.push('ran')</script>`
	b.do(chromedp.Navigate(s.server.URL))
	b.until("the page is live", `document.documentElement.classList.contains("live")`)
	s.stream(name)
	b.until("the name is shown as it is", `document.querySelector("#running .model")?.firstChild.data === `+strconv.Quote(name))
	b.unharmed()
	b.do(chromedp.Navigate(s.server.URL))
	if n := eval[int](b, `document.querySelectorAll("#running img, #running script").length`); n != 0 {
		t.Errorf("the name became %d elements", n)
	}
	b.unharmed()
}

func TestAForeignNameIsRefused(t *testing.T) {
	b := newTab(t)
	s := newService(t)
	request, err := http.NewRequestWithContext(b.ctx, http.MethodGet, s.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "rebound.example"
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("got %d for a foreign name on a loopback address, want 421", answer.StatusCode)
	}
}

// TestTheTabKeyReachesEverything walks the page by keyboard.
func TestTheTabKeyReachesEverything(t *testing.T) {
	b := newTab(t)
	s := newService(t)
	end(s.stream("ended"))
	b.do(chromedp.Navigate(s.server.URL))
	seen := map[string]bool{}
	for range 30 {
		b.do(chromedp.KeyEvent(kb.Tab))
		seen[eval[string](b, `document.activeElement.tagName.toLowerCase() + (document.activeElement.matches(":focus-visible") ? "" : " without a mark")`)] = true
	}
	for _, name := range []string{"a", "summary", "svg"} {
		if !seen[name] {
			t.Errorf("the tab key reached %v, want also %s", seen, name)
		}
	}
}
