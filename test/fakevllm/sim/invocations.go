package sim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// serveInvocations answers SageMaker's endpoint as the endpoint does whose body it is.
func (e *Engine) serveInvocations(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has left
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		writeJSON(w, http.StatusBadRequest, detail{"JSON decode error: " + err.Error()})
		return
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if _, ok := fields[name]; !ok {
				return false
			}
		}
		return true
	}
	for _, target := range []struct {
		fits  bool
		serve http.HandlerFunc
	}{
		{has("messages"), e.serveChat},
		{has("prompt"), e.serveCompletions},
		{has("input", "task"), e.servePooling},
		{has("input"), e.serveEmbeddings},
		{has("text_1", "text_2"), e.serveScore},
		{has("query", "documents"), e.serveRerank},
	} {
		if target.fits {
			target.serve(w, r)
			return
		}
	}
	writeError(w, &apiError{
		Message: "Cannot find suitable handler for request. Expected one of: ['ChatCompletionRequest', 'CompletionRequest', 'EmbeddingRequest', 'ScoreRequest', 'RerankRequest', 'PoolingRequest']",
		Type:    "BadRequestError", Code: http.StatusBadRequest,
	})
}
