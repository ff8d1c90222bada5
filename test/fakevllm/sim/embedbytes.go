package sim

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"strings"
)

// raw is an answer that may be asked for as plain bytes.
type raw interface {
	// bytes returns the body, and what goes beside it into the header Metadata, "" for nothing; false where the answer
	// is JSON.
	bytes() (metadata string, body []byte, ok bool)
}

// writeRaw sends bytes, in a body of unknown length, as vLLM does.
func writeRaw(w http.ResponseWriter, metadata string, body []byte) {
	if metadata != "" {
		w.Header().Set("Metadata", metadata)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
	w.Write(body) // the client may have left
}

// vectorBytes returns the vectors of a job as floats of 32 bits, and what vLLM says of them, in Python's JSON.
func (e *Engine) vectorBytes(j *job, dimensions int, created int64) (metadata string, body []byte) {
	var items []string
	for _, s := range j.seqs {
		v, start := e.vector(s.prompt, dimensions), len(body)
		for _, f := range v {
			body = binary.LittleEndian.AppendUint32(body, math.Float32bits(f))
		}
		items = append(items, fmt.Sprintf(`{"index": %d, "embed_dtype": "float32", "endianness": "native", "start": %d, "end": %d, "shape": [%d]}`,
			s.index, start, len(body), len(v)))
	}
	n := j.tally().prompt
	return fmt.Sprintf(`{"id": %s, "created": %d, "model": %s, "data": [%s], "usage": {"prompt_tokens": %d, "total_tokens": %d}}`,
		encode(j.id), created, encode(e.cfg.Model), strings.Join(items, ", "), n, n), body
}

func (a *embeddingsAnswer) bytes() (metadata string, body []byte, ok bool) {
	return a.engine.rawAnswer(a.req.EncodingFormat, a.job, a.req.Dimensions, a.created)
}

func (a *poolAnswer) bytes() (metadata string, body []byte, ok bool) {
	return a.engine.rawAnswer(a.req.EncodingFormat, a.job, 0, a.created)
}

func (e *Engine) rawAnswer(format string, j *job, dimensions int, created int64) (metadata string, body []byte, ok bool) {
	if format != "bytes" && format != "bytes_only" {
		return "", nil, false
	}
	if metadata, body = e.vectorBytes(j, dimensions, created); format == "bytes_only" {
		metadata = ""
	}
	return metadata, body, true
}
