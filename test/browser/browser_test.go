// Package browser tests the live page in a headless Chromium. It is a module of its own, so that
// users of the library never see what drives the browser.
package browser

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what a page should show.
const patience = 15 * time.Second

// tab is one tab of a browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// watch runs in every page before its own script and notes what went wrong.
const watch = `window.wrong = [];
addEventListener("error", (e) => wrong.push("error: " + e.message));
addEventListener("unhandledrejection", (e) => wrong.push("rejection: " + e.reason));
addEventListener("securitypolicyviolation", (e) => wrong.push("policy: " + e.violatedDirective + " " + e.blockedURI));`

// newTab starts a browser with one tab, or skips the test where there is none.
func newTab(t *testing.T) *tab {
	t.Helper()
	program := os.Getenv("OTELVLLM_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if program == "" {
			program, _ = exec.LookPath(name) // empty where it is not installed
		}
	}
	if program == "" {
		t.Skip("no Chromium found: install chromium, or name its binary in OTELVLLM_CHROMIUM")
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("no-first-run", true), chromedp.Flag("hide-scrollbars", true))...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &tab{t, ctx}
	if _, err := chromedp.Run(ctx, call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return b
}

// call makes an action of a command of the browser's protocol.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[R] {
	return func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns the value of a JavaScript expression.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !eval[bool](b, "Boolean("+expression+")") {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not within %s; the page shows\n%s", what, patience, eval[string](b, "document.body.innerText"))
		}
		eval[bool](b, "new Promise((r) => setTimeout(() => r(true), 50)).then(() => true) && true")
	}
}

// unharmed fails the test if a script failed or the content policy stopped something.
func (b *tab) unharmed() {
	b.t.Helper()
	if wrong := eval[[]string](b, "window.wrong"); len(wrong) > 0 {
		b.t.Errorf("the page had trouble:\n%s", strings.Join(wrong, "\n"))
	}
}

// size makes the window so large; a phone also has touch and no pointer.
func (b *tab) size(width, height int64, phone bool) {
	b.t.Helper()
	if phone {
		b.do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
		return
	}
	b.do(chromedp.EmulateViewport(width, height))
}

// scheme chooses "light" or "dark".
func (b *tab) scheme(name string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})); err != nil {
		b.t.Fatal(err)
	}
}

// withoutScript switches the page's scripts off.
func (b *tab) withoutScript() {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})); err != nil {
		b.t.Fatal(err)
	}
}
