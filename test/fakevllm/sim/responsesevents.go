package sim

import "encoding/json"

// responseEvent is any event of a Responses stream. Its keys are in the order of the alphabet, as vLLM's are.
type responseEvent struct {
	Arguments    *string         `json:"arguments,omitempty"`
	ContentIndex *int            `json:"content_index,omitempty"`
	Delta        *string         `json:"delta,omitempty"`
	Item         any             `json:"item,omitempty"`
	ItemID       string          `json:"item_id,omitempty"`
	Logprobs     json.RawMessage `json:"logprobs,omitzero"`
	OutputIndex  *int            `json:"output_index,omitempty"`
	Part         any             `json:"part,omitempty"`
	Response     *responseObject `json:"response,omitempty"`
	Number       int             `json:"sequence_number"`
	Text         *string         `json:"text,omitempty"`
	Type         string          `json:"type"`
	Name         string          `json:"name,omitempty"` // the only one that is not in its place
}

// event numbers an event and gives it its type.
func (a *responsesAnswer) event(kind string, e responseEvent) any {
	e.Type, e.Number = "response."+kind, a.number
	a.number++
	return event{e.Type, e}
}

// responseItem is a part of the output that is being made: a message, reasoning, or a call of a tool.
type responseItem struct {
	kind, id     string
	index        int
	text         string
	call, called string // the id of a call, and the name of its tool
}

type callItem struct {
	Arguments string          `json:"arguments"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	ID        string          `json:"id"`
	Async     json.RawMessage `json:"async"`
	Caller    json.RawMessage `json:"caller"`
	Namespace json.RawMessage `json:"namespace"`
	Status    string          `json:"status"`
}

type messageItem struct {
	ID      string          `json:"id"`
	Content []any           `json:"content"`
	Role    string          `json:"role"`
	Status  string          `json:"status"`
	Type    string          `json:"type"`
	Phase   json.RawMessage `json:"phase"`
}

type reasoningItem struct {
	ID        string          `json:"id"`
	Summary   []any           `json:"summary"`
	Type      string          `json:"type"`
	Content   []any           `json:"content"`
	Encrypted json.RawMessage `json:"encrypted_content"`
	Status    string          `json:"status"`
}

type textPart struct {
	Annotations []any           `json:"annotations"`
	Text        string          `json:"text"`
	Type        string          `json:"type"`
	Logprobs    json.RawMessage `json:"logprobs"`
}

type reasoningPart struct {
	Text string `json:"text"`
	Type string `json:"type"`
}

// json returns the item, with its content if it is complete.
func (i *responseItem) json(complete bool) any {
	status, content := "in_progress", []any{}
	if complete {
		status, content = "completed", []any{i.part(i.text, null)}
	}
	switch i.kind {
	case "function_call":
		item := callItem{CallID: i.call, Name: i.called, Type: i.kind, ID: i.id, Status: status}
		if complete {
			item.Arguments = i.text
		}
		return item
	case "reasoning":
		return reasoningItem{ID: i.id, Summary: []any{}, Type: i.kind, Content: content, Status: status}
	}
	return messageItem{ID: i.id, Content: content, Role: "assistant", Status: status, Type: i.kind}
}

func (i *responseItem) part(text string, logprobs json.RawMessage) any {
	if i.kind == "reasoning" {
		return reasoningPart{text, "reasoning_text"}
	}
	return textPart{[]any{}, text, "output_text", logprobs}
}

// words are what the events of an item of a kind are named after: its part, and its text.
func (i *responseItem) words() (part, text string) {
	if i.kind == "reasoning" {
		return "reasoning_part", "reasoning_text"
	}
	return "content_part", "output_text"
}

// base is what all events about an item's content have.
func (i *responseItem) base() responseEvent {
	zero := 0
	return responseEvent{ContentIndex: &zero, ItemID: i.id, OutputIndex: &i.index}
}

func (a *responsesAnswer) opening() []any {
	return []any{
		a.event("created", responseEvent{Response: a.object()}),
		a.event("in_progress", responseEvent{Response: a.object()}),
	}
}

func (a *responsesAnswer) chunks(d delta) (events []any) {
	if d.err != nil && len(d.tokens) == 0 {
		return nil
	}
	events = append(a.say("reasoning", d.reasoning), a.speak(d)...)
	if d.finish != "" {
		a.finish = d
		events = append(events, a.closeItem()...)
	}
	return events
}

// speak adds what the model says after its thoughts.
func (a *responsesAnswer) speak(d delta) []any {
	if a.call != nil {
		return a.argue(d)
	}
	return a.say("message", d.text)
}

// argue adds the arguments of a call to its item.
func (a *responsesAnswer) argue(d delta) (events []any) {
	if d.text == "" {
		return nil
	}
	if a.open == nil || a.open.kind != "function_call" {
		events = a.closeItem()
		a.open = &responseItem{kind: "function_call", id: "fc_" + a.engine.newID(), index: len(a.items), call: a.call.ids[d.seq], called: a.call.name}
		events = append(events, a.event("output_item.added", responseEvent{Item: a.open.json(false), OutputIndex: &a.open.index}))
	}
	a.open.text += d.text
	return append(events, a.event("function_call_arguments.delta", responseEvent{Delta: &d.text, ItemID: a.open.id, OutputIndex: &a.open.index}))
}

// say adds text to the item of its kind, after the one that is open has been closed if that is another.
func (a *responsesAnswer) say(kind, text string) (events []any) {
	if text == "" {
		return nil
	}
	if a.open == nil || a.open.kind != kind {
		events = a.closeItem()
		prefix := "msg_"
		if kind == "reasoning" {
			prefix = "rs_"
		}
		a.open = &responseItem{kind: kind, id: prefix + a.engine.newID(), index: len(a.items)}
		part, _ := a.open.words()
		begun := a.open.base()
		begun.Part = a.open.part("", encode([]any{}))
		events = append(events,
			a.event("output_item.added", responseEvent{Item: a.open.json(false), OutputIndex: &a.open.index}),
			a.event(part+".added", begun))
	}
	a.open.text += text
	_, word := a.open.words()
	e := a.open.base()
	e.Delta = &text
	if kind == "message" {
		e.Logprobs = encode([]any{})
	}
	return append(events, a.event(word+".delta", e))
}

func (a *responsesAnswer) closeItem() []any {
	i := a.open
	if i == nil {
		return nil
	}
	a.open = nil
	a.items = append(a.items, i.json(true))
	if i.kind == "function_call" {
		return []any{
			a.event("function_call_arguments.done", responseEvent{Arguments: &i.text, ItemID: i.id, OutputIndex: &i.index, Name: i.called}),
			a.event("output_item.done", responseEvent{Item: i.json(true), OutputIndex: &i.index}),
		}
	}
	part, word := i.words()
	all, whole := i.base(), i.base()
	all.Text = &i.text
	if i.kind == "message" {
		all.Logprobs = encode([]any{})
	}
	whole.Part = i.part(i.text, null)
	return []any{
		a.event(word+".done", all),
		a.event(part+".done", whole),
		a.event("output_item.done", responseEvent{Item: i.json(true), OutputIndex: &i.index}),
	}
}

func (a *responsesAnswer) last() []any {
	return []any{a.event("completed", responseEvent{Response: a.ended(true)})}
}
