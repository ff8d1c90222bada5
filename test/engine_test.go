package test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// port is where a simulated engine listens, or does not: then it refuses.
type port struct {
	mu   sync.Mutex
	open *simtest.Listener
}

func (p *port) listen() (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = simtest.NewListener()
	return p.open, nil
}

func (p *port) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	l := p.open
	p.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	return l.Dial(ctx, network, address)
}

// watched is a simulated engine and its monitor, in virtual time.
type watched struct {
	*sim.Engine
	t       *testing.T
	client  *http.Client
	monitor *engine.Monitor
	work    sync.WaitGroup
}

// watch runs a test with an engine and a monitor that asks it every 5 s.
func watch(t *testing.T, cfg sim.Config, test func(w *watched), opts ...engine.Option) {
	synctest.Test(t, func(t *testing.T) {
		p := &port{}
		transport := &http.Transport{DialContext: p.dial, DisableCompression: true}
		w := &watched{Engine: sim.New(cfg), t: t, client: &http.Client{Transport: transport}}
		ctx, cancel := context.WithCancel(t.Context())
		w.monitor = engine.NewMonitor([]string{"http://engine:8000"}, append(opts, engine.WithHTTPClient(w.client))...)
		var running sync.WaitGroup
		running.Go(func() {
			if err := w.Serve(ctx, p.listen, w.Engine, 0); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		synctest.Wait() // until the port is open, if it is to be
		running.Go(func() {
			if err := w.monitor.Run(ctx); err != nil {
				t.Errorf("monitor: %v", err)
			}
		})
		test(w)
		cancel()
		running.Wait()
		w.work.Wait()
		transport.CloseIdleConnections()
	})
}

// stream sends a request for so many tokens and reads its answer in the background, whatever becomes
// of it.
func (w *watched) stream(tokens string) {
	w.work.Go(func() {
		body := `{"model":"simulated","prompt":"hello","stream":true,"ignore_eos":true,"max_tokens":` + tokens + `}`
		res, err := w.client.Post("http://engine:8000/v1/completions", "application/json", strings.NewReader(body))
		if err != nil {
			return
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
	})
}

// after lets time pass and returns what the monitor knows then.
func (w *watched) after(d time.Duration) engine.Status {
	<-time.After(d)
	synctest.Wait()
	return w.monitor.Status()[0]
}

func (w *watched) want(s engine.Status, want engine.State) {
	w.t.Helper()
	if s.State != want {
		w.t.Errorf("got %s, error %q, frozen %v since %v, want %s", s.State, s.Err, s.FrozenRanks, s.FrozenSince, want)
	}
}

func running(r *engine.Rank) engine.Value { return r.Running }

func TestMonitorSeesAWedge(t *testing.T) {
	watch(t, sim.Config{}, func(w *watched) {
		w.stream("20000")
		s := w.after(12 * time.Second)
		w.want(s, engine.Up)
		if got := s.Snapshot.Sum(running); got.V != 1 || s.LastProgress.IsZero() {
			t.Errorf("got %v running, last progress %v, want one that moves", got, s.LastProgress)
		}
		w.Fault(sim.Wedge)
		wedged := time.Now()
		w.want(w.after(10*time.Second), engine.Up)
		s = w.after(15 * time.Second)
		w.want(s, engine.Wedged)
		if since := s.FrozenSince.Sub(wedged); !slices.Equal(s.FrozenRanks, []string{"0"}) || since < -6*time.Second || since > 6*time.Second {
			t.Errorf("got ranks %v frozen %v after the wedge, want rank 0, within an interval", s.FrozenRanks, since)
		}
		w.want(w.after(time.Hour), engine.Wedged)
		w.Clear()
		w.want(w.after(6*time.Second), engine.Up)
	})
}

// TestMonitorSeesAWedgeOfAnIdleEngine: requests that come after the wedge are in none of its gauges.
func TestMonitorSeesAWedgeOfAnIdleEngine(t *testing.T) {
	var inFlight int
	ours := engine.WithInFlight(func(address string) int {
		if address != "engine:8000" {
			t.Errorf("asked for the requests of %q", address)
		}
		return inFlight
	})
	watch(t, sim.Config{}, func(w *watched) {
		w.Fault(sim.Wedge)
		w.want(w.after(10*time.Minute), engine.Up) // nobody is hurt
		inFlight = 1
		synctest.Wait()
		w.stream("5")
		w.want(w.after(20*time.Second), engine.Up)
		s := w.after(25 * time.Second)
		w.want(s, engine.Wedged)
		if len(s.FrozenRanks) != 0 || s.FrozenSince.IsZero() {
			t.Errorf("got ranks %v frozen since %v, want no rank, and since when", s.FrozenRanks, s.FrozenSince)
		}
		w.Clear()
	}, ours)
}

func TestMonitorSeesOneWedgedRankOfTwo(t *testing.T) {
	one := 1
	watch(t, sim.Config{DataParallelSize: 2}, func(w *watched) {
		for range 4 {
			w.stream("20000")
		}
		w.want(w.after(11*time.Second), engine.Up)
		if err := w.Inject(sim.Injection{Kind: sim.Wedge, Rank: &one}); err != nil {
			t.Fatal(err)
		}
		s := w.after(30 * time.Second)
		w.want(s, engine.Up)
		if !slices.Equal(s.FrozenRanks, []string{"1"}) || time.Since(s.LastProgress) > 6*time.Second {
			t.Errorf("got ranks %v frozen, last progress %v ago, want rank 1, and the other moves", s.FrozenRanks, time.Since(s.LastProgress))
		}
		w.Clear()
		if s := w.after(6 * time.Second); len(s.FrozenRanks) != 0 {
			t.Errorf("after the wedge: got ranks %v frozen, want none", s.FrozenRanks)
		}
	})
}

func TestMonitorSeesADeathAndARestart(t *testing.T) {
	watch(t, sim.Config{LoadTime: 40 * time.Second}, func(w *watched) {
		w.want(w.after(30*time.Second), engine.Down) // a port that refuses: nothing shows that it loads
		s := w.after(16 * time.Second)
		w.want(s, engine.Up)
		if s.Version != "0.32.0" || !slices.Equal(s.Models, []string{"simulated"}) {
			t.Errorf("got version %q of %v, want what it told", s.Version, s.Models)
		}
		w.stream("20000")
		w.after(10 * time.Second)
		w.Fault(sim.Dead)
		s = w.after(8 * time.Second)
		w.want(s, engine.Down)
		if !s.EverUp || s.Err != "connection_refused" {
			t.Errorf("got ever up %v, %q, want true, connection_refused", s.EverUp, s.Err)
		}
		if s = w.after(20 * time.Second); s.Snapshot != nil {
			t.Error("after the death: got a reading, want none")
		}
		w.Clear()
		s = w.after(46 * time.Second)
		w.want(s, engine.Up)
		if s.Resets != 1 || s.Snapshot == nil || s.Snapshot.Sum(running).V != 0 {
			t.Errorf("got %d restarts, %+v, want one, with nothing running", s.Resets, s.Snapshot)
		}
	})
}

func TestMonitorSeesADeathInAServerThatStays(t *testing.T) {
	watch(t, sim.Config{KeepAliveOnEngineDeath: true}, func(w *watched) {
		w.stream("20000")
		w.after(11 * time.Second)
		w.Fault(sim.Dead)
		s := w.after(time.Minute)
		w.want(s, engine.Down)
		if s.Err != "status_503" {
			t.Errorf("got %q, want status_503", s.Err)
		}
	})
}

func TestMonitorSeesLoading(t *testing.T) {
	watch(t, sim.Config{LoadTime: time.Minute, LoadStatus: http.StatusServiceUnavailable}, func(w *watched) {
		w.want(w.after(30*time.Second), engine.Loading)
		w.want(w.after(36*time.Second), engine.Up)
	})
}

func TestMonitorSeesSleep(t *testing.T) {
	watch(t, sim.Config{DevMode: true}, func(w *watched) {
		w.after(6 * time.Second)
		w.Fault(sim.Sleep)
		w.stream("5")
		w.want(w.after(6*time.Second), engine.Asleep)
		w.want(w.after(time.Hour), engine.Asleep)
		w.Clear()
		w.want(w.after(6*time.Second), engine.Up)
	})
}

// TestMonitorSeesThatAnEngineIsPaused: what waits in a paused engine waits for ever, as in a wedged one, but the engine
// says so when it is asked.
func TestMonitorSeesThatAnEngineIsPaused(t *testing.T) {
	watch(t, sim.Config{DevMode: true}, func(w *watched) {
		w.stream("20000")
		w.after(6 * time.Second)
		w.Fault(sim.Pause)
		s := w.after(20 * time.Second)
		w.want(s, engine.Asleep)
		if got := s.Snapshot.Sum(func(r *engine.Rank) engine.Value { return r.WaitingCapacity }); got.V != 1 {
			t.Errorf("got %v waiting, want the paused request", got)
		}
		if len(s.FrozenRanks) != 0 {
			t.Errorf("got ranks %v frozen, want none: nothing runs", s.FrozenRanks)
		}
		w.Clear()
		w.want(w.after(6*time.Second), engine.Up)
	})
}

func TestMonitorSeesAnEngineWhoseServerHangs(t *testing.T) {
	watch(t, sim.Config{}, func(w *watched) {
		w.want(w.after(6*time.Second), engine.Up)
		w.Fault(sim.WedgeAPI)
		w.want(w.after(9*time.Second), engine.Up) // it may only be busy
		s := w.after(25 * time.Second)
		w.want(s, engine.Down)
		if s.Err != "timeout" || !s.Slow || s.Snapshot != nil {
			t.Errorf("got %q, slow %v, a reading %v, want timeout, slow, none", s.Err, s.Slow, s.Snapshot != nil)
		}
		w.Clear()
		w.want(w.after(11*time.Second), engine.Up)
	})
}

// TestMonitorIsQuietBesideAHealthyEngine runs an hour of work, pauses and long prompts.
func TestMonitorIsQuietBesideAHealthyEngine(t *testing.T) {
	watch(t, sim.Config{}, func(w *watched) {
		w.after(time.Second)
		for minute := range 60 {
			if minute%3 != 0 {
				w.stream("200")
			}
			for range 60 {
				if s := w.after(time.Second); s.State != engine.Up || s.Err != "" || len(s.FrozenRanks) != 0 {
					t.Fatalf("minute %d: got %s, %q, frozen %v, want up", minute, s.State, s.Err, s.FrozenRanks)
				}
			}
		}
	})
}
