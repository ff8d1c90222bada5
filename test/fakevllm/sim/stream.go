package sim

import (
	"encoding/json"
	"net/http"
	"time"
)

// answer makes the bodies of one endpoint's answers.
type answer interface {
	// whole returns the answer in one piece, made of everything that the sequences have said.
	whole(parts []delta) any
	// chunks returns the events for one delta.
	chunks(d delta) []any
	// last returns the events after all choices have ended.
	last() []any
}

// dialect is an answer whose streams and errors are not like those of OpenAI's chats: its events are typed, and none of
// them is [DONE].
type dialect interface {
	answer
	// opening returns the events that are sent before the engine has begun.
	opening() []any
	// failure returns the events that end a stream whose engine dies. Without any it is cut off.
	failure(err *apiError) []any
	// refuse sends an error in place of the answer.
	refuse(w http.ResponseWriter, err *apiError)
}

// event is an event with a type.
type event struct {
	kind string
	data any
}

// refuseAs sends an error in place of an answer, in the answer's dialect.
func refuseAs(w http.ResponseWriter, a answer, err *apiError) {
	if own, ok := a.(dialect); ok {
		own.refuse(w, err)
		return
	}
	writeError(w, err)
}

// run has a job computed and sends its answer. It comes after everything that can be refused has been refused.
func (e *Engine) run(w http.ResponseWriter, r *http.Request, j *job, stream bool, a answer) {
	if !e.pass(w, r, j) {
		return
	}
	if d := e.cfg.Timing.Frontend; d > 0 && !pause(r, d) {
		return
	}
	if err := e.submit(j); err != nil {
		refuseAs(w, a, err)
		return
	}
	defer e.abort(j) // nothing, if it has ended
	if stream {
		e.stream(w, r, j, a)
		return
	}
	parts := make([]delta, len(j.seqs))
	for ended := 0; ended < len(parts); {
		select {
		case <-r.Context().Done():
			return
		case <-j.notify:
		}
		for _, d := range e.take(j) {
			switch {
			case d.err != nil:
				refuseAs(w, a, d.err)
				return
			case d.cut != "":
				breakOff(w)
			}
			parts[d.seq.index].add(d)
			if d.finish != "" {
				ended++
			}
		}
	}
	e.tellLoad(w, r)
	if r, ok := a.(raw); ok {
		if metadata, body, ok := r.bytes(); ok {
			writeRaw(w, metadata, body)
			return
		}
	}
	writeJSON(w, http.StatusOK, a.whole(parts))
}

// add appends what came later.
func (d *delta) add(later delta) {
	d.seq, d.total = later.seq, later.total
	d.text += later.text
	d.reasoning += later.reasoning
	d.tokens = append(d.tokens, later.tokens...)
	d.pieces = append(d.pieces, later.pieces...)
	d.finish, d.stop = later.finish, later.stop
}

// stream sends the headers at once and then events as they come.
func (e *Engine) stream(w http.ResponseWriter, r *http.Request, j *job, a answer) {
	out := startStream(w)
	own, _ := a.(dialect)
	if own != nil {
		out.events(own.opening())
	}
	beat, stop := e.keepAlive(a)
	defer stop()
	for ended := 0; ended < len(j.seqs); {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			out.write(": keep-alive\n\n")
			out.flush()
			beat.Reset(e.cfg.SSEKeepAlive)
			continue
		case <-j.notify:
		}
		for _, d := range e.take(j) {
			out.events(a.chunks(d))
			switch {
			case d.err != nil:
				out.fail(own, d.err)
				return
			case d.cut == EndEarly:
				return
			case d.cut == Truncate:
				panic(http.ErrAbortHandler)
			case d.finish != "":
				ended++
			}
		}
		if beat.C != nil {
			beat.Reset(e.cfg.SSEKeepAlive)
		}
	}
	out.events(a.last())
	if own == nil {
		out.done()
	}
}

// keepAlive returns the timer for comments, which never fires without --sse-keep-alive-interval, nor for other answers
// than chats and completions.
func (e *Engine) keepAlive(a answer) (*time.Timer, func()) {
	_, chat := a.(*chatAnswer)
	_, completion := a.(*completionAnswer)
	if e.cfg.SSEKeepAlive <= 0 || !chat && !completion {
		return &time.Timer{}, func() {}
	}
	t := time.NewTimer(e.cfg.SSEKeepAlive)
	return t, func() { t.Stop() }
}

// sse writes events, each in a chunk of its own, as uvicorn does.
type sse struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func startStream(w http.ResponseWriter) *sse {
	s := &sse{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	s.flush()
	return s
}

func (s *sse) write(text string) { s.w.Write([]byte(text)) } // the client may have left; the context says so
func (s *sse) flush()            { s.rc.Flush() }
func (s *sse) done()             { s.data([]byte("[DONE]")) }

func (s *sse) data(body []byte) {
	s.write("data: " + string(body) + "\n\n")
	s.flush()
}

func (s *sse) events(events []any) {
	for _, one := range events {
		if typed, ok := one.(event); ok {
			s.write("event: " + typed.kind + "\n")
			one = typed.data
		}
		if raw, ok := one.(json.RawMessage); ok { // [DONE], which is no JSON
			s.data(raw)
			continue
		}
		s.data(encode(one))
	}
}

// fail ends a stream whose engine has died.
func (s *sse) fail(own dialect, err *apiError) {
	if own == nil {
		s.data(errorsOf(s.w).frame(err))
		s.done()
		return
	}
	events := own.failure(err)
	if len(events) == 0 {
		panic(http.ErrAbortHandler)
	}
	s.events(events)
}

// breakOff cuts an answer in one piece in the middle.
func breakOff(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "1000")
	w.WriteHeader(http.StatusOK)
	w.Write([]byte(`{"id":"`))
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// pause waits for d, or less if the client leaves.
func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// refuse sends an error that the engine finds only after a stream's headers are out.
func refuse(w http.ResponseWriter, err *apiError, stream bool) {
	if !stream {
		writeError(w, err)
		return
	}
	out := startStream(w)
	out.data(errorsOf(w).frame(err))
	out.done()
}
