package sim

import (
	"encoding/json"
	"net/http"
	"time"
)

type responsesRequest struct {
	params
	Input           json.RawMessage `json:"input"`
	Instructions    *string         `json:"instructions"`
	MaxOutputTokens *int            `json:"max_output_tokens"`
	Tools           []responseTool  `json:"tools"`
	ToolChoice      json.RawMessage `json:"tool_choice"`
}

// responseTool is a tool, as it is asked for and as the answer repeats it.
type responseTool struct {
	Name        string          `json:"name"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`
	Type        string          `json:"type"`
	Callers     json.RawMessage `json:"allowed_callers"`
	Async       json.RawMessage `json:"async"`
	Defer       json.RawMessage `json:"defer_loading"`
	Description *string         `json:"description"`
	Schema      json.RawMessage `json:"output_schema"`
}

// chat is the same request as a chat. The input is a text or a list of messages.
func (r *responsesRequest) chat() *chatRequest {
	chat := &chatRequest{ToolChoice: r.ToolChoice}
	if r.Instructions != nil {
		chat.Messages = append(chat.Messages, message{Role: "system", Content: encode(*r.Instructions)})
	}
	var list []message
	if json.Unmarshal(r.Input, &list) != nil {
		list = []message{{Role: "user", Content: r.Input}}
	}
	chat.Messages = append(chat.Messages, list...)
	for _, t := range r.Tools {
		description := ""
		if t.Description != nil {
			description = *t.Description
		}
		chat.Tools = append(chat.Tools, functionTool(t.Name, description, t.Parameters))
	}
	var choice struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(r.ToolChoice, &choice) == nil && choice.Name != "" {
		chat.ToolChoice = encode(functionTool(choice.Name, "", nil))
	}
	return chat
}

func (r *responsesRequest) prompt() []uint32 { return r.chat().prompt() }

func (e *Engine) serveResponses(w http.ResponseWriter, r *http.Request) {
	var req responsesRequest
	err := decode(r, &req, "input")
	req.MaxTokens = req.MaxOutputTokens
	if err == nil {
		err = e.check(&req.params)
	}
	prompt, room := req.prompt(), 0
	if err == nil {
		room, err = e.room(&req.params, len(prompt), 0)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	chat := req.chat()
	if err := e.checkTools(chat); err != nil {
		writeError(w, err)
		return
	}
	j := e.newJob(r, "resp_", req.RequestID)
	e.addPrompt(j, prompt, &req.params, limits{
		maxTokens: room, stop: req.Stop, logprobs: -1, temperature: req.Temperature, topP: req.TopP,
	})
	call := e.script(j, chat)
	e.run(w, r, j, req.Stream, &responsesAnswer{engine: e, job: j, req: &req, call: call, room: room, created: time.Now().Unix()})
}

// responsesAnswer makes the bodies of an answer of the Responses API.
type responsesAnswer struct {
	engine  *Engine
	job     *job
	req     *responsesRequest
	call    *toolCall // nil for text
	room    int
	created int64

	number int // of the next event
	open   *responseItem
	items  []any // that are complete
	finish delta // the last one
}

// responseObject is the whole answer, which the first two events and the last have too.
type responseObject struct {
	ID               string          `json:"id"`
	Created          int64           `json:"created_at"`
	Incomplete       *incomplete     `json:"incomplete_details"`
	Instructions     *string         `json:"instructions"`
	Metadata         json.RawMessage `json:"metadata"`
	Model            string          `json:"model"`
	Object           string          `json:"object"`
	Output           []any           `json:"output"`
	Parallel         bool            `json:"parallel_tool_calls"`
	Temperature      number          `json:"temperature"`
	ToolChoice       json.RawMessage `json:"tool_choice"`
	Tools            []responseTool  `json:"tools"`
	TopP             number          `json:"top_p"`
	Background       bool            `json:"background"`
	MaxOutput        int             `json:"max_output_tokens"`
	MaxToolCalls     json.RawMessage `json:"max_tool_calls"`
	Previous         json.RawMessage `json:"previous_response_id"`
	Prompt           json.RawMessage `json:"prompt"`
	Reasoning        json.RawMessage `json:"reasoning"`
	ServiceTier      string          `json:"service_tier"`
	Status           string          `json:"status"`
	Text             json.RawMessage `json:"text"`
	TopLogprobs      json.RawMessage `json:"top_logprobs"`
	Truncation       string          `json:"truncation"`
	Usage            *responseUsage  `json:"usage"`
	User             json.RawMessage `json:"user"`
	Metrics          *timings        `json:"metrics,omitempty"`
	PresencePenalty  number          `json:"presence_penalty"`
	FrequencyPenalty number          `json:"frequency_penalty"`
	KVTransfer       json.RawMessage `json:"kv_transfer_params"`
	ECTransfer       json.RawMessage `json:"ec_transfer_params"`
	InputMessages    json.RawMessage `json:"input_messages"`
	OutputMessages   json.RawMessage `json:"output_messages"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

type responseUsage struct {
	Input         int           `json:"input_tokens"`
	InputDetails  inputDetails  `json:"input_tokens_details"`
	Output        int           `json:"output_tokens"`
	OutputDetails outputDetails `json:"output_tokens_details"`
	Total         int           `json:"total_tokens"`
}

type inputDetails struct {
	Cached        int   `json:"cached_tokens"`
	CacheWrite    int   `json:"cache_write_tokens"`
	PerTurn       []int `json:"input_tokens_per_turn"`
	CachedPerTurn []int `json:"cached_tokens_per_turn"`
}

type outputDetails struct {
	Reasoning   int   `json:"reasoning_tokens"`
	Tool        int   `json:"tool_output_tokens"`
	PerTurn     []int `json:"output_tokens_per_turn"`
	ToolPerTurn []int `json:"tool_output_tokens_per_turn"`
}

// object returns the answer so far, without what is known only at its end.
func (a *responsesAnswer) object() *responseObject {
	o := &responseObject{
		ID: a.job.id, Created: a.created, Instructions: a.req.Instructions, Model: a.engine.cfg.Model, Object: "response",
		Output: []any{}, Parallel: true, Temperature: 1, ToolChoice: encode("none"), Tools: []responseTool{}, TopP: 1,
		MaxOutput: a.room, ServiceTier: "auto", Status: "in_progress", Truncation: "disabled",
	}
	if len(a.req.Tools) > 0 {
		o.Tools, o.ToolChoice = a.req.Tools, encode("auto")
		if len(a.req.ToolChoice) > 0 {
			o.ToolChoice = a.req.ToolChoice
		}
	}
	if a.req.Temperature != nil {
		o.Temperature = number(*a.req.Temperature)
	}
	if a.req.TopP != nil {
		o.TopP = number(*a.req.TopP)
	}
	return o
}

// ended returns the whole answer.
func (a *responsesAnswer) ended(stream bool) *responseObject {
	o, t := a.object(), a.job.tally()
	o.Status = "completed"
	if a.finish.finish == "length" {
		o.Status, o.Incomplete = "incomplete", &incomplete{"max_output_tokens"}
	}
	o.Output = append(o.Output, a.items...)
	o.Usage = &responseUsage{
		Input: t.prompt, InputDetails: inputDetails{PerTurn: []int{}, CachedPerTurn: []int{}},
		Output: t.completion, OutputDetails: outputDetails{Reasoning: t.reasoning, PerTurn: []int{}, ToolPerTurn: []int{}},
		Total: t.prompt + t.completion,
	}
	if a.engine.cfg.PromptTokensDetails {
		o.Usage.InputDetails.Cached, o.Usage.InputDetails.CacheWrite = t.cached, t.created
	}
	if o.Metrics = a.engine.timings(a.job, stream); o.Metrics != nil {
		o.Metrics.Drafts = null
	}
	return o
}

func (a *responsesAnswer) whole(parts []delta) any {
	a.finish = parts[0]
	a.say("reasoning", a.finish.reasoning)
	a.speak(a.finish)
	a.closeItem()
	return a.ended(false)
}

// failure is nothing: vLLM cuts the stream off.
func (a *responsesAnswer) failure(*apiError) []any { return nil }

func (a *responsesAnswer) refuse(w http.ResponseWriter, err *apiError) { writeError(w, err) }
