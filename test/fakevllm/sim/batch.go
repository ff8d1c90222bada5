package sim

import (
	"net/http"
	"time"
)

// batchRequest is several conversations in one request. None of them is streamed.
type batchRequest struct {
	params
	Messages [][]message `json:"messages"`
}

// serveBatch answers POST /v1/chat/completions/batch: a choice for each conversation.
func (e *Engine) serveBatch(w http.ResponseWriter, r *http.Request) {
	var req batchRequest
	err := decode(r, &req, "messages")
	if err == nil {
		err = e.check(&req.params)
	}
	switch {
	case err != nil:
	case req.Stream:
		err = errValue("stream", "True", "Streaming is not supported for batch chat completions.")
	case len(req.Messages) == 0:
		err = errValue("messages", "[]", "The list of conversations cannot be empty.")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	j := e.newJob(r, "chatcmpl-", req.RequestID)
	for _, messages := range req.Messages {
		chat := chatRequest{Messages: messages}
		prompt := chat.prompt()
		room, err := e.room(&req.params, len(prompt), 0)
		if err != nil {
			writeError(w, err)
			return
		}
		e.addPrompt(j, prompt, &req.params, limits{maxTokens: room, stop: req.Stop, logprobs: -1, temperature: req.Temperature, topP: req.TopP})
	}
	chat := &chatAnswer{engine: e, job: j, req: &chatRequest{params: req.params}, created: time.Now().Unix(), started: map[*sequence]bool{}}
	e.run(w, r, j, false, &batchAnswer{chat})
}

// batchAnswer is the answer to several chats, which tells no timings and nothing of the cache.
type batchAnswer struct{ *chatAnswer }

func (a *batchAnswer) whole(parts []delta) any {
	w := a.chatAnswer.whole(parts).(*chatWhole)
	w.Metrics, w.Usage.PromptDetails = nil, null
	return w
}
