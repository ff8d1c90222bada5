package otelvllm

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// endpointOf returns the inference endpoint that r goes to, or nil. A request to the path of a WebSocket that does not
// ask for one is none.
func endpointOf(r *http.Request) *wire.Endpoint {
	e := wire.Match(r.Method, r.URL.Path)
	if e != nil && e.Socket && !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return nil
	}
	return e
}

// talk is what a call on a WebSocket knows beside what every call does. Its request span lasts as long as the
// connection, so what is timed begins where the caller first gives the engine something to do.
type talk struct {
	began time.Duration // when that was; zero: not yet
	idle  bool          // it is the caller's turn
	pause bool          // an answer has ended: what comes next is no gap in it
	owes  bool          // the engine has something to do, as hooks were told last
}

// heard notes what the engine has said on a WebSocket. The caller holds l.mu.
func (l *live) heard(now time.Duration, seen wire.Seen) {
	t := &l.talk
	switch {
	case seen.Contents > 0:
		if t.pause {
			l.item.Enter(inflight.PhaseDecode, l.at(now))
		}
		l.contents(now, seen.Contents)
	case seen.Events > 0:
		if l.firstEvent == 0 && t.began > 0 {
			l.firstEvent = now
		}
		l.item.Progress(l.at(now), 0)
	}
	t.pause = t.pause || seen.Answers > 0
	l.turn()
	if !t.idle && !l.answer.Owes() {
		t.idle = true
		l.item.Enter(inflight.PhaseIdle, l.at(now))
	}
}

// said takes the bytes that the caller has sent on a WebSocket.
func (l *live) said(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.answer == nil || !l.answer.Socket() {
		return
	}
	l.answer.Sent(p)
	l.nameModel(clean(l.answer.AskedModel(), maxText))
	l.turn()
	t := &l.talk
	if !t.idle || !l.answer.Owes() {
		return
	}
	t.idle = false
	now := l.now()
	if t.began == 0 {
		t.began, l.sent = now, now
	}
	phase := inflight.PhaseDecode
	if l.firstContent == 0 || t.pause {
		phase = inflight.PhaseQueueOrPrefill
	}
	l.item.Enter(phase, l.at(now))
}

// nameModel gives the call the model that was asked for on its WebSocket. The first one counts.
func (l *live) nameModel(model string) {
	if model == "" || l.call.Model != "" {
		return
	}
	l.call.Model = model
	l.span.SetName(l.call.Operation + " " + model)
	l.span.SetAttributes(keyRequestModel.String(model))
	l.item.Describe(l.call.Operation, model, true)
}

// hungUp notes that the caller of a WebSocket has broken it off, unless the engine did before.
func (l *live) hungUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answer != nil && !l.ended && l.engineEnd == 0 {
		l.answer.HungUp()
	}
}

// onSocket tells whether the engine has answered with a WebSocket.
func (l *live) onSocket() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answer != nil && l.answer.Socket()
}

// Switched implements [httpwrap.SwitchObserver]. Where a Transport sees the engine's own connection, the caller's has
// nothing more to tell.
func (s *serverCall) Switched() httpwrap.ConnObserver {
	if s.live == nil || !s.live.watchesCaller() {
		return nil
	}
	s.socket = &callerSocket{call: s}
	return s.socket
}

func (l *live) watchesCaller() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endpoint != nil && l.endpoint.Socket && !l.engine
}

// callerSocket watches the connection of a caller that a handler has taken over. It implements [httpwrap.ConnObserver].
type callerSocket struct {
	call *serverCall

	mu       sync.Mutex
	over     bool // the connection is closed, or broken
	returned bool // the handler has returned and left it open
}

// Received takes what the caller has sent. A Transport that has come in later sees what of it reaches the engine.
func (c *callerSocket) Received(p []byte) {
	if c.call.live.watchesCaller() {
		c.call.live.said(p)
	}
}

func (c *callerSocket) Sent(p []byte) { c.call.live.handlerBytes(p, nil) }

func (c *callerSocket) Broken(error) {
	c.call.live.hungUp()
	c.end()
}

func (c *callerSocket) Closed() { c.end() }

// end ends the call if its handler has returned before.
func (c *callerSocket) end() {
	c.mu.Lock()
	last := c.returned && !c.over
	c.over = true
	c.mu.Unlock()
	if last {
		c.call.end(context.Background(), true) // the request's own context ended with the handler
	}
}

// outlives tells whether the connection is still open as the handler returns. Then the call ends with it.
func (c *callerSocket) outlives() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned = true
	return !c.over
}

// leftOpen adds to the evidence how a WebSocket stood as its handler returned: a handler that has returned while the
// engine's connection was open, as a proxy does, has lost its caller, and one that took the caller's connection over
// and said nothing has broken it off.
func (s *serverCall) leftOpen(e *evidence) {
	l := s.live
	switch {
	case l.answer != nil && l.answer.Socket() && l.engine && l.engineEnd == 0:
		l.answer.HungUp()
	case s.socket != nil && l.call.Status == 0:
		e.bodyErr = io.ErrUnexpectedEOF
	}
}

// BodyWritten implements [httpwrap.BodyWriteObserver] for the connection of an upgraded attempt.
func (a *attempt) BodyWritten(p []byte) {
	if a.live != nil {
		a.live.said(p)
	}
}

// BodyWriteClosed implements [httpwrap.BodyWriteObserver].
func (a *attempt) BodyWriteClosed() {
	if a.live != nil {
		a.live.hungUp()
	}
}
