package sim

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// audioRate is how many bytes of a file are a second of sound, whatever the file holds.
const audioRate = 32000

// audioRequest is a form with a file.
type audioRequest struct {
	params
	size   int64 // of the file
	format string
}

// serveTranscriptions answers POST /v1/audio/transcriptions.
func (e *Engine) serveTranscriptions(w http.ResponseWriter, r *http.Request) {
	e.serveAudio(w, r, &audioAnswer{engine: e, prefix: "trsc-", object: "transcription.chunk", duration: true})
}

// serveTranslations answers POST /v1/audio/translations, which tells no usage but on streams.
func (e *Engine) serveTranslations(w http.ResponseWriter, r *http.Request) {
	e.serveAudio(w, r, &audioAnswer{engine: e, prefix: "trsl-", object: "translation.chunk"})
}

// serveAudio has the engine make a token of each 80 ms of sound.
func (e *Engine) serveAudio(w http.ResponseWriter, r *http.Request, a *audioAnswer) {
	req, err := readForm(r)
	if err == nil {
		err = e.check(&req.params)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	a.req, a.created = req, time.Now().Unix()
	a.job = e.newJob(r, a.prefix, "")
	tokens := max(1, int(req.size)/frameBytes)
	if req.MaxTokens != nil {
		tokens = min(tokens, *req.MaxTokens)
	}
	req.IgnoreEOS = true
	e.addPrompt(a.job, promptFor(4), &req.params, limits{
		maxTokens: min(tokens, e.cfg.MaxModelLen-4), logprobs: -1, temperature: req.Temperature, topP: req.TopP,
	})
	e.run(w, r, a.job, req.Stream, a)
}

// readForm reads the fields that the engine acts upon.
func readForm(r *http.Request) (*audioRequest, *apiError) {
	if err := r.ParseMultipartForm(8 << 20); err != nil {
		return nil, errInvalid("body.file", "{'type': 'missing', 'loc': 'body.file', 'msg': 'Field required', 'input': None}")
	}
	defer r.MultipartForm.RemoveAll()
	files := r.MultipartForm.File["file"]
	if len(files) == 0 {
		return nil, errInvalid("body.file", "{'type': 'missing', 'loc': 'body.file', 'msg': 'Field required', 'input': None}")
	}
	on := func(name string) bool {
		switch strings.ToLower(strings.TrimSpace(r.FormValue(name))) {
		case "true", "1", "yes", "on", "t", "y":
			return true
		}
		return false
	}
	req := &audioRequest{size: files[0].Size, format: r.FormValue("response_format")}
	req.Model, req.Stream = r.FormValue("model"), on("stream")
	if req.Stream {
		req.StreamOptions = &streamOptions{IncludeUsage: on("stream_include_usage"), ContinuousUsageStats: on("stream_continuous_usage_stats")}
	}
	if n, err := strconv.Atoi(r.FormValue("max_completion_tokens")); err == nil {
		req.MaxTokens = &n
	}
	return req, nil
}

// audioAnswer makes the bodies of a transcription or translation.
type audioAnswer struct {
	engine         *Engine
	job            *job
	req            *audioRequest
	prefix, object string
	duration       bool // an answer in one piece tells how long the sound was
	created        int64
}

func (a *audioAnswer) whole(parts []delta) any {
	type duration struct {
		Type    string `json:"type"`
		Seconds int    `json:"seconds"`
	}
	var u *duration
	if a.duration {
		u = &duration{"duration", int(math.Ceil(float64(a.req.size) / audioRate))}
	}
	return struct {
		Text  string    `json:"text"`
		Usage *duration `json:"usage,omitempty"`
	}{parts[0].text, u}
}

type audioChunk struct {
	ID      string        `json:"id"`
	Object  string        `json:"object"`
	Created int64         `json:"created"`
	Model   string        `json:"model"`
	Choices []audioChoice `json:"choices"`
	Usage   *usage        `json:"usage,omitempty"`
}

type audioChoice struct {
	Delta        map[string]string `json:"delta"`
	FinishReason *string           `json:"finish_reason,omitempty"`
}

func (a *audioAnswer) chunk(u *usage, choices ...audioChoice) *audioChunk {
	return &audioChunk{ID: a.job.id, Object: a.object, Created: a.created, Model: a.engine.cfg.Model, Choices: choices, Usage: u}
}

func (a *audioAnswer) chunks(d delta) []any {
	if len(d.tokens) == 0 {
		return nil
	}
	c := audioChoice{Delta: map[string]string{"content": d.text}}
	if d.finish != "" {
		c.FinishReason = &d.finish
	}
	var u *usage
	if a.engine.streamOptions(&a.req.params).ContinuousUsageStats {
		u = chunkUsage(d, d.total, false)
	}
	return []any{a.chunk(u, c)}
}

func (a *audioAnswer) last() []any {
	if !a.engine.streamOptions(&a.req.params).IncludeUsage {
		return nil
	}
	u := a.job.tally().usage()
	c := a.chunk(&u)
	c.Choices = []audioChoice{}
	return []any{c}
}
