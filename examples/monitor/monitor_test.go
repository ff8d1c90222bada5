package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// noTerminal and terminal are sizes of the standard output.
func noTerminal() (int, int, bool) { return 0, 0, false }
func terminal() (int, int, bool)   { return 120, 40, true }

// scene is a simulated engine with a program beside it, in a bubble.
type scene struct {
	t       *testing.T
	engine  *sim.Engine
	client  *http.Client
	program *program
	out     bytes.Buffer
	errOut  bytes.Buffer
}

// play runs f in a bubble in which time is fake.
func play(t *testing.T, cfg sim.Config, f func(*scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake, client, stop := simtest.Pipe(cfg)
		defer stop()
		s := &scene{t: t, engine: fake, client: client}
		s.program = &program{out: &s.out, errOut: &s.errOut, size: noTerminal, color: true, http: client}
		f(s)
	})
}

// ask leaves a long stream running.
func (s *scene) ask(ctx context.Context) {
	body := `{"prompt":"hi","max_tokens":1000000,"ignore_eos":true,"stream":true}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine:8000/v1/completions", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	go func() {
		if res, err := s.client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body) // the fault ends it
			res.Body.Close()
		}
	}()
	time.Sleep(5 * time.Second)
}

var long = sim.Config{MaxModelLen: 2_000_000, NumGPUBlocks: 1_000_000, Model: "demo-8b"}

func ranks(n int) sim.Config {
	cfg := long
	cfg.DataParallelSize = n
	return cfg
}

func TestOnceSaysInTextJSONAndStatusHowTheEngineIs(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cfg     sim.Config
		play    func(*scene)
		status  int
		finding watchdog.Code // "" for none
		state   engine.State
		within  time.Duration
	}{
		{"an idle engine", long, func(*scene) {}, exitOK, "", engine.Up, 3 * time.Second},
		{"an engine at work", long, func(s *scene) { s.ask(s.t.Context()) }, exitOK, "", engine.Up, 3 * time.Second},
		{"one that loads and says so", sim.Config{LoadTime: time.Hour, LoadStatus: 503}, func(*scene) {}, exitDown, watchdog.EngineLoading, engine.Loading, time.Second},
		{"one that loads and refuses", sim.Config{LoadTime: time.Hour}, func(*scene) {}, exitDown, watchdog.EngineUnreachable, engine.Down, time.Second},
		{"one that has died", long, func(s *scene) { s.engine.Fault(sim.Dead); time.Sleep(time.Second) }, exitDown, watchdog.EngineUnreachable, engine.Down, time.Second},
		{
			"one that has died and left its metrics",
			sim.Config{KeepAliveOnEngineDeath: true},
			func(s *scene) { s.engine.Fault(sim.Dead); time.Sleep(time.Second) }, exitDown, watchdog.EngineDead, engine.Down, time.Second,
		},
		{"one that sleeps", long, func(s *scene) { s.engine.Fault(sim.Sleep) }, exitDown, watchdog.EngineAsleep, engine.Asleep, time.Second},
		{"one that takes connections and answers nothing", long, func(s *scene) { s.engine.Fault(sim.WedgeAPI) }, exitDown, watchdog.EngineUnreachable, engine.Down, 4 * time.Second},
		{"one that hangs with a stream open", long, func(s *scene) {
			s.ask(s.t.Context())
			s.engine.Fault(sim.Wedge)
			time.Sleep(time.Second)
		}, exitDown, watchdog.EngineWedged, engine.Wedged, 25 * time.Second},
		{"one with a rank of two that hangs", ranks(2), func(s *scene) {
			s.ask(s.t.Context())
			s.ask(s.t.Context())
			one := 1
			if err := s.engine.Inject(sim.Injection{Kind: sim.Wedge, Rank: &one}); err != nil {
				s.t.Fatal(err)
			}
			time.Sleep(time.Second)
		}, exitDegraded, watchdog.EngineWedged, engine.Up, 25 * time.Second},
		{"one that is slow and well", long, func(s *scene) {
			s.ask(s.t.Context())
			if err := s.engine.Inject(sim.Injection{Kind: sim.Slow, Factor: 500}); err != nil { // 4 s a token
				s.t.Fatal(err)
			}
			time.Sleep(time.Second)
		}, exitOK, "", engine.Up, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.cfg, func(s *scene) {
				tt.play(s)
				began := time.Now()
				status := s.program.run(s.t.Context(), []string{"-once", "-engine", "http://engine:8000"})
				took, text := time.Since(began), s.out.String()
				if status != tt.status || took > tt.within {
					t.Errorf("got status %d after %v, want %d within %v:\n%s", status, took, tt.status, tt.within, text)
				}
				if want := "engine:8000  " + string(tt.state); !strings.Contains(text, want) {
					t.Errorf("the table lacks %q:\n%s", want, text)
				}
				if strings.Contains(text, "\x1b") {
					t.Errorf("got escape sequences without a terminal: %q", text)
				}
				want := "\n" + string(tt.finding) + "  for "
				if tt.finding == "" {
					want = "\nno findings"
				}
				if !strings.Contains(text, want) || tt.finding != "" && !strings.Contains(text, "\n  → ") {
					t.Errorf("got no %q with a remedy:\n%s", want, text)
				}

				s.out.Reset()
				if again := s.program.run(s.t.Context(), []string{"-once", "-json", "-engine", "http://engine:8000"}); again != status {
					t.Errorf("-json: got status %d, want %d", again, status)
				}
				checkDocument(t, s.out.Bytes(), tt.finding)
			})
		})
	}
}

// checkDocument looks for a health document with one finding, or with none.
func checkDocument(t *testing.T, text []byte, want watchdog.Code) {
	t.Helper()
	var doc struct {
		Stats struct {
			Engine   *bool              `json:"engine_initialized"`
			Findings []watchdog.Finding `json:"findings"`
		} `json:"stats"`
		Summary string `json:"summary"`
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.Stats.Engine == nil || doc.Summary == "" {
		t.Fatalf("got %v and %s, want a health document", err, text)
	}
	got := doc.Stats.Findings
	if want == "" && len(got) == 0 {
		return
	}
	if len(got) != 1 || got[0].Code != want || got[0].Since.Before(time.Now().Add(-2*time.Minute)) {
		t.Errorf("got findings %+v, want %s of the last two minutes", got, want)
	}
}

func TestSeveralEnginesOfWhichSomeServeAreDegraded(t *testing.T) {
	_, url := simtest.Start(t, sim.Config{})
	var out, errOut bytes.Buffer
	p := &program{out: &out, errOut: &errOut, size: noTerminal}
	status := p.run(t.Context(), []string{"-once", "-interval", "500ms", "-engine", url + ", http://127.0.0.1:1"})
	if status != exitDegraded || !strings.Contains(out.String(), "connection_refused") {
		t.Errorf("got status %d, want %d:\n%s%s", status, exitDegraded, &out, &errOut)
	}
}

func TestBadFlagsAreOneClearLineAndStatus64(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown flag", []string{"-nope"}, "flag provided but not defined: -nope"},
		{"a stray word", []string{"http://127.0.0.1:8000"}, "give engines with -engine"},
		{"no engine", []string{"-engine", " ,"}, "-engine is empty"},
		{"an engine without a scheme", []string{"-engine", "127.0.0.1:8000"}, "must be like http://host:8000"},
		{"an engine of another scheme, asked once", []string{"-once", "-engine", "ftp://h"}, "must be like http://host:8000"},
		{"a bad engine beside a good one", []string{"-once", "-engine", "http://127.0.0.1:1,ftp://h"}, "target 2"},
		{"an interval below the least", []string{"-interval", "10ms"}, "500ms or more"},
		{"an interval without a unit", []string{"-interval", "2"}, "-interval"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			p := &program{out: &out, errOut: &errOut, size: noTerminal}
			status := p.run(t.Context(), tt.args)
			if got := errOut.String(); status != exitUsage || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 || out.Len() > 0 {
				t.Errorf("got status %d, %q and %q; want %d and one line with %q", status, got, out.String(), exitUsage, tt.want)
			}
		})
	}
}

func TestHelpIsNoErrorAndTellsTheStatuses(t *testing.T) {
	var out bytes.Buffer
	p := &program{out: &out, size: noTerminal}
	if status := p.run(t.Context(), []string{"-h"}); status != exitOK {
		t.Errorf("got status %d, want 0", status)
	}
	for _, want := range []string{"-engine", "-interval", "-once", "-json", fmt.Sprint(exitUsage), fmt.Sprint(exitInterrupted)} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %s", want)
		}
	}
}

// watchFor runs the program for so long, as if Ctrl-C came then.
func (s *scene) watchFor(d time.Duration, args ...string) string {
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	if status := s.program.run(ctx, append(args, "-engine", "http://engine:8000")); status != exitOK {
		s.t.Errorf("got status %d after Ctrl-C, want 0: %s", status, &s.errOut)
	}
	return s.out.String()
}

func TestOnceThatIsInterruptedIsNotOK(t *testing.T) {
	play(t, long, func(s *scene) {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		if status := s.program.run(ctx, []string{"-once", "-engine", "http://engine:8000"}); status != exitInterrupted {
			t.Errorf("got status %d, want %d", status, exitInterrupted)
		}
	})
}

func TestPipedOutputIsPlainLinesAndTellsAFindingOnce(t *testing.T) {
	play(t, long, func(s *scene) {
		s.ask(s.t.Context())
		time.AfterFunc(10*time.Second, func() { s.engine.Fault(sim.Wedge) })
		time.AfterFunc(60*time.Second, s.engine.Clear)
		text := s.watchFor(90*time.Second, "-interval", "5s")
		if strings.Contains(text, "\x1b") || !strings.Contains(text, " engine:8000 up running=1 waiting=0 ") || !strings.Contains(text, " vllm=0.32.0 models=demo-8b\n") {
			t.Errorf("got %q, want plain lines", text)
		}
		for _, want := range []string{" finding engine:8000 engine_wedged: ", " cleared engine:8000 engine_wedged\n"} {
			if n := strings.Count(text, want); n != 1 {
				t.Errorf("got %q %d times, want once:\n%s", want, n, text)
			}
		}
		if n := strings.Count(text, " engine:8000 wedged running=1 "); n < 5 {
			t.Errorf("got %d lines of a wedged engine, want one each interval", n)
		}
	})
}

func TestJSONIsADocumentEachInterval(t *testing.T) {
	play(t, long, func(s *scene) {
		text := strings.TrimSuffix(s.watchFor(21*time.Second, "-json", "-interval", "5s"), "\n")
		lines := strings.Split(text, "\n")
		if len(lines) != 4 {
			t.Errorf("got %d lines in 21 s, want 4", len(lines))
		}
		for _, line := range lines {
			checkDocument(t, []byte(line), "")
		}
	})
}

func TestATerminalIsDrawnInPlaceAndGivenBack(t *testing.T) {
	play(t, long, func(s *scene) {
		s.ask(s.t.Context())
		s.program.size = terminal
		text := s.watchFor(10 * time.Second)
		const enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
		if !strings.HasPrefix(text, enter) || strings.Count(text, leave) != 1 {
			t.Errorf("got %q, want a screen that is entered and left", text)
		}
		if n := strings.Count(text, "\x1b[H"); n < 9 {
			t.Errorf("got %d frames in 10 s, want one each second", n)
		}
		_, last, _ := strings.Cut(text, leave)
		if !strings.Contains(last, "demo-8b") || strings.Contains(last, "\x1b[H") {
			t.Errorf("got %q on leaving, want the last frame", last)
		}
	})
}

func TestAFrameFitsTheTerminal(t *testing.T) {
	for _, size := range [][2]int{{200, 50}, {120, 40}, {80, 24}, {40, 10}, {10, 5}} {
		play(t, long, func(s *scene) {
			s.ask(s.t.Context())
			s.engine.Fault(sim.Wedge)
			s.program.size = func() (int, int, bool) { return size[0], size[1], true }
			text := s.watchFor(40 * time.Second)
			frames := strings.Split(text, "\x1b[H")
			frame, _, _ := strings.Cut(frames[len(frames)-1], "\x1b[J")
			lines := strings.Split(strings.TrimSuffix(frame, "\r\n"), "\x1b[K\r\n")
			if len(lines) > size[1] || size[0] > 10 && !strings.Contains(strings.Join(lines, ""), "wedged") {
				t.Errorf("%v: got %d lines: %q", size, len(lines), lines)
			}
			for _, line := range lines {
				if n := visible(strings.ReplaceAll(line, "\x1b[K", "")); n > size[0] {
					t.Errorf("%v: got a line of %d characters: %q", size, n, line)
				}
			}
		})
	}
}

// TestAnEnginesWordsCannotDriveTheTerminal lets an engine call itself by an escape sequence.
func TestAnEnginesWordsCannotDriveTheTerminal(t *testing.T) {
	play(t, sim.Config{Model: "a\x1b[2Jb", Version: "1\x07\u009b2"}, func(s *scene) {
		s.program.run(s.t.Context(), []string{"-once", "-engine", "http://engine:8000"})
		if text := s.out.String(); strings.ContainsAny(text, "\x1b\x07\u009b") || !strings.Contains(text, "a?[2Jb") {
			t.Errorf("got %q, want the sequence made harmless", text)
		}
	})
}
