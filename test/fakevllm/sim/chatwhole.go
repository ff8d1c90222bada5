package sim

import "encoding/json"

type chatWhole struct {
	ID             string          `json:"id"`
	Object         string          `json:"object"`
	Created        int64           `json:"created"`
	Model          string          `json:"model"`
	Choices        []wholeChoice   `json:"choices"`
	ServiceTier    json.RawMessage `json:"service_tier"`
	Fingerprint    string          `json:"system_fingerprint"`
	Usage          *usage          `json:"usage"`
	PromptLogprobs json.RawMessage `json:"prompt_logprobs"`
	PromptTokenIDs json.RawMessage `json:"prompt_token_ids"`
	PromptText     json.RawMessage `json:"prompt_text"`
	KVTransfer     json.RawMessage `json:"kv_transfer_params"`
	ECTransfer     json.RawMessage `json:"ec_transfer_params"`
	Metrics        *timings        `json:"metrics"`
}

type wholeChoice struct {
	Index         int             `json:"index"`
	Message       wholeMessage    `json:"message"`
	Logprobs      *chatLogprobs   `json:"logprobs"`
	FinishReason  string          `json:"finish_reason"`
	StopReason    json.RawMessage `json:"stop_reason"`
	TokenIDs      json.RawMessage `json:"token_ids"`
	RoutedExperts json.RawMessage `json:"routed_experts"`
}

type wholeMessage struct {
	Role         string          `json:"role"`
	Content      json.RawMessage `json:"content"`
	Refusal      json.RawMessage `json:"refusal"`
	Annotations  json.RawMessage `json:"annotations"`
	Audio        json.RawMessage `json:"audio"`
	FunctionCall json.RawMessage `json:"function_call"`
	ToolCalls    []callWhole     `json:"tool_calls,omitempty"`
	Reasoning    json.RawMessage `json:"reasoning"`
}

func (a *chatAnswer) whole(parts []delta) any {
	w := chatWhole{
		ID: a.job.id, Object: "chat.completion", Created: a.created, Model: a.engine.cfg.Model,
		Fingerprint: a.engine.fingerprint, Usage: a.engine.fullUsage(a.job.tally(), true),
		Metrics: a.engine.timings(a.job, false),
	}
	for _, d := range parts {
		c := wholeChoice{Index: d.seq.index, Logprobs: a.logprobs(d), FinishReason: a.reason(d), StopReason: stopReason(d)}
		c.Message = wholeMessage{Role: "assistant", Content: encode(d.text)}
		if d.reasoning != "" && (a.req.IncludeReasoning == nil || *a.req.IncludeReasoning) {
			c.Message.Reasoning = encode(d.reasoning)
		}
		if d.reasoning != "" && d.text == "" {
			c.Message.Content = null // it has only thought
		}
		a.countParser("non_streaming", a.call != nil)
		if a.call != nil {
			a.wholeCall(&c.Message, d)
		}
		if a.req.ReturnTokenIDs {
			c.TokenIDs = encode(d.tokens)
		}
		w.Choices = append(w.Choices, c)
	}
	first := parts[0].seq
	if a.req.ReturnTokenIDs {
		w.PromptTokenIDs = encode(first.prompt)
	}
	switch k := a.req.PromptLogprobs; {
	case k != nil:
		w.PromptLogprobs = encode(promptLogprobs(first.prompt, *k))
	case a.req.Echo:
		w.PromptLogprobs = encode(promptLogprobs(first.prompt, 0))
	}
	return &w
}
