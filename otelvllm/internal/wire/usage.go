package wire

import "math"

// tokenCounts are the counts of a usage object.
type tokenCounts struct {
	input, output, cached, cacheWrite, reasoning tally
}

// tally is a count as told: unknown, a whole number from 0 to 2^53, or not one.
type tally struct {
	Int
	invalid bool
}

// read takes a count. Null is how vLLM says that it did not count.
func (t *tally) read(v *visit) {
	if v.closing {
		return
	}
	t.Int = v.integer()
	if t.Value < 0 {
		t.Int = Int{}
	}
	t.invalid = !t.Known && v.kind != kindNull
}

// inputUsage and generationUsage are the member usage of endpoints that only take tokens, and of those that make some.
// vLLM's Responses and Messages endpoints have other names for the same.
var (
	inputUsage      = usageSchema(inputCounts)
	generationUsage = usageSchema(inputCounts, outputCounts)

	inputCounts = []member[answer]{
		{"prompt_tokens", countNode(func(u *tokenCounts) *tally { return &u.input })},
		{"prompt_tokens_details", &node[answer]{on: (*answer).forgetInputDetails, members: []member[answer]{
			{"cached_tokens", countNode(func(u *tokenCounts) *tally { return &u.cached })},
			{"created_cache_tokens", countNode(func(u *tokenCounts) *tally { return &u.cacheWrite })},
		}}},
	}

	outputCounts = []member[answer]{
		{"completion_tokens", countNode(func(u *tokenCounts) *tally { return &u.output })},
		{"completion_tokens_details", &node[answer]{on: (*answer).forgetOutputDetails, members: []member[answer]{
			{"reasoning_tokens", countNode(func(u *tokenCounts) *tally { return &u.reasoning })},
		}}},
	}
)

func (a *answer) forgetInputDetails(v *visit) {
	if !v.closing {
		a.usage.cached, a.usage.cacheWrite = tally{}, tally{}
	}
}

func (a *answer) forgetOutputDetails(v *visit) {
	if !v.closing {
		a.usage.reasoning = tally{}
	}
}

func usageSchema(groups ...[]member[answer]) []member[answer] {
	var members []member[answer]
	for _, group := range groups {
		members = append(members, group...)
	}
	return []member[answer]{{"usage", &node[answer]{on: (*answer).readUsage, members: members}}}
}

func countNode(of func(*tokenCounts) *tally) *node[answer] {
	return &node[answer]{on: func(a *answer, v *visit) { of(&a.usage).read(v) }}
}

// floatCountNode is a count that comes as a float, 15.0, as Cohere's do.
func floatCountNode(of func(*tokenCounts) *tally) *node[answer] {
	return &node[answer]{on: func(a *answer, v *visit) {
		t := of(&a.usage)
		t.read(v)
		if f := v.float(); t.invalid && f.Known && f.Value == math.Trunc(f.Value) && f.Value <= maxCount && !math.Signbit(f.Value) {
			*t = tally{Int: Int{Value: int64(f.Value), Known: true}}
		}
	}}
}

func (a *answer) readUsage(v *visit) {
	if !v.closing {
		a.usage = tokenCounts{}
		a.usageTold = v.kind == kindObject
	}
}

// addTo puts the counts into u, each where it is known: on a stream the last one wins, as each tells the whole so far.
// It returns how many were invalid.
func (t *tokenCounts) addTo(u *Usage) (invalid int64) {
	for _, c := range [...]struct {
		from *tally
		to   *Int
	}{
		{&t.input, &u.Input},
		{&t.output, &u.Output},
		{&t.cached, &u.Cached},
		{&t.cacheWrite, &u.CacheWrite},
		{&t.reasoning, &u.Reasoning},
	} {
		if c.from.Known {
			*c.to = c.from.Int
		}
		if c.from.invalid {
			invalid++
		}
	}
	return invalid
}
