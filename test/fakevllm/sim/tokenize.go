package sim

import (
	"net/http"
	"strings"
)

type tokenizeRequest struct {
	Model    string    `json:"model"`
	Text     *string   `json:"prompt"`
	Messages []message `json:"messages"`
	Tools    []tool    `json:"tools"`
}

type tokenized struct {
	Count       int      `json:"count"`
	MaxModelLen int      `json:"max_model_len"`
	Tokens      []uint32 `json:"tokens"`
	TokenStrs   *string  `json:"token_strs"`
}

// serveTokenize answers without the engine, so also when that is wedged.
func (e *Engine) serveTokenize(w http.ResponseWriter, r *http.Request) {
	var req tokenizeRequest
	err := decode(r, &req)
	if err == nil {
		err = e.checkModel(req.Model)
	}
	if err == nil && req.Text == nil && req.Messages == nil {
		err = errInvalid("body.prompt", "{'type': 'missing', 'loc': 'body.prompt', 'msg': 'Field required', 'input': '<dict>'}")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	chat := chatRequest{Messages: req.Messages, Tools: req.Tools}
	tokens := chat.prompt()
	if req.Text != nil {
		tokens = textOrTokens{text: *req.Text}.prompt()
	}
	writeJSON(w, http.StatusOK, tokenized{Count: len(tokens), MaxModelLen: e.cfg.MaxModelLen, Tokens: tokens})
}

// serveDetokenize answers with a word for each token, as there is no way back from a token of this engine to its text.
func (e *Engine) serveDetokenize(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Model  string   `json:"model"`
		Tokens []uint32 `json:"tokens"`
	}
	err := decode(r, &req, "tokens")
	if err == nil {
		err = e.checkModel(req.Model)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	said := make([]string, len(req.Tokens))
	for i, id := range req.Tokens {
		said[i] = words[int(id)%len(words)]
	}
	writeJSON(w, http.StatusOK, struct {
		Prompt string `json:"prompt"`
	}{strings.Join(said, " ")})
}
