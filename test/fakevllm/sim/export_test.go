package sim

import "fmt"

// CheckInvariants says what is wrong with the books of the engine: blocks that are lost or held twice, a batch that is
// too large, sequences in two places.
func (e *Engine) CheckInvariants() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.cores {
		if err := c.checkInvariants(); err != nil {
			return fmt.Errorf("rank %d: %w", c.rank, err)
		}
	}
	return nil
}

func (c *core) checkInvariants() error {
	if n, limit := len(c.running), c.engine.cfg.MaxNumSeqs; n > limit {
		return fmt.Errorf("%d sequences run, the limit is %d", n, limit)
	}
	holders := map[*block]int{}
	places := map[*sequence]int{}
	for _, list := range [][]*sequence{c.inbox, c.deferred, c.waiting, c.running} {
		for _, s := range list {
			places[s]++
			if places[s] > 1 || s.state == stateDone {
				return fmt.Errorf("a sequence is in %d places, state %d", places[s], s.state)
			}
			for _, b := range s.blocks {
				holders[b]++
			}
			if have := len(s.blocks) * c.engine.cfg.BlockSize; s.computed > have || s.computed > s.total() {
				return fmt.Errorf("%d tokens computed of %d, blocks for %d", s.computed, s.total(), have)
			}
		}
	}
	for b, n := range holders {
		if b.holders != n {
			return fmt.Errorf("a block says it has %d holders, it has %d", b.holders, n)
		}
	}
	free := 0
	for b := c.pool.free.first; b != nil; b = b.next {
		if free++; b.holders != 0 {
			return fmt.Errorf("a free block has %d holders", b.holders)
		}
	}
	if free != c.pool.free.n || free+len(holders) != c.pool.size {
		return fmt.Errorf("%d blocks free (%d counted), %d held, of %d", c.pool.free.n, free, len(holders), c.pool.size)
	}
	for hash, b := range c.pool.cached {
		if b.hash != hash {
			return fmt.Errorf("a block is found under a hash that is not its own")
		}
	}
	return nil
}

// Idle says whether nothing is computed or waits.
func (e *Engine) Idle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.cores {
		if c.stepping || len(c.inbox)+len(c.deferred)+len(c.waiting)+len(c.running) > 0 {
			return false
		}
	}
	return true
}
