package sim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// frameBytes is the sound that one token stands for: 80 ms of 16-bit samples at 16 kHz.
const frameBytes = 16000 * 2 * 80 / 1000

// realtimePrompt is the number of tokens before the first sound.
const realtimePrompt = 39

// realtimeSession is one connection to /v1/realtime. The caller sends sound, and each 80 ms of it become a token of the
// answer, with a word as its text, or without text if the sound is silence.
type realtimeSession struct {
	e         *Engine
	r         *http.Request
	conn      *websocket.Conn
	id        string
	validated bool

	mu     sync.Mutex
	job    *job   // the answer that is under way; nil: none
	frames []bool // of the sound so far, one for each token to come; true is silence
	ended  bool   // no more sound comes for this answer
}

// serveRealtime answers the WebSocket GET /v1/realtime.
func (e *Engine) serveRealtime(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		serveNotFound(w, r) // the route is there for WebSockets alone
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,                                 // vLLM takes every origin
		CompressionMode:    websocket.CompressionContextTakeover, // where the caller offers it, as uvicorn
		// Python's server compresses every message.
		CompressionThreshold: 1,
	})
	if err != nil {
		return // it has been answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		if e.await(ctx, func() bool { return e.stage == stageGone }) {
			conn.CloseNow()
		}
	}()
	e.addSockets(1)
	defer e.addSockets(-1)
	s := &realtimeSession{e: e, r: r, conn: conn, id: "ws-" + e.newID()}
	defer s.abort()
	s.send(ctx, struct {
		Type    string `json:"type"`
		ID      string `json:"id"`
		Created int64  `json:"created"`
	}{"session.created", "sess-" + e.newID() + e.newID(), time.Now().Unix()})
	for {
		kind, data, err := conn.Read(ctx)
		if err != nil || kind != websocket.MessageText {
			return
		}
		s.take(ctx, data)
	}
}

func (s *realtimeSession) send(ctx context.Context, v any) {
	_ = s.conn.Write(ctx, websocket.MessageText, encode(v)) // the caller may have left; the next Read says so
}

func (s *realtimeSession) refuse(ctx context.Context, message, code string) {
	s.send(ctx, struct {
		Type  string `json:"type"`
		Error string `json:"error"`
		Code  string `json:"code"`
	}{"error", message, code})
}

// take takes a message of the caller.
func (s *realtimeSession) take(ctx context.Context, data []byte) {
	var m struct {
		Type  string  `json:"type"`
		Model *string `json:"model"`
		Audio string  `json:"audio"`
		Final bool    `json:"final"`
	}
	if json.Unmarshal(data, &m) != nil {
		s.refuse(ctx, "Invalid JSON", "invalid_json")
		return
	}
	switch m.Type {
	case "session.update":
		if m.Model == nil {
			s.refuse(ctx, "Missing required field: model", "invalid_event")
		} else if err := s.e.checkModel(*m.Model); err != nil {
			s.refuse(ctx, "The model `"+*m.Model+"` does not exist.", "model_not_found")
		} else {
			s.validated = true
		}
	case "input_audio_buffer.append":
		if sound, err := base64.StdEncoding.DecodeString(m.Audio); err != nil || len(sound) == 0 {
			s.refuse(ctx, "Invalid audio data", "invalid_audio")
		} else {
			s.hear(sound)
		}
	case "input_audio_buffer.commit":
		switch {
		case !s.validated:
			s.refuse(ctx, "Model not validated. Make sure to validate the model by sending a session.update event.", "model_not_validated")
		case m.Final:
			s.end()
		default:
			s.begin(ctx)
		}
	default:
		s.refuse(ctx, "Unknown event type: "+m.Type, "unknown_event")
	}
}

// hear lets the answer have a token more for each piece of sound.
func (s *realtimeSession) hear(sound []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(sound) > 0 {
		frame := sound[:min(frameBytes, len(sound))]
		sound = sound[len(frame):]
		s.frames = append(s.frames, strings.Trim(string(frame), "\x00") == "")
	}
	s.allow()
}

// end says that the sound has ended: the answer ends with the token after it.
func (s *realtimeSession) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != nil && !s.ended {
		s.ended = true
		s.frames = append(s.frames, false)
		s.allow()
	}
}

// allow tells the engine how many tokens the answer may have. s.mu is held.
func (s *realtimeSession) allow() {
	if s.job == nil {
		return
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	seq := s.job.seqs[0]
	seq.allowed = len(s.frames)
	if s.ended {
		seq.limits.maxTokens = seq.allowed
	}
	if c := seq.core; c != nil && seq.state == stateDeferred && (seq.fault == nil || seq.fault.Kind != HangQueue) {
		c.undefer(seq)
		c.begin()
	}
}

// begin starts an answer, unless one is under way.
func (s *realtimeSession) begin(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != nil {
		return
	}
	j := s.e.newJob(s.r, "rt-"+s.id+"-", "")
	p := &params{IgnoreEOS: true}
	s.e.addPrompt(j, promptFor(realtimePrompt), p, limits{maxTokens: s.e.cfg.MaxModelLen - realtimePrompt, logprobs: -1})
	j.seqs[0].fed, j.seqs[0].allowed = true, len(s.frames)
	s.job, s.ended = j, false
	go s.answer(ctx, j)
}

// promptFor returns a prompt of n tokens.
func promptFor(n int) []uint32 {
	return appendText([]uint32{tokenBegin}, strings.Repeat("~~~~", n-1))
}

// forget makes room for the next answer; sound that came too late for this one is dropped, as vLLM does.
func (s *realtimeSession) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.job, s.frames = nil, nil
}

func (s *realtimeSession) abort() {
	s.mu.Lock()
	j := s.job
	s.mu.Unlock()
	if j != nil {
		s.e.abort(j)
	}
}
