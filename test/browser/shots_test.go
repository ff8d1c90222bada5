package browser

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/otelvllm/otelvllm-go/otelvllm/livepage"
)

var shots = flag.String("shots", "", "a folder to write screenshots to")

// demoPages makes the demonstration pages, each at the end of a made-up quarter of an hour, and
// serves them with the page's own style, script and content policy.
func demoPages(t *testing.T) *httptest.Server {
	t.Helper()
	dir := t.TempDir()
	demo := exec.Command("go", "test", "./otelvllm/livepage", "-count=1", "-run", "^TestAQuarterOfAnHour$", "-demo", dir)
	demo.Dir = filepath.Join("..", "..")
	if out, err := demo.CombinedOutput(); err != nil {
		t.Fatalf("make the pages: %v\n%s", err, out)
	}
	own := livepage.New(livepage.Source{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := os.ReadFile(filepath.Join(dir, filepath.Base(r.URL.Path)))
		if err != nil {
			own.ServeHTTP(w, r)
			return
		}
		// The headers of the real page, with the body of the made-up one.
		page := httptest.NewRecorder()
		own.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/", nil))
		for name, values := range page.Header() {
			w.Header()[name] = values
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestPagesFitEveryScreen loads the pages in light and dark, wide and narrow. With -shots it keeps
// what a person would see.
func TestPagesFitEveryScreen(t *testing.T) {
	b := newTab(t)
	server := demoPages(t)
	for _, view := range []struct {
		name, scheme  string
		width, height int64
		phone         bool
	}{
		{"desktop-light", "light", 1360, 900, false},
		{"desktop-dark", "dark", 1360, 900, false},
		{"wide-light", "light", 1920, 1080, false},
		{"tablet-light", "light", 800, 1100, false},
		{"phone-light", "light", 320, 640, true},
		{"phone-dark", "dark", 320, 640, true},
	} {
		for _, state := range []string{"idle", "load", "stall"} {
			t.Run(state+"-"+view.name, func(t *testing.T) {
				b.t = t
				b.size(view.width, view.height, view.phone)
				b.scheme(view.scheme)
				b.do(chromedp.Navigate(server.URL + "/" + state + ".html"))
				if over := eval[int64](b, "Math.max(document.documentElement.scrollWidth, innerWidth)") - view.width; over > 0 {
					t.Errorf("the page is %d px wider than the screen; these stick out: %v", over, eval[[]string](b, fmt.Sprintf(stickOut, view.width)))
				}
				if low := eval[[]string](b, lowContrast); len(low) > 0 {
					t.Errorf("these texts have a contrast below 4.5: %v", low)
				}
				b.unharmed()
				if *shots != "" {
					b.shoot(filepath.Join(*shots, state+"-"+view.name+".png"), view.width)
				}
			})
		}
	}
}

// shoot keeps the upper part of the page as a picture.
func (b *tab) shoot(path string, width int64) {
	b.t.Helper()
	height := min(2*width+400, eval[int64](b, "document.documentElement.scrollHeight"))
	if width > 1000 {
		height = min(1500, height)
	}
	yes := true
	picture, err := chromedp.Run(b.ctx, call(page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &yes,
		Clip: &page.Viewport{Width: float64(width), Height: float64(height), Scale: 1},
	}))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, picture.Data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// stickOut lists the elements that reach beyond the screen.
const stickOut = `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d + 1)
	.slice(0, 8).map((e) => e.tagName + "." + (e.className.baseVal ?? e.className))`

// lowContrast lists texts whose colour is too near to that of their ground (WCAG 2.2, 1.4.3).
const lowContrast = `(() => {
	const rgb = (c) => { const m = c.match(/[\d.]+/g).map(Number); return { c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1 }; };
	const light = (c) => { const l = c.map((v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
	const over = (top, ground) => top.c.map((v, i) => v * top.a + ground[i] * (1 - top.a));
	const low = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || e.closest("[hidden], .unseen, .skip")) continue;
		const box = e.getBoundingClientRect();
		if (box.width < 2 || box.height < 2) continue;
		const chain = [];
		for (let p = e; p; p = p.parentElement) chain.unshift(p);
		let ground = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255], opacity = 1;
		for (const p of chain) { const s = getComputedStyle(p); ground = over(rgb(s.backgroundColor), ground); opacity *= Number(s.opacity); }
		const style = getComputedStyle(e), text = rgb(e instanceof SVGElement ? style.fill : style.color);
		text.a *= opacity;
		const a = light(over(text, ground)), b = light(ground);
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) low.add((e.className.baseVal ?? e.className) + ": " + e.textContent.trim().slice(0, 20) + " " + ratio.toFixed(2));
	}
	return [...low];
})()`
