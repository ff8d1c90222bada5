package livepage

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// policy lets the page use its own style, script and events, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP answers GET and HEAD of "/", the page; "/page.css" and "/page.js", its style and script;
// "/events", its changes as server-sent events; and "/history.json", the samples behind its plots.
// The page refers to the others by relative addresses, so it may be mounted with http.StripPrefix
// under a path that ends in a slash.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "use GET or HEAD", http.StatusMethodNotAllowed)
		return
	case !p.hostAllowed(r):
		refuseHost(w)
		return
	}
	switch r.URL.Path {
	case "/":
		p.servePage(w, r)
	case "/page.css":
		serveAsset(w, "page.css", "text/css; charset=utf-8")
	case "/page.js":
		serveAsset(w, "page.js", "text/javascript; charset=utf-8")
	case "/events":
		if ownPage(w, r) {
			p.serveEvents(w, r)
		}
	case "/history.json":
		if ownPage(w, r) {
			p.serveHistory(w)
		}
	default:
		http.NotFound(w, r)
	}
}

// Guard refuses requests with a Host header under which the page is not served, and leaves the others to next. It is for what
// is served beside the page: a name that a stranger points here must not read that either.
func (p *Page) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.hostAllowed(r) {
			refuseHost(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuseHost(w http.ResponseWriter) {
	http.Error(w, "this page is not served under that name; ask for it by IP address or as localhost, or allow the name", http.StatusMisdirectedRequest)
}

// ownPage refuses what another site's page asks for. It could not read the answer, but it could use
// up the subscribers. Browsers send the header; other clients do not.
func ownPage(w http.ResponseWriter, r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	http.Error(w, "another site's page asked for this", http.StatusForbidden)
	return false
}

// hostAllowed checks the Host header as [WithHosts] says.
func (p *Page) hostAllowed(r *http.Request) bool {
	if len(p.hosts) == 0 && !onLoopback(r) {
		return true
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host) != nil {
		return true
	}
	return slices.ContainsFunc(p.hosts, func(name string) bool { return strings.EqualFold(name, host) })
}

// onLoopback tells whether the connection came to a loopback address of this host.
func onLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func (p *Page) servePage(w http.ResponseWriter, r *http.Request) {
	f, err := p.frame(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body, err := p.page(f)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body) // a reader who left needs no answer
}

func serveAsset(w http.ResponseWriter, name, contentType string) {
	body, err := assets.ReadFile(name)
	if err != nil { // it is embedded
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body)
}

func (p *Page) serveHistory(w http.ResponseWriter) {
	body, err := historyJSON(p.history.last(time.Now()))
	if err != nil {
		http.Error(w, "encode the history: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}
