package livepage

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"sync"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

//go:embed page.html page.css page.js
var assets embed.FS

// templates are the layout and the parts of the page.
var templates = template.Must(template.ParseFS(assets, "page.html"))

// Source is what the page shows. A field that is nil makes unknown of what it would tell. The
// functions are called by every reader and must not wait.
type Source struct {
	// Health tells of engines, GPUs and this host.
	Health *health.Source
	// Registry holds the requests that run, and those that have ended.
	Registry *inflight.Registry
	// Findings returns what holds requests up now, root causes first; Cleared what no longer does,
	// the most recently cleared first.
	Findings, Cleared func() []watchdog.Finding
}

// Option changes how a [Page] is served.
type Option func(*config)

// config is what options set.
type config struct {
	hosts       []string
	traceURL    func(traceID string) string
	links       []Link
	subscribers int
}

// DefaultSubscribers is how many open pages get server-sent events at the same time, where
// [WithSubscribers] sets nothing else.
const DefaultSubscribers = 16

// WithHosts names the hosts by which a browser may ask for the page, beside localhost and IP
// addresses; a request with another Host header is refused with status 421. That keeps a foreign
// web page from reading this one by pointing its own name here (DNS rebinding). Without the option,
// the rule holds on connections to a loopback address only.
func WithHosts(names ...string) Option {
	return func(c *config) { c.hosts = append(c.hosts, names...) }
}

// WithTraceURL makes trace ids links to where a trace can be seen. The function returns the URL of
// a trace; the empty string makes no link, and neither does a scheme other than http and https.
func WithTraceURL(url func(traceID string) string) Option {
	return func(c *config) { c.traceURL = url }
}

// Link is a link at the foot of the page.
type Link struct{ Name, URL string }

// WithLinks adds links at the foot of the page, such as to the JSON documents beside it.
func WithLinks(links ...Link) Option {
	return func(c *config) { c.links = append(c.links, links...) }
}

// WithSubscribers sets how many open pages get server-sent events at the same time; the others
// reload. Less than one means none.
func WithSubscribers(n int) Option {
	return func(c *config) { c.subscribers = n }
}

// Page is the live page. Make it with [New]; all methods are safe for concurrent use.
type Page struct {
	config
	src     Source
	history ring
	hub     hub

	drawing sync.Mutex // held while a frame is made
	drawn   *frame     // the last one
}

// New makes a page that shows src. It starts nothing.
func New(src Source, opts ...Option) *Page {
	p := &Page{config: config{subscribers: DefaultSubscribers}, src: src}
	for _, opt := range opts {
		opt(&p.config)
	}
	p.hub.limit = p.subscribers
	return p
}

// sendEvery is the time between two looks for what open pages do not show yet.
const sendEvery = time.Second

// Run takes a sample of the history every two seconds and sends open pages what has changed every
// second, until ctx ends; then it ends their streams and returns nil. It must not run twice at the
// same time.
func (p *Page) Run(ctx context.Context) error {
	p.hub.open()
	defer p.hub.close()
	var f flow
	take := func() {
		stats := p.stats(ctx)
		p.history.add(f.take(time.Now(), &p.src, &stats))
	}
	sampling, sending := time.NewTicker(step), time.NewTicker(sendEvery)
	defer sampling.Stop()
	defer sending.Stop()
	take()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sampling.C:
			take()
		case <-sending.C:
			if p.hub.listeners() > 0 {
				if err := p.send(ctx); err != nil {
					return err
				}
			}
		}
	}
}

func (p *Page) stats(ctx context.Context) health.Stats {
	source := p.src.Health
	if source == nil {
		source = &health.Source{}
	}
	stats := source.Stats(ctx)
	if stats.Findings == nil && p.src.Findings != nil {
		stats.Findings = append([]watchdog.Finding{}, p.src.Findings()...)
	}
	if stats.PendingTasks == nil && p.src.Registry != nil {
		n := int64(len(p.src.Registry.Requests()))
		stats.PendingTasks = &n
	}
	return stats
}

// parts are the parts of the page that change, each a template and an element of the layout.
var parts = []string{"status", "findings", "running", "plots", "recent", "host"}

// frame is the page at one time. It does not change.
type frame struct {
	at    time.Time
	title string
	alert bool
	parts map[string]string
}

// frameAge is how old a frame may be that a reader gets: who reloads a thousand times a second makes
// the page be drawn twice.
const frameAge = 500 * time.Millisecond

// frame returns the page as it is now.
func (p *Page) frame(ctx context.Context) (*frame, error) {
	p.drawing.Lock()
	defer p.drawing.Unlock()
	now := time.Now()
	if p.drawn != nil && now.Sub(p.drawn.at) < frameAge {
		return p.drawn, nil
	}
	stats := p.stats(ctx)
	v := p.view(now, &stats)
	f := &frame{at: now, title: v.Status.Title, alert: v.Status.Class == "bad", parts: make(map[string]string, len(parts))}
	var b bytes.Buffer
	for _, name := range parts {
		b.Reset()
		if err := templates.ExecuteTemplate(&b, name, &v); err != nil {
			return nil, fmt.Errorf("draw the %s of the live page: %w", name, err)
		}
		f.parts[name] = b.String()
	}
	p.drawn = f
	return f, nil
}

// layout is what the template of the whole page shows.
type layout struct {
	Title string
	Alert bool
	Parts map[string]template.HTML
	Links []Link
}

// page writes the whole page.
func (p *Page) page(f *frame) ([]byte, error) {
	l := layout{Title: f.title, Alert: f.alert, Links: p.links, Parts: make(map[string]template.HTML, len(parts))}
	for name, text := range f.parts {
		l.Parts[name] = template.HTML(text) //nolint:gosec // a template made it
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "page.html", l); err != nil {
		return nil, fmt.Errorf("draw the live page: %w", err)
	}
	return b.Bytes(), nil
}
