package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// reference reads a stream of a chat or of completions as the package does, but with encoding/json and without any
// regard for time and memory.
type reference struct {
	path   string
	facts  Facts
	seen   Seen
	reason map[int64]string
}

func referenceStream(path string, body []byte) (Seen, Facts) {
	r := reference{path: path, reason: map[int64]string{}}
	r.facts.Streamed = true
	p := sse.Parser{OnEvent: r.event, OnComment: func() { r.seen.Comments++ }}
	_, _ = p.Write(body)
	r.finish()
	return r.seen, r.facts
}

func referenceBody(path string, body []byte) Facts {
	r := reference{path: path, reason: map[int64]string{}}
	if doc, ok := decode(body); ok {
		r.document(doc)
	} else if len(body) > 0 {
		r.facts.Invalid++
	}
	r.facts.Contents = 0
	r.finish()
	return r.facts
}

func decode(data []byte) (doc any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return doc, json.Valid(data) && d.Decode(&doc) == nil
}

func (r *reference) event(e sse.Event) {
	if r.facts.Done {
		return
	}
	if string(bytes.TrimSpace(e.Data)) == "[DONE]" {
		r.facts.Done = true
		return
	}
	r.seen.Events++
	doc, ok := decode(e.Data)
	switch {
	case e.Truncated:
		r.facts.Oversize++
	case !ok:
		r.facts.Invalid++
	case r.document(doc):
		r.seen.Contents++
		r.facts.Contents++
	}
	if string(e.Type) == "error" {
		code := engineError
		if object, _ := doc.(map[string]any); ok && !e.Truncated {
			code = errorCode(object)
		}
		r.facts.Err = &Error{Code: code}
	}
}

// document takes a valid text, and reports whether it brings content.
func (r *reference) document(doc any) (content bool) {
	object, _ := doc.(map[string]any)
	failure := object["error"]
	if failure != nil && failure != false || object["object"] == "error" {
		r.facts.Err = &Error{Code: errorCode(object)}
	}
	for to, from := range map[*string]any{&r.facts.ID: object["id"], &r.facts.Model: object["model"]} {
		if s, _ := from.(string); s != "" {
			*to = s
		}
	}
	r.usage(object["usage"])
	if metrics, _ := object["metrics"].(map[string]any); metrics != nil {
		r.time(&r.facts.Timings.Queue, metrics["queue_time_ms"])
		r.time(&r.facts.Timings.Prefill, metrics["time_to_first_token_ms"])
		r.time(&r.facts.Timings.Decode, metrics["generation_time_ms"])
	}
	choices, _ := object["choices"].([]any)
	if r.path == embeddingPath {
		choices = nil
	}
	n := 0
	for i, c := range choices {
		c, ok := c.(map[string]any)
		if !ok {
			continue
		}
		content = r.hasContent(c) || content
		if n++; n > maxChoices {
			continue
		}
		index := int64(i)
		if n, ok := whole(c["index"]); ok {
			index = n
		}
		reason, _ := c["finish_reason"].(string)
		if _, found := r.reason[index]; !found && len(r.reason) == maxChoices {
			continue
		}
		if old := r.reason[index]; reason == "" {
			reason = old
		}
		r.reason[index] = reason
	}
	return content
}

func errorCode(object map[string]any) string {
	f, _ := object["error"].(map[string]any)
	if object["error"] == nil || object["error"] == false {
		f = object
	}
	switch code := f["code"].(type) {
	case json.Number:
		return code.String()
	case string:
		if code != "" {
			return code
		}
	}
	if class, _ := f["type"].(string); class != "" {
		return class
	}
	return engineError
}

func (r *reference) hasContent(choice map[string]any) bool {
	some := func(v any) bool { s, ok := v.(string); return ok && s != "" }
	if r.path == completionPath {
		return some(choice["text"])
	}
	delta, _ := choice["delta"].(map[string]any)
	call, _ := delta["function_call"].(map[string]any)
	audio, _ := delta["audio"].(map[string]any)
	tools, _ := delta["tool_calls"].([]any)
	return len(tools) > 0 || slices.ContainsFunc([]any{
		delta["content"], delta["reasoning"], delta["reasoning_content"], delta["refusal"],
		call["name"], call["arguments"], audio["data"], audio["transcript"],
	}, some)
}

func (r *reference) usage(v any) {
	usage, _ := v.(map[string]any)
	if r.path == embeddingPath {
		delete(usage, "completion_tokens")
		delete(usage, "completion_tokens_details")
	}
	prompt, _ := usage["prompt_tokens_details"].(map[string]any)
	completion, _ := usage["completion_tokens_details"].(map[string]any)
	for to, from := range map[*Int]any{
		&r.facts.Usage.Input: usage["prompt_tokens"], &r.facts.Usage.Output: usage["completion_tokens"],
		&r.facts.Usage.Cached: prompt["cached_tokens"], &r.facts.Usage.CacheWrite: prompt["created_cache_tokens"],
		&r.facts.Usage.Reasoning: completion["reasoning_tokens"],
	} {
		if n, ok := whole(from); ok && n >= 0 {
			*to = known(n)
		} else if from != nil {
			r.facts.Invalid++
		}
	}
}

func (r *reference) time(to *Float, from any) {
	number, _ := from.(json.Number)
	f, err := strconv.ParseFloat(number.String(), 64)
	if err == nil && len(number) <= maxRaw && f >= 0 && f/1000 <= maxSeconds && !math.Signbit(f) {
		*to = Float{Value: f / 1000, Known: true}
	} else if from != nil {
		r.facts.Invalid++
	}
}

// whole returns v as a whole number that is written as one.
func whole(v any) (int64, bool) {
	number, _ := v.(json.Number)
	n, err := strconv.ParseInt(number.String(), 10, 64)
	return n, err == nil && number != "-0" && n >= -1<<53 && n <= 1<<53
}

func (r *reference) finish() {
	var indexes []int64
	for i := range r.reason {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	for _, i := range indexes {
		r.facts.FinishReasons = append(r.facts.FinishReasons, r.reason[i])
	}
}
