package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// An edit replaces a piece of a file of GOROOT/src/net/http that is there exactly once, and adds text at the end.
type edit struct{ file, old, new, end string }

// edits put a hook where a server calls its handler and one where a client sends a request. By itself a hook does
// what stood there, so the tests without httpwrap run the same code.
var edits = []edit{
	{
		file: "server.go",
		old:  "\n\n\thandler.ServeHTTP(rw, req)\n}",
		new:  "\n\n\tZZServe(handler, rw, req)\n}",
		end:  "\nvar ZZServe = func(h Handler, w ResponseWriter, r *Request) { h.ServeHTTP(w, r) }\n",
	},
	{
		file: "roundtrip.go",
		old:  "\treturn t.roundTrip(req)\n",
		new:  "\treturn ZZRoundTrip(t.roundTrip, req)\n",
		end:  "\nvar ZZRoundTrip = func(next func(*Request) (*Response, error), r *Request) (*Response, error) { return next(r) }\n",
	},
}

// hooked is the package that the hooks are set in. Every test of net/http and httputil that serves imports it.
const hooked = "httptest"

// hooks sets the hooks. Its observer checks what Observer and BodyObserver promise, and touches all bytes it is shown, so
// that the race detector sees a buffer that is not the observer's to read.
const hooks = `package httptest

import (
	"net/http"
	"net/http/internal/zzhttpwrap"
	"sync/atomic"
)

func init() {
	http.ZZServe = func(h http.Handler, w http.ResponseWriter, r *http.Request) {
		o := &zzObserver{}
		defer func() {
			if o.done.Load() != 1 {
				panic("overlay: Done was not called once")
			}
		}()
		zzhttpwrap.Serve(h, w, r, o)
	}
	http.ZZRoundTrip = func(next func(*http.Request) (*http.Response, error), r *http.Request) (*http.Response, error) {
		// A body that can be had twice is read from its copy, since the client sends one that it knows to be in memory
		// together with the header. A RoundTripper changes a copy of the request, but the copy made here would be
		// one too many for tests of CancelRequest, which finds a request by its address.
		if r.GetBody == nil {
			r.Body = zzhttpwrap.WatchBody(r.Body, &zzBody{})
		}
		resp, err := next(r)
		if err == nil {
			resp.Body = zzhttpwrap.WatchBody(resp.Body, &zzBody{})
		}
		return resp, err
	}
}

type zzObserver struct {
	request              zzBody
	header, done, touched atomic.Int64
	writing               atomic.Int64
	watch                 atomic.Bool
}

func (o *zzObserver) RequestBody(p []byte) { o.request.Body(p) }
func (o *zzObserver) RequestEnd(err error) { o.request.End(err) }

func (o *zzObserver) ResponseHeader(status int, h http.Header) bool {
	if o.header.Add(1) != 1 || o.done.Load() != 0 {
		panic("overlay: ResponseHeader was called twice or after Done")
	}
	if status < 101 || status > 101 && status < 200 {
		panic("overlay: ResponseHeader was called with a status that is not final")
	}
	o.touched.Add(int64(len(h)))
	// A file from http.ServeContent is of no interest, so that the test which looks for sendfile finds it.
	o.watch.Store(WATCH && h.Get("Accept-Ranges") == "")
	return o.watch.Load()
}

func (o *zzObserver) ResponseBody(p []byte, _ error) {
	if o.header.Load() != 1 {
		panic("overlay: ResponseBody was called before ResponseHeader")
	}
	if len(p) > 0 && !o.watch.Load() {
		panic("overlay: ResponseBody was shown a body that is of no interest")
	}
	for _, b := range p {
		o.touched.Add(int64(b))
	}
}

func (o *zzObserver) ResponseFlush(error) {
	if o.header.Load() != 1 {
		panic("overlay: ResponseFlush was called before ResponseHeader")
	}
}

func (o *zzObserver) Done(bool) { o.done.Add(1) }

func (o *zzObserver) WriteStarted() { o.writing.Add(1) }

func (o *zzObserver) WriteEnded() {
	if o.writing.Add(-1) < 0 {
		panic("overlay: the end of a write was told that had not started")
	}
}

type zzBody struct{ ended, touched atomic.Int64 }

func (b *zzBody) Body(p []byte) {
	for _, c := range p {
		b.touched.Add(int64(c))
	}
}

func (b *zzBody) End(error) {
	if b.ended.Add(1) != 1 {
		panic("overlay: the end of a body was told twice")
	}
}
`

// write makes the changed files below folder and returns the paths of two overlays, without and with httpwrap.
func write(folder, source string, watch bool) (bare, ours string, err error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", "", fmt.Errorf("go env GOROOT: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(goroot)), "src", "net", "http")
	replace := map[string]string{}
	add := func(target, text string) error {
		file := filepath.Join(folder, strings.ReplaceAll(strings.TrimPrefix(target, src), string(filepath.Separator), "_"))
		replace[target] = file
		return os.WriteFile(file, []byte(text), 0o600)
	}
	for _, e := range edits {
		target := filepath.Join(src, e.file)
		text, err := e.apply(target)
		if err == nil {
			err = add(target, text)
		}
		if err != nil {
			return "", "", err
		}
	}
	if bare, err = save(folder, "bare.json", replace); err != nil {
		return "", "", err
	}
	files, err := product(source)
	if err != nil {
		return "", "", err
	}
	for name, text := range files {
		if err := add(filepath.Join(src, "internal", "zzhttpwrap", name), text); err != nil {
			return "", "", err
		}
	}
	text := strings.ReplaceAll(hooks, "WATCH", strconv.FormatBool(watch))
	if err := add(filepath.Join(src, hooked, "zzhttpwrap.go"), text); err != nil {
		return "", "", err
	}
	ours, err = save(folder, "ours.json", replace)
	return bare, ours, err
}

// apply returns the text of the file with the edit made.
func (e edit) apply(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), e.old); n != 1 {
		return "", fmt.Errorf("%s has the text %q %d times instead of once: this version of Go needs another edit in test/overlay/files.go",
			path, e.old, n)
	}
	return strings.Replace(string(b), e.old, e.new, 1) + e.end, nil
}

// product returns the files of package httpwrap, under the package name that they get inside GOROOT.
func product(folder string) (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(string(b), "//go:build ignore") {
			continue
		}
		text := strings.Replace(string(b), "\npackage httpwrap\n", "\npackage zzhttpwrap\n", 1)
		if strings.HasPrefix(text, "package httpwrap\n") {
			text = "package zzhttpwrap\n" + strings.TrimPrefix(text, "package httpwrap\n")
		}
		files[filepath.Base(name)] = text
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no Go files in %s: run this from the root of the repository or set -httpwrap", folder)
	}
	return files, nil
}

// save writes an overlay in the form that go test reads.
func save(folder, name string, replace map[string]string) (string, error) {
	b, err := json.MarshalIndent(struct{ Replace map[string]string }{replace}, "", "\t")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, name)
	return path, os.WriteFile(path, b, 0o600)
}
