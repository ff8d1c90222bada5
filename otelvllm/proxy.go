package otelvllm

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// engineIdleTimeout is shorter than the 5 s after which vLLM's server closes an idle connection
// (VLLM_HTTP_TIMEOUT_KEEP_ALIVE), so that a request never meets one that is being closed.
const engineIdleTimeout = 4 * time.Second

// NewReverseProxy returns a proxy to the engine at the given base URL, with the settings that
// streams from vLLM need: every write is flushed at once, idle connections are given up before
// vLLM does, nothing is compressed on the way, no time limit cuts a long answer, and a small
// request body is read before it is sent, which keeps a quick answer from being cut off
// (golang/go#40747). A [Transport] with opts sends the requests.
//
// The engine is asked by its own name, as a host behind an ingress has to be; X-Forwarded-Host has the one that the caller
// asked for, beside X-Forwarded-For and -Proto.
//
// Put [Middleware] with the same options in front of it. If the engine cannot be reached the caller gets 502 with an error
// body in OpenAI's form, and if the request's body cannot be read, 400 or 413. The proxy's fields may be changed before
// use.
func NewReverseProxy(engine *url.URL, opts ...Option) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(engine)
			pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
			pr.SetXForwarded()
		},
		Transport:     NewTransport(engineTransport(), opts...),
		FlushInterval: -1,
		BufferPool:    &bufferPool{},
		ErrorHandler:  proxyError,
		ErrorLog:      log.New(io.Discard, "", 0), // what goes wrong is on the span
	}
}

// engineTransport begins with the settings of [http.DefaultTransport], unless a program has replaced that by a RoundTripper
// of another type.
func engineTransport() *http.Transport {
	base, ok := http.DefaultTransport.(*http.Transport)
	if ok {
		base = base.Clone()
	} else {
		dialer := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
		base = &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second, ForceAttemptHTTP2: true,
		}
	}
	base.Proxy = nil
	base.IdleConnTimeout = engineIdleTimeout
	base.MaxIdleConns = 0
	base.MaxIdleConnsPerHost = 1024
	base.DisableCompression = true
	return base
}

// proxyError answers where there is no answer of the engine's. A request that could not be read is not the engine's fault.
func proxyError(w http.ResponseWriter, r *http.Request, err error) {
	status, message := http.StatusBadGateway, "the engine cannot be reached ("+connectionError(err)+")"
	if unread := liveFrom(r.Context()).notRead(); unread != nil {
		var tooLarge *http.MaxBytesError
		status, message = http.StatusBadRequest, "the request's body could not be read"
		if errors.As(unread, &tooLarge) {
			status, message = http.StatusRequestEntityTooLarge, "the request's body is too large"
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"message":%q,"type":%q,"param":null,"code":%d}}`, message, http.StatusText(status), status)
}

// bufferPool lends the copy buffers.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
