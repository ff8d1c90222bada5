package sim

import (
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A job is one HTTP request as the engine sees it: one sequence for each choice of each prompt, or for each input of an
// embeddings request.
type job struct {
	id      string // as the answer has it, such as chatcmpl-1
	arrival time.Time
	seqs    []*sequence
	// notify has a value when a sequence has something for the handler.
	notify chan struct{}
	parent trace.SpanContext
	rank   *int // the rank that the request asks for, nil for any
	clears int  // how often the faults had been cleared when this one drew its own
}

func newJob(id string) *job {
	return &job{id: id, arrival: time.Now(), notify: make(chan struct{}, 1)}
}

// group are the n sequences of one prompt, which two histograms count as one.
type group struct {
	n, left   int
	mostWords int
}

type state int

const (
	stateNew      state = iota // not yet seen by the scheduler
	stateDeferred              // waits for something other than capacity
	stateWaiting
	stateRunning
	stateDone
)

// sequence is one answer that the engine computes. The Engine's mutex guards it.
type sequence struct {
	job    *job
	group  *group
	core   *core
	index  int // of the choice in the answer
	id     string
	limits limits

	prompt    []uint32
	author    *author // nil for an embedding
	generated []uint32
	text      strings.Builder
	sent      int // bytes of text that the handler has got

	state    state
	computed int // tokens whose keys and values are in blocks
	blocks   []*block
	hashes   []uint64 // of the full blocks
	cached   int      // prompt tokens found in the prefix cache
	created  int      // prompt tokens newly put into it

	queued, scheduled, first, last time.Time
	preemptions, unreported        int

	fault   *Injection // what is to happen to it, nil for nothing
	stopped bool       // holds its place in the batch and its blocks, and gets nothing computed

	fed     bool // it may have allowed tokens, and more as its input comes
	allowed int

	out    delta // what the handler has not taken yet
	hidden bool  // it may not have it yet, because the span is being made
}

// limits are the request's wishes about the length of an answer.
type limits struct {
	maxTokens int
	minTokens int
	stop      []string
	// logprobs is the number of alternatives to tell for each token; -1: no log probabilities.
	logprobs int
	// noCacheRead is set where the log probabilities of the prompt are wanted: then all of it has to be computed.
	noCacheRead bool
	temperature *float64
	topP        *float64
}

// delta is what a sequence has made since its handler last looked.
type delta struct {
	seq       *sequence
	text      string
	reasoning string
	tokens    []uint32
	pieces    []piece
	total     int    // tokens of the answer up to here
	finish    string // finish reason, with the last delta
	stop      string // the stop string that was met
	err       *apiError
	cut       Kind // Truncate or EndEarly: how the stream is to break off here
}

func (d delta) empty() bool {
	return len(d.tokens) == 0 && d.text == "" && d.finish == "" && d.err == nil && d.cut == ""
}

// total returns the number of tokens known of a sequence.
func (s *sequence) total() int { return len(s.prompt) + len(s.generated) }

func (s *sequence) token(i int) uint32 {
	if i < len(s.prompt) {
		return s.prompt[i]
	}
	return s.generated[i-len(s.prompt)]
}

// say appends the next token of the answer. It returns the finish reason, "" if the answer goes on.
func (s *sequence) say() (finish, stop string) {
	p := s.author.next()
	if p.end && len(s.generated) < s.limits.minTokens {
		p = piece{id: textToken(" and"), text: " and"}
	}
	before := s.text.Len()
	s.generated = append(s.generated, p.id)
	s.text.WriteString(p.text)
	s.out.tokens = append(s.out.tokens, p.id)
	if s.limits.logprobs >= 0 {
		s.out.pieces = append(s.out.pieces, p)
	}
	s.out.total = len(s.generated)
	all, keep := s.text.String(), s.text.Len()
	switch stop, at := s.findStop(all, before); {
	case at >= 0:
		s.release(all, at)
		return "stop", stop
	case p.end:
		s.release(all, keep)
		return "stop", ""
	case len(s.generated) >= s.limits.maxTokens:
		s.release(all, keep)
		return "length", ""
	}
	s.release(all, keep-s.holdBack())
	return "", ""
}

// findStop looks for a stop string that ends in the newest part of the text, which begins at before.
func (s *sequence) findStop(text string, before int) (string, int) {
	for _, stop := range s.limits.stop {
		from := max(0, before-len(stop)+1)
		if i := strings.Index(text[from:], stop); i >= 0 && stop != "" {
			return stop, from + i
		}
	}
	return "", -1
}

// holdBack is how much text has to wait because it may be the beginning of a stop string.
func (s *sequence) holdBack() int {
	longest := 0
	for _, stop := range s.limits.stop {
		longest = max(longest, len(stop)-1)
	}
	return longest
}

// release hands the text up to n to the handler, as thoughts or as answer.
func (s *sequence) release(text string, n int) {
	if n <= s.sent {
		return
	}
	part := text[s.sent:n]
	s.sent = n
	if len(s.generated) <= s.author.reasoning {
		s.out.reasoning += part
	} else {
		s.out.text += part
	}
}

// logprob returns a made-up but fixed log probability of a token: between -2 and 0 for the one that was chosen.
func logprob(id uint32, rank int) float64 {
	return -math.Mod(float64(id)*0.000123, 2) - float64(rank)*0.75
}
