package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// serve returns a client of a server that answers every question like that.
func serve(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return &Client{URL: server.URL, HTTP: &http.Client{Transport: transport}}
}

// body answers with a text of metrics.
func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, text)
	}
}

func wantReason(t *testing.T, c *Client, want string) {
	t.Helper()
	s, err := c.Scrape(t.Context())
	if s != nil || Reason(err) != want {
		t.Errorf("got a reading %v, error %v (%s), want none and %s", s != nil, err, Reason(err), want)
	}
}

// TestFault_G01_SlowOrSilentEngine shows that a poll ends in time, whatever the engine does, and that
// there is never a second one beside it.
func TestFault_G01_SlowOrSilentEngine(t *testing.T) {
	for _, c := range []struct {
		name     string
		interval time.Duration
		limit    time.Duration
	}{{"an interval of 2 s", 2 * time.Second, 2 * time.Second}, {"an interval of a minute", time.Minute, maxPoll}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stop := newWorld("h:1")
				defer stop()
				e := w.engines["h:1"]
				e.set(func(e *scripted) { e.silent = true })
				m := NewMonitor([]string{"http://h:1"}, WithInterval(c.interval), WithHTTPClient(w.client()))
				end := runs(t, m)
				defer end()
				after(c.limit - time.Millisecond)
				if s := only(t, m); s.State != Unknown {
					t.Errorf("before the limit: got %s, want unknown", s.State)
				}
				after(2 * time.Millisecond)
				if s := only(t, m); s.State != Down || s.Err != "timeout" {
					t.Errorf("after the limit: got %s, %q, want down, timeout", s.State, s.Err)
				}
				after(10 * c.interval)
				// A poll asks twice, and the server may notice that the first question was given up
				// only when the second has come; a second poll would make three.
				if got := e.seen().most; got > 2 {
					t.Errorf("got %d questions at the same time, want those of one poll", got)
				}
			})
		})
	}
}

func TestFault_G01_TrickledAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("h:1")
		defer stop()
		client := w.client()
		client.Transport = trickle{client.Transport}
		began := time.Now()
		_, err := (&Client{URL: "http://h:1", HTTP: client, Timeout: 5 * time.Second}).Scrape(t.Context())
		if took := time.Since(began); Reason(err) != "timeout" || took != 5*time.Second {
			t.Errorf("got %v after %v, want a timeout after 5s", err, took)
		}
	})
}

// trickle lets a byte of an answer through each second.
type trickle struct{ http.RoundTripper }

func (t trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &slowBody{resp.Body, r.Context()}
	}
	return resp, err
}

type slowBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *slowBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		return b.ReadCloser.Read(p[:1])
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

// TestFault_G02_HugeAnswers shows that what is read, and what is kept while it is read, is bounded.
func TestFault_G02_HugeAnswers(t *testing.T) {
	line := "vllm:prompt_tokens_total{engine=\"0\",model_name=\"m\",n=\"%d\"} 1\n"
	for _, c := range []struct {
		name, want string
		answer     http.HandlerFunc
	}{
		{"a gigabyte without end", "too_large", func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte("# HELP and no sample\n"), 5000)
			for sent := 0; sent < 1<<30; sent += len(chunk) {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}},
		{"a length of a gigabyte", "too_large", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			w.WriteHeader(200)
		}},
		{"a million series", "too_many_samples", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1_000_000 {
				if _, err := fmt.Fprintf(w, line, i); err != nil {
					return
				}
			}
		}},
		{"a line of 64 MB", "too_large", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "python_info{version=\"")
			for range 64 {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
					return
				}
			}
		}},
		{"a long line of what is wanted", "malformed", body("vllm:num_requests_running{model_name=\"" + strings.Repeat("x", maxLine) + "\"} 1\n")},
		{"more ranks than there are", "too_many_samples", func(w http.ResponseWriter, _ *http.Request) {
			for i := range maxRanks + 1 {
				fmt.Fprintf(w, "vllm:num_requests_running{engine=\"%d\"} 1\n", i)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := serve(t, c.answer)
			client.Timeout = 20 * time.Second
			wantReason(t, client, c.want)
		})
	}
	t.Run("more samples than allowed", func(t *testing.T) {
		client := serve(t, body(strings.Repeat("python_gc_objects 1\n", 101)))
		client.MaxSamples = 100
		wantReason(t, client, "too_many_samples")
		client.MaxSamples = 101
		if _, err := client.Scrape(t.Context()); err != nil {
			t.Errorf("at the limit: got %v, want no error", err)
		}
	})
	t.Run("a long line of what is not wanted is passed over", func(t *testing.T) {
		client := serve(t, body("python_info{x=\""+strings.Repeat("x", 3*maxLine)+"\"} 1\n"+text(1, 3, 4)))
		if s, err := client.Scrape(t.Context()); err != nil || s.Ranks[0].Running.V != 3 {
			t.Errorf("got %v, want a reading", err)
		}
	})
}

// TestFault_G02_MemoryOfAHostileAnswer measures what the worst body within the limits costs.
func TestFault_G02_MemoryOfAHostileAnswer(t *testing.T) {
	var text bytes.Buffer
	for i := 0; text.Len() < DefaultMaxBytes-200 && i < DefaultMaxSamples; i++ {
		fmt.Fprintf(&text, "vllm:request_success_total{engine=\"0\",model_name=\"m\",finished_reason=\"%d\"} 1\n", i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := parse(bytes.NewReader(text.Bytes()), DefaultMaxSamples)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 200<<20 {
		t.Errorf("allocated %d MB over all, want less than 200", got>>20)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 1<<20 {
		t.Errorf("kept %d kB, want less than 1 MB", kept>>10)
	}
	runtime.KeepAlive(s)
}

func TestFault_G03_GzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 100 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("asked for the encoding %q, want identity", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	wantReason(t, client, "encoding")
}

func TestFault_G04_AnswersThatAreNoMetrics(t *testing.T) {
	for _, status := range []int{204, 304, 401, 403, 404, 429, 500, 503} {
		wantReason(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }), fmt.Sprintf("status_%d", status))
	}
	as := func(media, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{media}
			_, _ = io.WriteString(w, text)
		}
	}
	for _, c := range []struct {
		name, want string
		answer     http.HandlerFunc
	}{
		{"a page", "html", as("text/html; charset=utf-8", "<html>")},
		{"a page that does not say so", "malformed", as("", "<!doctype html>\n<p>hello\n")},
		{"JSON", "malformed", as("application/json", `{"detail":"Not Found"}`)},
		{"JSON that does not say so", "malformed", as("", "{\"detail\": \"Not Found\"}\n")},
		{"words", "malformed", as("", "Internal Server Error\n")},
		{"nothing", "no_samples", as("text/plain", "")},
		{"comments", "no_samples", as("text/plain", "# HELP x y\n# TYPE x counter\n")},
		{"bytes", "malformed", as("", "\x00\x01\xff\n")},
	} {
		t.Run(c.name, func(t *testing.T) { wantReason(t, serve(t, c.answer), c.want) })
	}
}

// TestFault_G04_NoKeyForAnotherHost shows that a redirect to another host is not followed, and that
// one on the same host is.
func TestFault_G04_NoKeyForAnotherHost(t *testing.T) {
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
	})
	client.URL = strings.Replace(client.URL, "http://", "http://user:secret@", 1)
	wantReason(t, client, "redirect")
	if _, err := client.Health(t.Context()); Reason(err) != "redirect" || strings.Contains(err.Error(), "secret") {
		t.Errorf("health: got %v, want a refused redirect without the key", err)
	}
	if asked.Load() != 0 {
		t.Errorf("the other host was asked %d times, want never", asked.Load())
	}
	client = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			http.Redirect(w, r, "/real", http.StatusFound)
			return
		}
		body(text(1, 1, 1))(w, r)
	})
	if _, err := client.Scrape(t.Context()); err != nil {
		t.Errorf("on the same host: got %v, want a reading", err)
	}
	client = serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
	wantReason(t, client, "redirect")
}
