package engine

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestFault_G05_TextsThatAreOdd shows the one rule: a line that is wanted and malformed, or cut, fails
// the whole reading; everything else is read.
func TestFault_G05_TextsThatAreOdd(t *testing.T) {
	good := text(1, 2, 3)
	filler := strings.Repeat("python_gc_objects_collected_total{generation=\"0\"} 1.0\n", 500)
	for _, c := range []struct{ name, text, want string }{
		{"CR LF", strings.ReplaceAll(good, "\n", "\r\n"), ""},
		{"a wanted line of a thousand is malformed", filler + "vllm:num_requests_running{engine=\"0\" 1\n" + filler + good, "malformed"},
		{"a wanted value is no number", good + "vllm:num_preemptions_total five\n", "malformed"},
		{"a wanted value is missing", good + "vllm:num_preemptions_total\n", "malformed"},
		{"labels without quotes", good + "vllm:num_preemptions_total{engine=0} 1\n", "malformed"},
		{"a line of others is malformed", good + "python_info{version=\"3 1\n", ""},
		{"no line end at the end", strings.TrimSuffix(good, "\n"), "truncated"},
		{"a number that is cut", "vllm:prompt_tokens_total 1234567\nvllm:generation_tokens_total 12", "truncated"},
		{"the end of OpenMetrics without a line end", good + "# EOF", ""},
		{"a second TYPE", "# TYPE vllm:num_requests_running gauge\n# TYPE vllm:num_requests_running counter\n" + good + "# TYPE vllm:num_requests_running gauge\n", ""},
		{"empty braces", "{} 1\n" + good, ""},
		{"empty braces after a name", good + "process_start_time_seconds{} 1\n", ""},
		{"quoted names of other metrics", "{\"my.metric\",a=\"b\"} 1\n" + good, ""},
		{"a time stamp", strings.ReplaceAll(good, "2\n", "2 1395066363000\n"), ""},
		{"an exemplar", strings.ReplaceAll(good, "2\n", "2 # {trace_id=\"x\"} 1\n"), ""},
		{"a line twice", good + good, ""},
		{"blank lines and tabs", "\n\t\n" + strings.ReplaceAll(good, "} ", "}\t"), ""},
		{"invalid UTF-8 in a name of a model", strings.ReplaceAll(good, `"m"`, "\"\xff\""), "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parse(strings.NewReader(c.text), DefaultMaxSamples)
			if got := Reason(err); got != c.want {
				t.Fatalf("got %q (%v), want %q", got, err, c.want)
			}
			if err == nil && (len(s.Ranks) != 1 || s.Ranks[0].Running != (Value{2, true}) || s.Ranks[0].PromptTokens != (Value{3, true})) {
				t.Errorf("got %+v, want 2 running and 3 tokens", s.Ranks)
			}
		})
	}
	t.Run("a body that ends before its length", func(t *testing.T) {
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, good)
		})
		wantReason(t, client, "connection_reset")
	})
}

func TestFault_G06_WhatAVersionDoesNotTellIsAbsent(t *testing.T) {
	s := parseText(t, "vllm:num_requests_running{model_name=\"m\",engine=\"0\",new_label=\"x\"} 1\nvllm:some_new_name 5\n")
	r := &s.Ranks[0]
	if !r.Running.Known {
		t.Error("running with a new label: got unknown, want 1")
	}
	for _, row := range rows {
		if v := row.field(r); v != &r.Running && v.Known {
			t.Errorf("%v: got %v, want unknown", row.names, *v)
		}
	}
}

// TestFault_G07_AndG08 are in restart_test.go: counters go on over restarts, and never go back;
// engines that answer in turn are noticed.

func TestFault_G07_RestartNeverGoesBack(t *testing.T) {
	var steps []step
	for i, tokens := range []float64{10, 500, 3, 7, 0, 1, 900, 2} {
		steps = append(steps, step{600, tells(text(float64(i/2), 0, tokens)), Up, ""})
	}
	m := newMachine("h:1", DefaultWedgedAfter)
	last := 0.0
	for _, s := range steps {
		m.next(s.see)
		got := m.totals.of(&m.last.Ranks[0])[totalGeneration].V
		if got < last {
			t.Errorf("the total went from %v to %v", last, got)
		}
		last = got
	}
}

func TestFault_G08_LoadBalancer(t *testing.T) {
	m := play(t, []step{
		{5, tells(text(10, 1, 500)), Up, ""},
		{5, tells(text(20, 1, 900)), Up, ""},
		{5, tells(text(10, 1, 500)), Up, ""},
		{5, tells(text(20, 1, 900)), Up, ""},
		{60, tells(text(20, 1, 900)), Up, ""},
		{60, tells(text(20, 1, 900)), Up, ""},
		{60, tells(text(20, 1, 900)), Up, ""},
	})
	if !m.status.Mixed || m.status.Before != nil {
		t.Errorf("got mixed %v, a reading before %v, want true and none", m.status.Mixed, m.status.Before != nil)
	}
}

func TestFault_G11_SeveralProcessesTellNothingOfThemselves(t *testing.T) {
	s := parseText(t, rankText("0", 1, 5))
	if s.Started.Known || !s.Ranks[0].PromptTokens.Known {
		t.Errorf("got started %v, tokens %v, want unknown and 5", s.Started, s.Ranks[0].PromptTokens)
	}
	s = parseText(t, "http_requests_total{handler=\"/v1/completions\",status=\"5xx\"} 2\nhttp_requests_total{handler=\"/v1/completions\",status=\"2xx\"} 5\n")
	if len(s.Ranks) != 0 || s.HTTPRequests.V != 7 || s.HTTPErrors.V != 2 {
		t.Errorf("without statistics: got %d ranks, %v requests, %v errors, want 0, 7, 2", len(s.Ranks), s.HTTPRequests, s.HTTPErrors)
	}
}

// TestFault_G12_Restart plays a restart of two minutes, at the end of which another model is there.
func TestFault_G12_Restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("h:1")
		defer stop()
		e := w.engines["h:1"]
		m := NewMonitor([]string{"http://h:1"}, WithHTTPClient(w.client()))
		defer runs(t, m)()
		after(12 * time.Second)
		began := only(t, m)
		if began.State != Up || began.Version != "0.32.0" || strings.Join(began.Models, " ") != "m adapter" {
			t.Fatalf("got %+v, want up with version and models", began)
		}
		e.set(func(e *scripted) { e.refuses = true })
		after(7 * time.Second) // at most an interval until it is noticed, a second to confirm it
		if s := only(t, m); s.State != Down || s.Err != "connection_refused" || !s.EverUp {
			t.Errorf("got %s, %q, want down, connection_refused", s.State, s.Err)
		}
		after(2 * time.Minute)
		if s := only(t, m); s.State != Down || s.Snapshot != nil || s.Age < 2*time.Minute {
			t.Errorf("later: got %s, a reading %v, age %v, want down, none, above two minutes", s.State, s.Snapshot != nil, s.Age)
		}
		e.set(func(e *scripted) { e.refuses, e.health = false, 503; e.status = 404 })
		after(6 * time.Second)
		if s := only(t, m); s.State != Loading {
			t.Errorf("with 503: got %s, want loading", s.State)
		}
		e.set(func(e *scripted) {
			e.health, e.status = 200, 200
			e.metrics = strings.ReplaceAll(text(99, 0, 0), `"m"`, `"other"`)
		})
		after(6 * time.Second)
		if s := only(t, m); s.State != Up || s.Resets != 1 || s.Snapshot.Model != "other" || s.Age > 6*time.Second {
			t.Errorf("back: got %+v, want up, one restart, the other model", s)
		}
		if got := e.seen().asked["/version"]; got != 2 {
			t.Errorf("asked %d times for the version, want once for each start", got)
		}
	})
}

func TestFault_G13_AsksForText(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept"); !strings.HasPrefix(got, "text/plain") || strings.Contains(got, "protobuf") || strings.Contains(got, "openmetrics") {
			t.Errorf("asked for %q, want text only", got)
		}
		w.Header().Set("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
		_, _ = w.Write([]byte{10, 3, 'a', 'b', 'c'})
	})
	wantReason(t, client, "malformed")
}

// TestFault_G14_EngineClockIsOff shows that ages are by our clock alone.
func TestFault_G14_EngineClockIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("h:1")
		defer stop()
		w.engines["h:1"].metrics = text(float64(time.Now().Add(10*time.Minute).Unix()), 0, 0)
		m := NewMonitor([]string{"http://h:1"}, WithHTTPClient(w.client()))
		defer runs(t, m)()
		after(3 * time.Second)
		if s := only(t, m); s.Age < 0 || s.Age > 3*time.Second || s.Snapshot.Taken.After(time.Now()) {
			t.Errorf("got age %v, taken %v, want our clock's", s.Age, s.Snapshot.Taken)
		}
	})
}

// TestFault_G15_HealthyAndDead shows that /health alone says nothing: the age of the readings is told
// beside it.
func TestFault_G15_HealthyAndDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("h:1")
		defer stop()
		e := w.engines["h:1"]
		e.set(func(e *scripted) { e.metrics = text(1, 2, 7) })
		m := NewMonitor([]string{"http://h:1"}, WithHTTPClient(w.client()), WithInFlight(func(a string) int {
			if a != "h:1" {
				t.Errorf("asked for the requests of %q, want h:1", a)
			}
			return 2
		}))
		defer runs(t, m)()
		after(10 * time.Second)
		if s := only(t, m); s.State != Up {
			t.Errorf("after 10s: got %s, want up", s.State)
		}
		after(12 * time.Second)
		if s := only(t, m); s.State != Wedged || time.Since(s.FrozenSince) < 20*time.Second {
			t.Errorf("after 22s: got %s, frozen since %v, want wedged since the start", s.State, s.FrozenSince)
		}
		e.set(func(e *scripted) { e.status = 500 })
		after(20 * time.Second)
		if s := only(t, m); s.Snapshot != nil || s.Age < 15*time.Second || s.Err != "metrics_status_500" {
			t.Errorf("without metrics: got %+v, want no reading, its age and why", s)
		}
	})
}

func TestFault_G09_NameWithoutAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("10.0.0.1:8000", "[2001:db8::1]:8000")
		defer stop()
		m := NewMonitor([]string{"dns+http://vllm:8000"}, WithHTTPClient(w.client()), WithResolver(w))
		defer runs(t, m)()
		after(time.Second)
		if s := only(t, m); s.Address != "vllm:8000" || s.State != Down || s.Err != "dns" {
			t.Errorf("NXDOMAIN: got %+v, want vllm:8000 down for dns", s)
		}
		w.set(func() { w.names["vllm"] = ips("2001:db8::1") })
		after(6 * time.Second)
		if s := only(t, m); s.Address != "[2001:db8::1]:8000" || s.State != Up {
			t.Errorf("IPv6 only: got %+v, want it up", s)
		}
		w.set(func() { w.names["vllm"] = ips("10.0.0.1") })
		after(36 * time.Second)
		if s := only(t, m); s.Address != "10.0.0.1:8000" || s.State != Up {
			t.Errorf("moved: got %+v, want the new address only", s)
		}
		if got := w.engines["10.0.0.1:8000"].seen().hosts[0]; got != "vllm:8000" {
			t.Errorf("asked for the host %q, want the name vllm:8000", got)
		}
		w.set(func() { w.dnsErr = errServerFailure })
		after(5 * time.Minute)
		if s := only(t, m); s.Address != "10.0.0.1:8000" || s.State != Up {
			t.Errorf("resolver down: got %+v, want the engine as before", s)
		}
		w.set(func() { w.dnsErr, w.names["vllm"] = nil, nil })
		after(2 * time.Minute)
		if s := only(t, m); s.Address != "vllm:8000" || s.State != Down {
			t.Errorf("name gone: got %+v, want the name, down", s)
		}
	})
}

func TestFault_G09_LookUpsAreNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld()
		defer stop()
		w.names["vllm"] = ips("10.0.0.1")
		m := NewMonitor([]string{"dns+http://vllm:8000"}, WithInterval(100*time.Millisecond), WithHTTPClient(w.client()), WithResolver(w))
		end := runs(t, m)
		after(time.Minute)
		end()
		if w.lookups < 10 || w.lookups > 13 {
			t.Errorf("got %d look-ups in a minute of failures, want one every 5s", w.lookups)
		}
	})
}

func TestFault_G10_ManyReplicasThatComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []string
		for i := range 200 {
			all = append(all, net.JoinHostPort(ip(i), "8000"))
		}
		w, stop := newWorld(all...)
		defer stop()
		name := func(n int) {
			w.set(func() {
				w.names["vllm"] = nil
				for i := range n {
					w.names["vllm"] = append(w.names["vllm"], ips(ip(i))...)
				}
			})
		}
		name(200)
		m := NewMonitor([]string{"dns+http://vllm:8000"}, WithHTTPClient(w.client()), WithResolver(w))
		defer runs(t, m)()
		after(11 * time.Second)
		for _, s := range m.Status() {
			if s.State != Up {
				t.Fatalf("%s: got %s, want up", s.Address, s.State)
			}
		}
		for a, e := range w.engines {
			seen := e.seen()
			if n := seen.asked["/metrics"]; n < 2 || n > 4 || seen.most > 1 {
				t.Errorf("%s: asked %d times in 11s, %d at once, want every 5s and one at a time", a, n, seen.most)
			}
		}
		name(3)
		after(35 * time.Second)
		if got, want := addresses(m), "10.0.0.0:8000 10.0.0.1:8000 10.0.0.2:8000"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestFault_G10_HungReplicasDoNotStarveTheOthers lets more engines hang than may be asked at once.
func TestFault_G10_HungReplicasDoNotStarveTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var urls, all []string
		for i := range 200 {
			all = append(all, net.JoinHostPort(ip(i), "8000"))
			urls = append(urls, "http://"+all[i])
		}
		w, stop := newWorld(all...)
		defer stop()
		for i, a := range all {
			w.engines[a].silent = i%2 == 0
		}
		m := NewMonitor(urls, WithHTTPClient(w.client()))
		defer runs(t, m)()
		after(time.Minute)
		for i, s := range m.Status() {
			want := Up
			if w.engines[s.Address].seen().silent {
				want = Down
			}
			if s.State != want {
				t.Errorf("engine %d, %s: got %s, want %s", i, s.Address, s.State, want)
			}
		}
	})
}
