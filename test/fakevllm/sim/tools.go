package sim

import (
	"encoding/json"
	"net/http"
)

type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
	} `json:"function"`
}

// functionTool is a tool as a chat has it.
func functionTool(name, description string, parameters json.RawMessage) (t tool) {
	t.Type, t.Function.Name, t.Function.Description, t.Function.Parameters = "function", name, description, parameters
	return t
}

// toolCall is the one call that the model makes, in each choice.
type toolCall struct {
	ids   map[*sequence]string
	name  string
	named bool // the request said which tool; then the finish reason stays "stop"
	auto  bool // the model chose to call
}

type callDelta struct {
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Index    int          `json:"index"`
	Function callFunction `json:"function"`
}

type callFunction struct {
	Name      string  `json:"name,omitempty"`
	Arguments *string `json:"arguments,omitempty"`
}

type callWhole struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function callFunction `json:"function"`
}

// chosen returns the tool that the model calls, by a simple rule: the one that the request names, else the first, and
// none after a tool has answered or if the request forbids it.
func (r *chatRequest) chosen() (t tool, named, auto, ok bool) {
	if len(r.Tools) == 0 {
		return tool{}, false, false, false
	}
	var word string
	json.Unmarshal(r.ToolChoice, &word) // an object leaves it empty
	var choice tool
	json.Unmarshal(r.ToolChoice, &choice) // a word leaves it empty
	switch {
	case choice.Function.Name != "":
		for _, t := range r.Tools {
			if t.Function.Name == choice.Function.Name {
				return t, true, false, true
			}
		}
		return tool{}, true, false, false
	case word == "required":
		return r.Tools[0], false, false, true
	case word == "none":
		return tool{}, false, false, false
	}
	answered := len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].Role == "tool"
	return r.Tools[0], false, true, !answered
}

func (e *Engine) checkTools(r *chatRequest) *apiError {
	if _, named, _, ok := r.chosen(); named && !ok {
		return &apiError{
			Message: "The tool specified in `tool_choice` does not match any of the specified `tools`",
			Type:    "BadRequestError", Code: http.StatusBadRequest,
		}
	}
	return nil
}

// script tells the sequences what to say where that is fixed beforehand: the arguments of a tool call, or JSON. It
// returns the call, nil for none.
func (e *Engine) script(j *job, r *chatRequest) *toolCall {
	t, named, auto, called := r.chosen()
	call := &toolCall{ids: map[*sequence]string{}, name: t.Function.Name, named: named, auto: auto}
	for _, s := range j.seqs {
		a := s.author
		switch {
		case called:
			call.ids[s] = "chatcmpl-tool-" + e.newID()
			a.recite(example(t.Function.Parameters, a.rng, 0))
		case r.ResponseFormat != nil && r.ResponseFormat.Type == "json_schema":
			a.recite(example(r.ResponseFormat.JSONSchema.Schema, a.rng, 0))
		case r.ResponseFormat != nil && r.ResponseFormat.Type == "json_object":
			a.recite(map[string]string{"answer": words[a.rng.IntN(len(words))]})
		default:
			e.think(a)
		}
	}
	if !called {
		return nil
	}
	return call
}

// think makes an answer begin with thoughts, if the engine has a parser for them.
func (e *Engine) think(a *author) {
	if e.cfg.ReasoningParser == "" {
		return
	}
	a.reasoning = 4 + a.rng.IntN(12)
	if a.length >= 0 {
		a.length += a.reasoning
	}
}

// recite makes the answer the JSON of v, and then the end.
func (a *author) recite(v any) {
	if v == nil {
		v = struct{}{}
	}
	a.scripted, a.script = true, string(encode(v))
}

// reason is the finish reason of a chat: a call that the model was free to make has one of its own.
func (a *chatAnswer) reason(d delta) string {
	if a.call != nil && !a.call.named && d.finish == "stop" {
		return "tool_calls"
	}
	return d.finish
}

// callDeltas are the parts of a call in one delta: before the first arguments goes the name.
func (a *chatAnswer) callDeltas(d delta) (deltas []chatDelta) {
	content := null
	if a.call.auto {
		content = nil
	}
	if !a.started[d.seq] && len(d.tokens) > 0 {
		a.started[d.seq] = true
		deltas = append(deltas, chatDelta{
			Content:   content,
			ToolCalls: []callDelta{{ID: a.call.ids[d.seq], Type: "function", Function: callFunction{Name: a.call.name}}},
		})
	}
	if d.text != "" {
		deltas = append(deltas, chatDelta{
			Content:   content,
			ToolCalls: []callDelta{{Function: callFunction{Arguments: &d.text}}},
		})
	}
	return deltas
}

func (a *chatAnswer) wholeCall(m *wholeMessage, d delta) {
	m.Content = encode("")
	if a.call.auto {
		m.Content = null
	}
	m.ToolCalls = []callWhole{{
		ID: a.call.ids[d.seq], Type: "function",
		Function: callFunction{Name: a.call.name, Arguments: &d.text},
	}}
}

// countParser counts a run of the tool parser: it runs for every request with tools that may be used.
func (a *chatAnswer) countParser(mode string, called bool) {
	if len(a.req.Tools) == 0 || string(a.req.ToolChoice) == `"none"` {
		return
	}
	outcome := map[bool]string{false: "no_tool_call", true: "tool_call"}[called]
	a.engine.mu.Lock()
	a.engine.front.toolParser[toolKey{mode, outcome}]++
	a.engine.mu.Unlock()
}
