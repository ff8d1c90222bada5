package sidecar

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/gpus"
)

// gpuWait bounds the wait for GPUs that the gateway cannot do without: opening a driver takes seconds
// where nothing else keeps it loaded.
const gpuWait = 20 * time.Second

// addGPUs joins the readings of this host's GPUs to everything else: the health document and with it
// the page, the watchdog's rules, the spans of running requests, and each request's share of energy.
func (s *Sidecar) addGPUs() {
	if s.config.GPUs == nil {
		return
	}
	view := gpus.New(s.config.GPUs)
	s.Health.GPUs, s.Watchdog.GPUs = view.Health, view.Watchdog
	view.Tell(s.Registry, s.usesGPUs)
	s.ledger = s.config.GPUs.NewLedger()
}

// usesGPUs tells whether an engine uses this host's GPUs: one that is here, or the only one there is.
func (s *Sidecar) usesGPUs(address string) bool { return s.config.Watch == "" || isHere(address) }

// isHere tells whether an address is this host's own.
func isHere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// runGPUs samples until ctx ends, and says once what GPUs there are.
func (s *Sidecar) runGPUs(ctx context.Context, say func(string)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if text, ok := s.firstGPUs(ctx); ok {
			say("GPUs:      " + text)
		} else if ctx.Err() == nil && !s.config.GPURequired { // else the error says it
			say("GPUs:      none, and no GPU metrics: " + text)
		}
	}()
	_ = s.config.GPUs.Run(ctx) // its only error is that it runs already
	<-done
}

// awaitGPUs returns an error if there is no usable GPU within the wait.
func (s *Sidecar) awaitGPUs(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gpuWait)
	defer cancel()
	if text, ok := s.firstGPUs(ctx); !ok {
		return errors.New("no usable GPU (-gpu required): " + text)
	}
	return nil
}

// firstGPUs waits until it is known what GPUs there are, or ctx ends. It tells whether one can be used.
func (s *Sidecar) firstGPUs(ctx context.Context) (text string, ok bool) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		now := s.config.GPUs.Latest()
		switch now.State {
		case gpumetrics.DriverOK:
			if text := described(now); text != "" {
				return text, true
			}
		case gpumetrics.DriverOpening, gpumetrics.DriverPaused, gpumetrics.DriverWedged:
		default:
			return strings.Join(strings.Fields(now.Text), " "), false
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "the driver has not answered: " + string(now.State), false
		}
	}
}

// described names the GPUs that answer: "8 x NVIDIA H100 80GB HBM3, driver 590.48.01". It is empty
// until each has been read, and where none answers.
func described(s gpumetrics.Snapshot) string {
	var model, driver string
	n := 0
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.Status == "" {
			return "" // it has not been read yet
		}
		if d.Up && d.Info.Parent == "" {
			n++
			model, driver = d.Info.Model, d.Info.DriverVersion
		}
	}
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("%d x %s", n, model)
	if driver != "" {
		text += ", driver " + driver
	}
	return text
}

// Load is how busy the engines seem to be, from 0 to 1, by the requests that run while tokens come: for
// GPUs that are played.
func (s *Sidecar) Load() float64 {
	running := 0.0
	for _, e := range s.Monitor.Status() {
		if e.Snapshot == nil || time.Since(e.LastProgress) > 3*scrapeInterval(s.config)+time.Second {
			continue
		}
		if n := e.Snapshot.Sum(func(r *engine.Rank) engine.Value { return r.Running }); n.Known {
			running += n.V
		}
	}
	return 1 - math.Exp(-running/2)
}

// useKey is the context key of a request's share of the GPUs.
type useKey struct{}

// account follows each request through the ledger, from when it is on its way to the engine until its
// record is made: the record knows the tokens.
func (s *Sidecar) account(next http.Handler) http.Handler {
	if s.ledger == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		use := &gpumetrics.Use{}
		r = r.WithContext(context.WithValue(r.Context(), useKey{}, use))
		defer s.ledger.End(r.Context(), use, gpumetrics.Outcome{}) // what makes no record, such as a list of models
		next.ServeHTTP(w, r)
	})
}

// begin is the other end of account: here the request leaves for the engine. A WebSocket does not work yet: its turns
// tell when it does.
func (s *Sidecar) begin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if use, ok := r.Context().Value(useKey{}).(*gpumetrics.Use); ok && r.Method == http.MethodPost {
			s.ledger.Begin(use)
		}
		next.ServeHTTP(w, r)
	})
}

// turn lets a WebSocket use the GPUs while the engine has something to do for it.
func (s *Sidecar) turn(ctx context.Context, idle bool) {
	use, ok := ctx.Value(useKey{}).(*gpumetrics.Use)
	switch {
	case !ok:
	case idle:
		s.ledger.Pause(use)
	default:
		s.ledger.Begin(use)
	}
}

// settle ends a request's use of the GPUs with what its record tells.
func (s *Sidecar) settle(ctx context.Context, call otelvllm.Call) {
	use, ok := ctx.Value(useKey{}).(*gpumetrics.Use)
	if !ok {
		return
	}
	outcome := gpumetrics.Outcome{Attributes: attribute.NewSet(attribute.String("gen_ai.operation.name", call.Operation))}
	if call.Usage.Output.Known {
		outcome.OutputTokens = call.Usage.Output.N
	}
	s.ledger.End(ctx, use, outcome)
}
