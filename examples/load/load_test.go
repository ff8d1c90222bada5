package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// engine is a quick simulated engine that counts the requests of each path and fault.
func engine(t *testing.T) (url string, seen func(string) int64) {
	t.Helper()
	counts := map[string]*atomic.Int64{}
	for _, k := range append([]kind{hanging}, kinds...) {
		counts[k.path], counts[k.fault] = &atomic.Int64{}, &atomic.Int64{}
	}
	simulated := sim.New(sim.Config{Model: "m", AllowRequestFaults: true, Timing: sim.Timing{Step: time.Millisecond, PerSeq: -1, PerPromptToken: -1}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, key := range []string{r.URL.Path, r.Header.Get("X-Fake-Fault")} {
			if c := counts[key]; c != nil {
				c.Add(1)
			}
		}
		simulated.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func(key string) int64 { return counts[key].Load() }
}

// sendAll sends n requests of each kind, and returns the sender with its counts.
func sendAll(t *testing.T, url string, n int, kinds ...kind) *sender {
	t.Helper()
	o, err := parse([]string{"-engine", url, "-seed", "7"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.model = "m"
	s := &sender{options: o, client: http.DefaultClient, random: rand.New(rand.NewPCG(7, 0))}
	for _, k := range kinds {
		for range n {
			s.send(t.Context(), k, k.request(s.random, "m")).Add(1)
		}
	}
	return s
}

func TestEachKindOfRequestEndsAsItSays(t *testing.T) {
	url, _ := engine(t)
	for _, k := range kinds {
		k.leave = min(k.leave, 5*time.Millisecond)
		s := sendAll(t, url, 3, k)
		got := [4]int64{s.completed.Load(), s.refused.Load(), s.failed.Load(), s.left.Load()}
		want := [4]int64{3, 0, 0, 0}
		switch {
		case k.leave > 0:
			want = [4]int64{0, 0, 0, 3}
		case k.body["temperature"] == -1:
			want = [4]int64{0, 3, 0, 0}
		case strings.HasPrefix(k.fault, "truncate"):
			want = [4]int64{0, 0, 3, 0}
		}
		if got != want {
			t.Errorf("%s %v %s: got %v completed, refused, failed and left; want %v", k.path, k.body, k.fault, got, want)
		}
	}
}

func TestFaultsAreAskedForOnlyIfWanted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for _, faults := range []bool{false, true} {
		paths, asked := map[string]bool{}, false
		for range 1000 {
			k := choose(r, faults)
			paths[k.path] = true
			asked = asked || k.fault != ""
		}
		if asked != faults || len(paths) != 3 {
			t.Errorf("with faults %v: got faults %v and the paths %v, want all three paths", faults, asked, paths)
		}
	}
}

func TestItSendsUntilItsTimeIsOverAndSaysWhatCameOfIt(t *testing.T) {
	url, seen := engine(t)
	var out bytes.Buffer
	status := run(t.Context(), []string{"-engine", url + "/", "-rate", "200", "-duration", "300ms", "-faults", "-hang-every", "50ms", "-drain", "100ms"}, &out, io.Discard)
	if status != exitOK || !strings.Contains(out.String(), "model m, seed") || !strings.Contains(out.String(), "completed") {
		t.Errorf("got status %d and %q, want 0, the model and the counts", status, out.String())
	}
	if seen(hanging.fault) < 2 || seen("/v1/chat/completions") < 5 {
		t.Errorf("got %d requests that hang and %d chats, want at least 2 and 5", seen(hanging.fault), seen("/v1/chat/completions"))
	}
}

func TestNoMoreThanTheMostRunAtATime(t *testing.T) {
	var running, most atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := running.Add(1)
		defer running.Add(-1)
		most.Store(max(most.Load(), n))
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	o, err := parse([]string{"-engine", server.URL, "-rate", "1000", "-most", "3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{options: o, client: &http.Client{}, random: rand.New(rand.NewPCG(1, 0)), free: make(chan struct{}, o.most)}
	ended := make(chan struct{})
	go func() { s.run(ctx, io.Discard); close(ended) }()
	for s.unsent.Load() < 20 {
		<-time.After(time.Millisecond)
	}
	cancel()
	server.CloseClientConnections()
	<-ended
	if most.Load() > 3 || s.sent.Load()-s.left.Load()-s.failed.Load() != 0 {
		t.Errorf("got %d at a time and %d sent, %d left, %d failed; want at most 3, and each counted once",
			most.Load(), s.sent.Load(), s.left.Load(), s.failed.Load())
	}
}

func TestBadArgumentsAreStatus2(t *testing.T) {
	for _, tt := range []struct{ says, args string }{
		{"not a URL", "-engine 127.0.0.1:8080"},
		{"unexpected argument", "http://127.0.0.1:8080"},
		{"-rate", "-rate 0"},
		{"-most", "-most 0"},
		{"-hang-every", "-hang-every 0s"},
		{"not defined", "-nope"},
	} {
		var stderr strings.Builder
		if status := run(t.Context(), strings.Fields(tt.args), io.Discard, &stderr); status != exitUsage || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("%s: got status %d and %q, want 2 and %q", tt.args, status, stderr.String(), tt.says)
		}
	}
}
