package engine

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatusBeforeAndAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("a:1", "b:80")
		defer stop()
		m := NewMonitor([]string{"http://b/v1", "http://a:1/"}, WithHTTPClient(w.client()))
		for _, s := range m.Status() {
			if s.State != Unknown || s.Age >= 0 {
				t.Errorf("%s before the run: got %s, age %v, want unknown, never", s.Address, s.State, s.Age)
			}
		}
		end := runs(t, m)
		after(time.Second)
		if got := addresses(m); got != "a:1 b:80" {
			t.Errorf("got %q, want the addresses in order, with their ports", got)
		}
		for _, s := range m.Status() {
			if s.State != Up || s.Snapshot == nil || s.Age != time.Second {
				t.Errorf("%s: got %+v, want up with a reading of a second ago", s.Address, s)
			}
		}
		if got := w.engines["b:80"].seen().asked["/metrics"]; got != 1 {
			t.Errorf("asked b for /metrics %d times, want once: a path of /v1 is left out", got)
		}
		end()
		after(time.Minute)
		for _, s := range m.Status() {
			if s.State != Unknown || s.Snapshot != nil || s.Age != 61*time.Second {
				t.Errorf("%s a minute after the run: got %s, a reading %v, age %v, want unknown, none, 1m1s", s.Address, s.State, s.Snapshot != nil, s.Age)
			}
		}
	})
}

func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("a:1")
		defer stop()
		m := NewMonitor([]string{"http://a:1", "http://a:1/v1"}, WithHTTPClient(w.client()))
		end := runs(t, m)
		after(time.Second)
		if err := m.Run(t.Context()); err == nil {
			t.Error("a second run beside the first: got no error")
		}
		end()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Run(ended); err != nil {
			t.Errorf("a run that has ended: got %v, want nil", err)
		}
		defer runs(t, m)()
		after(time.Second)
		if s := only(t, m); s.State != Up || s.Age > time.Second {
			t.Errorf("run again: got %s of %v ago, want up", s.State, s.Age)
		}
	})
}

func TestRunEndsWhileAnEngineHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("a:1")
		defer stop()
		w.engines["a:1"].silent = true
		m := NewMonitor([]string{"http://a:1"}, WithHTTPClient(w.client()))
		end := runs(t, m)
		after(time.Second)
		began := time.Now()
		end()
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("took %v to end, want no time", took)
		}
		if s := only(t, m); s.State != Unknown || s.Err != "" {
			t.Errorf("got %s, %q, want unknown: that the run ended says nothing of the engine", s.State, s.Err)
		}
	})
}

func TestTargetsThatAreNone(t *testing.T) {
	for _, target := range []string{"", "host:8000", "ftp://host", "http://", "dns+ftp://host", "srv+http://host", "http://user:secret@ho st", "%"} {
		m := NewMonitor([]string{"http://good:1", target})
		err := m.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "target 2") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want an error about target 2", target, err)
		}
	}
	if m := NewMonitor(nil); len(m.Status()) != 0 {
		t.Error("no targets: got engines")
	}
}

func TestServiceRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("one.svc:8000", "two.svc:8001")
		defer stop()
		w.srv = []*net.SRV{{Target: "two.svc.", Port: 8001}, {Target: "one.svc.", Port: 8000}}
		m := NewMonitor([]string{"dnssrv+http://_http._tcp.vllm.svc"}, WithHTTPClient(w.client()), WithResolver(w))
		defer runs(t, m)()
		after(time.Second)
		if got := addresses(m); got != "one.svc:8000 two.svc:8001" {
			t.Errorf("got %q, want both services", got)
		}
		for _, s := range m.Status() {
			if s.State != Up {
				t.Errorf("%s: got %s, want up", s.Address, s.State)
			}
		}
		w.set(func() { w.srv = w.srv[:1] })
		after(31 * time.Second)
		if s := only(t, m); s.Address != "two.svc:8001" {
			t.Errorf("got %q, want the service that is left", s.Address)
		}
	})
}

func TestTheIntervalIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("a:1")
		defer stop()
		e := w.engines["a:1"]
		m := NewMonitor([]string{"http://a:1"}, WithHTTPClient(w.client()), WithInterval(10*time.Second))
		defer runs(t, m)()
		after(time.Hour)
		if n := e.seen().asked["/metrics"]; n < 355 || n > 365 {
			t.Errorf("asked %d times in an hour, want every 10s", n)
		}
		if n := e.seen().asked["/v1/models"]; n < 11 || n > 13 {
			t.Errorf("asked %d times for the models, want every 5 minutes", n)
		}
		e.set(func(e *scripted) { e.refuses = true })
		after(12 * time.Second)
		if s := only(t, m); s.State != Down {
			t.Errorf("an interval and a second after it is gone: got %s, want down", s.State)
		}
	})
}

func TestReadersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("a:1")
		defer stop()
		m := NewMonitor([]string{"http://a:1"}, WithHTTPClient(w.client()), WithInterval(time.Second))
		defer runs(t, m)()
		after(3 * time.Second)
		w.engines["a:1"].set(func(e *scripted) { e.silent = true })
		after(1500 * time.Millisecond) // a poll hangs now
		began := time.Now()
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for range 100 {
					if s := m.Status(); len(s) != 1 || s[0].Snapshot == nil {
						t.Error("got no reading, want the last one")
						return
					}
					m.Quantile("queue", 0.5, time.Minute)
				}
			})
		}
		readers.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("readers waited %v", took)
		}
	})
}

func TestQuantileOfAllEngines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("a:1", "b:1")
		defer stop()
		tell := func(address string, fast, all string) {
			w.engines[address].set(func(e *scripted) {
				e.metrics = text(1, 0, 0) + "vllm:inter_token_latency_seconds_bucket{le=\"0.1\"} " + fast +
					"\nvllm:inter_token_latency_seconds_bucket{le=\"1\"} " + all + "\nvllm:inter_token_latency_seconds_bucket{le=\"+Inf\"} " + all +
					"\nvllm:inter_token_latency_seconds_count " + all + "\nvllm:inter_token_latency_seconds_sum 5\n"
			})
		}
		tell("a:1", "0", "0")
		tell("b:1", "0", "0")
		m := NewMonitor([]string{"http://a:1", "http://b:1"}, WithHTTPClient(w.client()))
		defer runs(t, m)()
		after(time.Second)
		tell("a:1", "30", "30")
		tell("b:1", "0", "10")
		after(6 * time.Second)
		if got := m.Quantile("inter_token_latency", 0.5, time.Minute); got.String() != "0.06666666666666667" {
			t.Errorf("median: got %v, want 20 of the 30 in the first bucket", got)
		}
		if got := m.Quantile("inter_token_latency", 0.9, time.Minute); !got.Known || got.V <= 0.1 {
			t.Errorf("p90: got %v, want some of the slow engine's", got)
		}
		for _, name := range []string{"queue", "nonsense"} {
			if got := m.Quantile(name, 0.5, time.Minute); got.Known {
				t.Errorf("%s: got %v, want unknown", name, got)
			}
		}
		if got := m.Quantile("inter_token_latency", 0.5, 0); got.Known {
			t.Errorf("no window: got %v, want unknown", got)
		}
	})
}

func TestModelsAndLoad(t *testing.T) {
	w, stop := newWorld("a:1")
	defer stop()
	c := &Client{URL: "http://a:1/v1/", HTTP: w.client()}
	if got, err := c.Models(t.Context()); err != nil || !slices.Equal(got, []string{"m", "adapter"}) {
		t.Errorf("models: got %v, %v, want m and adapter", got, err)
	}
	if got, err := c.Load(t.Context()); got.Known || Reason(err) != "status_404" {
		t.Errorf("load: got %v, %v, want none and status_404", got, err)
	}
	if _, err := (&Client{URL: "a:1"}).Version(t.Context()); Reason(err) != "bad_url" {
		t.Errorf("a URL that is none: got %v, want bad_url", err)
	}
}
