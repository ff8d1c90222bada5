package sim

import (
	"context"
	"strings"

	"github.com/coder/websocket"
)

type transcriptionDelta struct {
	Type  string `json:"type"`
	Delta string `json:"delta"`
}

type transcriptionDone struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Usage *usage `json:"usage"`
}

// answer has one answer computed and sends it. Unlike elsewhere, the job gets its tokens as the caller speaks.
func (s *realtimeSession) answer(ctx context.Context, j *job) {
	if !s.pass(ctx, j) {
		return
	}
	if err := s.e.submit(j); err != nil {
		s.forget()
		s.refuse(ctx, err.Message, "processing_error")
		return
	}
	s.settle(j)
	var text strings.Builder
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.notify:
		}
		for _, d := range s.e.take(j) {
			switch {
			case d.err != nil:
				s.forget()
				s.refuse(ctx, d.err.Message, "processing_error")
				return
			case d.cut == Truncate:
				s.conn.CloseNow()
				return
			case d.cut == EndEarly:
				s.conn.Close(websocket.StatusNormalClosure, "")
				return
			}
			said := s.audible(d)
			text.WriteString(said)
			s.send(ctx, transcriptionDelta{"transcription.delta", said})
			if d.finish != "" {
				u := j.tally().usage()
				u.PromptDetails, u.CompletionDetails = null, null
				s.forget()
				s.send(ctx, transcriptionDone{"transcription.done", text.String(), &u})
				return
			}
		}
	}
}

// settle looks again at what the answer may have: sound may have come while it was on its way to the engine.
func (s *realtimeSession) settle(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == j {
		s.allow()
	}
}

// audible is the text of a delta: none where all of its sound was silence.
func (s *realtimeSession) audible(d delta) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := d.total - len(d.tokens); i < d.total; i++ {
		if i >= len(s.frames) || !s.frames[i] {
			return d.text
		}
	}
	return ""
}

// pass is Engine.pass for an answer on a connection that has been opened already.
func (s *realtimeSession) pass(ctx context.Context, j *job) bool {
	f, err := s.e.draw(s.r, j)
	switch {
	case err != nil:
		s.forget()
		s.refuse(ctx, err.Error(), "processing_error")
		return false
	case f == nil:
		return true
	case f.Kind == Reset:
		s.conn.CloseNow()
		return false
	case f.Kind == HangHeaders:
		return s.e.hangHeaders(s.r, f)
	}
	j.seqs[0].fault = f
	return true
}

// awaitsSound lets an answer that has no sound left wait for more, outside the batch and counted as deferred, as vLLM's
// scheduler does.
func (c *core) awaitsSound(s *sequence) bool {
	if !s.fed || len(s.generated) < s.allowed {
		return false
	}
	for i, other := range c.running {
		if other == s {
			c.running = append(c.running[:i:i], c.running[i+1:]...)
			break
		}
	}
	c.free(s)
	s.state = stateDeferred
	c.deferred = append(c.deferred, s)
	return true
}

// addSockets counts a WebSocket that has been opened or closed.
func (e *Engine) addSockets(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.front.sockets += n
	if n > 0 {
		e.front.socketsOpened++
	}
}
