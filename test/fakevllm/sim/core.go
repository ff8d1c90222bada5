package sim

import (
	"math/rand/v2"
	"slices"
	"time"
)

// core is one engine rank: its scheduler, its KV cache and its counters. It does its work in steps. A step is a timer;
// between steps nothing runs, so an idle engine has no goroutine and no timer. The Engine's mutex guards it.
type core struct {
	engine *Engine
	rank   int
	pool   *blockPool
	rng    *rand.Rand
	stats  stats

	inbox    []*sequence // arrived since the step began; the scheduler does not know them yet
	deferred []*sequence
	waiting  []*sequence
	running  []*sequence

	stepping bool
	parked   []scheduled // the step that ended while the rank was wedged

	wedged, paused, sleeping bool
	slow                     float64
}

// scheduled is what one step computes of one sequence.
type scheduled struct {
	seq    *sequence
	tokens int
}

func newCore(e *Engine, rank int) *core {
	return &core{
		engine: e, rank: rank, slow: 1, pool: newBlockPool(e.cfg.NumGPUBlocks), stats: newStats(e.cfg.MaxModelLen),
		rng: rand.New(rand.NewPCG(e.cfg.Seed, uint64(rank))),
	}
}

// begin starts a step if none is under way and there is something to do.
func (c *core) begin() {
	if c.stepping || c.wedged || c.sleeping || c.engine.stage != stageUp {
		return
	}
	now := time.Now()
	c.takeIn(now)
	if c.paused {
		for len(c.running) > 0 {
			c.preempt()
		}
		c.publish()
		return
	}
	batch, prompts := c.schedule(now)
	if len(batch) == 0 {
		c.publish()
		return
	}
	c.stepping = true
	t := c.engine.cfg.Timing
	d := t.Step + time.Duration(len(batch))*t.PerSeq + time.Duration(prompts)*t.PerPromptToken
	if t.Jitter > 0 {
		d += time.Duration((2*c.rng.Float64() - 1) * t.Jitter * float64(d))
	}
	life := c.engine.lifetime
	time.AfterFunc(time.Duration(float64(d)*c.slow), func() { c.engine.endStep(c, batch, life) })
}

// takeIn moves new sequences to the queue. Their queue time begins here, as in vLLM.
func (c *core) takeIn(now time.Time) {
	for _, s := range c.inbox {
		s.queued = now
		if s.fault != nil && s.fault.Kind == HangQueue {
			s.state = stateDeferred
			c.deferred = append(c.deferred, s)
			c.limitHang(s)
			continue
		}
		s.state = stateWaiting
		c.waiting = append(c.waiting, s)
	}
	c.inbox = nil
}

// schedule chooses what the next step computes: first one more token for what runs, then what waits, as far as
// sequences, tokens and blocks allow. It returns the batch and how many tokens of prompts are in it.
func (c *core) schedule(now time.Time) (batch []scheduled, prompts int) {
	budget := c.engine.cfg.MaxNumBatchedTokens
	add := func(s *sequence, n int) {
		if s.computed < len(s.prompt) {
			prompts += min(n, len(s.prompt)-s.computed)
		}
		batch = append(batch, scheduled{s, n})
		budget -= n
	}
	preempted := false
	for i := 0; i < len(c.running) && budget > 0; i++ {
		s := c.running[i]
		if s.stopped {
			continue
		}
		n := min(s.total()-s.computed, budget)
		for !c.reserve(s, s.computed+n) {
			preempted = true
			if c.preempt() == s {
				break
			}
		}
		if s.state == stateRunning {
			add(s, n)
		}
	}
	for !preempted && budget > 0 && len(c.waiting) > 0 && len(c.running) < c.engine.cfg.MaxNumSeqs {
		s := c.waiting[0]
		n, ok := c.admit(s, budget, now)
		if !ok {
			break
		}
		c.waiting = c.waiting[1:]
		add(s, n)
	}
	return batch, prompts
}

// admit lets a waiting sequence into the batch if there are blocks for the part of it that this step can compute.
func (c *core) admit(s *sequence, budget int, now time.Time) (tokens int, ok bool) {
	size := c.engine.cfg.BlockSize
	var found []*block
	if !c.engine.cfg.NoPrefixCaching {
		s.hashes = hashTokens(s.hashes, s.token, s.total(), size)
		if !s.limits.noCacheRead {
			found = c.pool.find(s.hashes[:min(len(s.hashes), (s.total()-1)/size)]) // the last token is always computed
		}
	}
	for _, b := range found {
		c.pool.hold(b)
	}
	s.blocks, s.computed = found, len(found)*size
	n := min(s.total()-s.computed, budget)
	if !c.reserve(s, s.computed+n) {
		c.pool.release(found)
		s.blocks, s.computed = nil, 0
		return 0, false
	}
	if s.scheduled.IsZero() {
		s.scheduled = now
		s.cached = s.computed
		if !c.engine.cfg.NoPrefixCaching && !s.limits.noCacheRead {
			c.stats.prefixQueries += float64(len(s.prompt))
			c.stats.prefixHits += float64(s.cached)
		}
	}
	s.state = stateRunning
	c.running = append(c.running, s)
	return n, true
}

// reserve makes sure that s has blocks for its first n tokens.
func (c *core) reserve(s *sequence, n int) bool {
	size := c.engine.cfg.BlockSize
	taken, ok := c.pool.take((n+size-1)/size - len(s.blocks))
	if ok {
		s.blocks = append(s.blocks, taken...)
	}
	return ok
}

// preempt takes the blocks of the sequence that runs for the shortest time; it has to be computed again later.
func (c *core) preempt() *sequence {
	s := c.running[len(c.running)-1]
	c.running = c.running[:len(c.running)-1]
	c.free(s)
	s.state = stateWaiting
	s.preemptions++
	s.unreported++
	c.waiting = slices.Insert(c.waiting, 0, s)
	return s
}

func (c *core) free(s *sequence) {
	c.pool.release(s.blocks)
	s.blocks, s.computed = nil, 0
}

// advance books what a step has computed of s, and returns whether s now has its next token.
func (c *core) advance(s *sequence, n int) bool {
	s.computed += n
	if !c.engine.cfg.NoPrefixCaching {
		size := c.engine.cfg.BlockSize
		s.hashes = hashTokens(s.hashes, s.token, s.computed, size)
		for i := (s.computed - n) / size; i < s.computed/size; i++ {
			c.pool.remember(s.blocks[i], s.hashes[i])
		}
	}
	return s.computed == s.total()
}

// remove takes a sequence out of wherever it is, and gives its blocks back.
func (c *core) remove(s *sequence) {
	var list *[]*sequence
	switch s.state {
	case stateNew:
		list = &c.inbox
	case stateDeferred:
		list = &c.deferred
	case stateWaiting:
		list = &c.waiting
	case stateRunning:
		list = &c.running
	case stateDone:
		return
	}
	*list = slices.DeleteFunc(*list, func(other *sequence) bool { return other == s })
	c.free(s)
	s.state = stateDone
}

// publish sets the gauges, which vLLM does only when a step has ended.
func (c *core) publish() {
	c.stats.gauges = gauges{
		running: len(c.running), capacity: len(c.waiting), deferred: len(c.deferred), usage: c.pool.usage(),
	}
}
