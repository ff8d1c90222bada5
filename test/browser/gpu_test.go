package browser

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
	"github.com/otelvllm/otelvllm-go/otelvllm/gpus"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/livepage"
)

// playedGPUs serves the live page of a host whose GPUs are played: eight under load, of which one is
// hot and one falls off the bus, one that is divided and one for desktops.
func playedGPUs(t *testing.T) *httptest.Server {
	t.Helper()
	cards := fake.H100s(8, fake.Serve)
	cards[2] = cards[2].Overheats(0, time.Hour)
	cards[5] = cards[5].FallsOffTheBus(time.Second)
	divided, desktop := fake.DividedH100(fake.Serve), fake.RTX4080(fake.Serve)
	divided.Index, desktop.Index = 8, 9
	source := fake.New(append(cards, divided, desktop)...)
	began := time.Now()
	source.Clock = func() time.Time { return began.Add(30 * time.Since(began)) } // so that it becomes hot soon
	monitor, err := gpumetrics.New(source, gpumetrics.WithInterval(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	view := gpus.New(monitor)
	registry := &inflight.Registry{}
	p := livepage.New(livepage.Source{Registry: registry, Health: &health.Source{Registry: registry, GPUs: view.Health}})
	go func() { _ = monitor.Run(t.Context()) }()
	go func() { _ = p.Run(t.Context()) }()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server
}

// TestPlayedGPUsAreOnThePage looks at them on wide and narrow screens, in light and dark.
func TestPlayedGPUsAreOnThePage(t *testing.T) {
	b := newTab(t)
	server := playedGPUs(t)
	b.do(chromedp.Navigate(server.URL))
	b.until("the GPUs with a lost and a hot one", `[...document.querySelectorAll(".gpus li")].length === 13 && /lost, XID.79/.test(document.querySelector(".gpus").innerText) && /throttled/.test(document.querySelector(".gpus").innerText)`)
	b.until("the plot of the GPUs", `/busy, mean\s*\d+/.test(document.querySelector("[data-key=gpu], .plots").innerText)`)
	for _, want := range []string{`/GPU 8:2/`, `/MIG 2g.20gb/`, `/RTX 4080/`, `/of 80.GiB/`, `/of 700.W/`} {
		if !eval[bool](b, want+`.test(document.querySelector(".gpus").innerText)`) {
			t.Errorf("the list of GPUs does not hold %s: %s", want, eval[string](b, `document.querySelector(".gpus").innerText`))
		}
	}
	for _, view := range []struct {
		name, scheme string
		width        int64
		phone        bool
	}{{"desktop-light", "light", 1360, false}, {"desktop-dark", "dark", 1360, false}, {"phone-light", "light", 320, true}, {"phone-dark", "dark", 320, true}} {
		b.size(view.width, 900, view.phone)
		b.scheme(view.scheme)
		if over := eval[int64](b, "Math.max(document.documentElement.scrollWidth, innerWidth)") - view.width; over > 0 {
			t.Errorf("%s: the page is %d px wider than the screen: %v", view.name, over, eval[[]string](b, fmt.Sprintf(stickOut, view.width)))
		}
		if low := eval[[]string](b, lowContrast); len(low) > 0 {
			t.Errorf("%s: these texts have a contrast below 4.5: %v", view.name, low)
		}
		if *shots != "" {
			eval[bool](b, `document.querySelectorAll("figure:not(:has([aria-label^='GPU'])), section.running, .recent").forEach((e) => e.remove()) || true`)
			b.shoot(filepath.Join(*shots, "gpus-"+view.name+".png"), view.width)
			b.do(chromedp.Navigate(server.URL))
		}
	}
	b.unharmed()
}
