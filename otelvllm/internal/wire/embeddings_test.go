package wire

import (
	"net/http"
	"reflect"
	"testing"
)

func TestRecordedEmbeddings(t *testing.T) {
	checkRecordings(t, map[string]Facts{
		"embeddings":                 {ID: "embd-emb-1", Model: "tiny", Usage: Usage{Input: known(15)}},
		"embeddings-base64":          {ID: "embd-8ef4078b6b3cbe23", Model: "tiny", Usage: Usage{Input: known(4)}},
		"embeddings-bytes":           {ID: "embd-8756efc9feca6746", Model: "tiny", Usage: Usage{Input: known(8)}},
		"embeddings-bytes-only":      {Opaque: true},
		"embeddings-messages":        {ID: "embd-8f63a9d010bef20a", Model: "tiny", Usage: Usage{Input: known(5)}},
		"err-embeddings-on-generate": {Err: &Error{engineError}},
	})
}

func TestMetadataInAHeader(t *testing.T) {
	for name, c := range map[string]struct {
		metadata string
		want     Facts
	}{
		"all of it":                  {`{"id":"embd-1","model":"m","usage":{"prompt_tokens":8,"completion_tokens":3}}`, Facts{ID: "embd-1", Model: "m", Usage: Usage{Input: known(8)}}},
		"none":                       {``, Facts{Opaque: true}},
		"not JSON":                   {`{"id":`, Facts{Opaque: true, Invalid: 1}},
		"a count that is none":       {`{"usage":{"prompt_tokens":-8}}`, Facts{Invalid: 1}},
		"something else of the name": {`7`, Facts{}},
	} {
		h := http.Header{"Content-Type": {"application/octet-stream"}}
		if c.metadata != "" {
			h.Set("Metadata", c.metadata)
		}
		seen, f := answerOf(embeddingPath, 200, h, []byte(`{"usage":{"prompt_tokens":99}}`), []byte{0, 1, 2})
		if seen != (Seen{}) || !reflect.DeepEqual(f, c.want) {
			t.Errorf("%s: got %+v %+v, want %+v", name, seen, f, c.want)
		}
	}
}
