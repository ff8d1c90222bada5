package sim

import "strconv"

type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
}

type chatLogprob struct {
	tokenLogprob
	Top []tokenLogprob `json:"top_logprobs"`
}

type tokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

func newTokenLogprob(text string, id uint32, rank int) tokenLogprob {
	bytes := make([]int, 0, len(text))
	for _, b := range []byte(text) {
		bytes = append(bytes, int(b))
	}
	return tokenLogprob{text, logprob(id, rank), bytes}
}

// alternative is what the model might have said instead of a token.
func alternative(id uint32, rank int) string { return " " + words[(int(id)+rank)%len(words)] }

func (a *chatAnswer) logprobs(d delta) *chatLogprobs {
	if !a.req.Logprobs || len(d.pieces) == 0 {
		return nil
	}
	l := &chatLogprobs{}
	for _, p := range d.pieces {
		c := chatLogprob{tokenLogprob: newTokenLogprob(p.text, p.id, 0), Top: []tokenLogprob{}}
		for rank := range a.req.TopLogprobs {
			text := p.text
			if rank > 0 {
				text = alternative(p.id, rank)
			}
			c.Top = append(c.Top, newTokenLogprob(text, p.id, rank))
		}
		l.Content = append(l.Content, c)
	}
	return l
}

type textLogprobs struct {
	Offset   []int                `json:"text_offset"`
	Logprobs []*float64           `json:"token_logprobs"`
	Tokens   []string             `json:"tokens"`
	Top      []map[string]float64 `json:"top_logprobs"`
}

// add appends a token. The first token of a prompt has no log probability.
func (l *textLogprobs) add(text string, id uint32, offset, alternatives int, known bool) {
	l.Offset = append(l.Offset, offset)
	l.Tokens = append(l.Tokens, text)
	if !known {
		l.Logprobs, l.Top = append(l.Logprobs, nil), append(l.Top, nil)
		return
	}
	p := logprob(id, 0)
	top := map[string]float64{text: p}
	for rank := 1; rank < alternatives; rank++ {
		top[alternative(id, rank)] = logprob(id, rank)
	}
	l.Logprobs, l.Top = append(l.Logprobs, &p), append(l.Top, top)
}

type promptLogprob struct {
	Logprob float64 `json:"logprob"`
	Rank    int     `json:"rank"`
	Decoded string  `json:"decoded_token"`
}

// promptLogprobs are those of a prompt's tokens, with k alternatives. The first has none.
func promptLogprobs(prompt []uint32, k int) []map[string]promptLogprob {
	list := []map[string]promptLogprob{nil}
	for _, id := range prompt[1:] {
		m := map[string]promptLogprob{strconv.Itoa(int(id)): {logprob(id, 0), 1 + k, "<" + strconv.Itoa(int(id)) + ">"}}
		for rank := 1; rank <= k; rank++ {
			m[strconv.Itoa(int(id)+rank)] = promptLogprob{logprob(id, rank), rank, alternative(id, rank)}
		}
		list = append(list, m)
	}
	return list
}
