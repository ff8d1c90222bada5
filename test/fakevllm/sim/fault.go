package sim

import (
	"fmt"
	"slices"
	"time"
)

// Kind names a fault. Each looks from outside as it did on a vLLM 0.32.0.
type Kind string

// Faults of the engine or its server. They last until Clear, or as long as Injection.For says.
const (
	// Wedge freezes the engine in the middle of a step: streams fall silent, /metrics stands still, new streams get their
	// headers and nothing more, other requests get nothing, and /health stays 200. What was running goes on after Clear.
	Wedge Kind = "wedge"
	// WedgeAPI freezes the HTTP server: it takes connections and answers nothing. Streams already open go on.
	WedgeAPI Kind = "wedge-api"
	// Dead kills the engine. 120 ms later open streams get an error event and [DONE], other requests 500, and /health is
	// 503; another 190 ms later connections are refused, unless Config.KeepAliveOnEngineDeath. Clear starts it anew,
	// with every counter at 0.
	Dead Kind = "dead"
	// Loading lets the engine load its model: no answers, and what was running is lost. Without For it loads until Clear.
	Loading Kind = "loading"
	// Slow makes each step Injection.Factor times as long.
	Slow Kind = "slow"
	// Pause is /pause?mode=keep: what runs goes back to the queue, and nothing is computed.
	Pause Kind = "pause"
	// Sleep is /sleep?level=1: what runs ends with the finish reason "abort", what comes waits outside the queue.
	Sleep Kind = "sleep"
	// Busy refuses every request with 503, as the admission limits do.
	Busy Kind = "busy"
)

// Faults of requests. Each strikes the next Injection.Times requests to a generating endpoint.
const (
	// HangHeaders keeps a request from reaching the engine; it gets no answer, not even headers.
	HangHeaders Kind = "hang-headers"
	// HangQueue lets a request wait in the queue, counted as deferred, while others pass it.
	HangQueue Kind = "hang-queue"
	// HangPrefill gives a request a place in the batch and no first token. Others go on.
	HangPrefill Kind = "hang-prefill"
	// HangDecode stops an answer after Injection.AfterTokens tokens. Others go on.
	HangDecode Kind = "hang-decode"
	// ErrorEvent ends a stream after Injection.AfterTokens tokens with an error event and [DONE]; an answer in one piece
	// becomes a 500.
	ErrorEvent Kind = "error-event"
	// Truncate breaks the connection off after Injection.AfterTokens tokens.
	Truncate Kind = "truncate"
	// EndEarly ends a stream properly after Injection.AfterTokens tokens, but without a finish reason and [DONE]. An answer
	// in one piece is broken off.
	EndEarly Kind = "end-early"
	// Reset breaks the connection off before any answer.
	Reset Kind = "reset"
)

var (
	engineKinds  = []Kind{Wedge, WedgeAPI, Dead, Loading, Slow, Pause, Sleep, Busy}
	requestKinds = []Kind{HangHeaders, HangQueue, HangPrefill, HangDecode, ErrorEvent, Truncate, EndEarly, Reset}
)

// Injection is a fault with its particulars.
type Injection struct {
	Kind Kind
	// Rank is the engine rank that Wedge, Slow, Pause and Sleep strike. nil is all of them.
	Rank *int
	// For is how long the fault lasts; a request that hangs goes on then. 0 is until Clear.
	For time.Duration
	// Factor is how much longer the steps of Slow take. 0 is 10.
	Factor float64
	// Times is how many requests a fault of requests strikes. 0 is one, and a negative number all of them until Clear.
	Times int
	// AfterTokens is how many tokens an answer has before the fault. 0 is 3. An answer that is shorter is spared.
	AfterTokens int
}

// Fault is Inject for a fault without particulars. It panics if there is no such kind, which only a typing error can do.
func (e *Engine) Fault(kind Kind) {
	if err := e.Inject(Injection{Kind: kind}); err != nil {
		panic(err)
	}
}

// Inject lets a fault happen: at once, or to the next requests.
func (e *Engine) Inject(f Injection) error {
	f, err := f.withDefaults()
	if err != nil {
		return err
	}
	if f.Rank != nil && (*f.Rank < 0 || *f.Rank >= e.cfg.DataParallelSize) {
		return fmt.Errorf("rank %d is out of range: the engine has %d", *f.Rank, e.cfg.DataParallelSize)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.Contains(requestKinds, f.Kind) {
		e.injections = append(e.injections, &f)
		return nil
	}
	e.strike(&f)
	if f.For > 0 {
		clears := e.clears
		time.AfterFunc(f.For, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.clears == clears {
				e.lift(&f)
			}
		})
	}
	return nil
}

func (f Injection) withDefaults() (Injection, error) {
	if !slices.Contains(engineKinds, f.Kind) && !slices.Contains(requestKinds, f.Kind) {
		return f, fmt.Errorf("no fault %q; there are %v and %v", f.Kind, engineKinds, requestKinds)
	}
	if f.Factor <= 0 {
		f.Factor = 10
	}
	setInt(&f.AfterTokens, 3)
	if f.Times == 0 {
		f.Times = 1
	}
	return f, nil
}

// strike applies a fault of the engine.
func (e *Engine) strike(f *Injection) {
	defer e.announce()
	switch f.Kind {
	case WedgeAPI:
		e.stuck = true
	case Dead:
		e.die()
	case Loading:
		e.start(-1)
	case Busy:
		e.busy = true
	}
	for _, c := range e.struck(f) {
		switch f.Kind {
		case Wedge:
			c.wedged = true
		case Slow:
			c.slow = f.Factor
		case Pause:
			c.paused = true
			c.begin()
		case Sleep:
			c.sleep()
		}
	}
}

func (e *Engine) struck(f *Injection) []*core {
	if f.Rank == nil {
		return e.cores
	}
	return e.cores[*f.Rank : *f.Rank+1]
}

// lift ends a fault of the engine.
func (e *Engine) lift(f *Injection) {
	defer e.announce()
	switch f.Kind {
	case WedgeAPI:
		e.stuck = false
	case Dead:
		if e.stage >= stageDying {
			e.start(e.cfg.LoadTime)
		}
	case Loading:
		if e.held {
			e.start(0)
		}
	case Busy:
		e.busy = false
	}
	for _, c := range e.struck(f) {
		switch f.Kind {
		case Wedge:
			c.unwedge()
		case Slow:
			c.slow = 1
		case Pause:
			c.paused = false
		case Sleep:
			c.sleeping = false
		}
		c.begin()
	}
}

// Clear ends every fault. Requests that hang go on, and a dead engine is started anew.
func (e *Engine) Clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.injections = nil
	e.clears++
	for _, kind := range engineKinds {
		e.lift(&Injection{Kind: kind})
	}
	for _, c := range e.cores {
		c.unhangAll()
		c.begin()
	}
}

// unwedge goes on with the step in which the rank was wedged.
func (c *core) unwedge() {
	c.wedged = false
	if batch := c.parked; batch != nil {
		c.parked = nil
		e, life := c.engine, c.engine.lifetime
		time.AfterFunc(0, func() { e.endStep(c, batch, life) })
	}
}
