package sim

// blockPool is the KV cache of one rank: blocks of BlockSize tokens each. A block that nobody holds keeps its content
// until it is taken for something else, oldest first, so that a later prompt with the same beginning finds it.
type blockPool struct {
	size   int
	free   blockList
	cached map[uint64]*block
}

type block struct {
	holders    int
	hash       uint64 // of the content and all that goes before it; 0: not full, or not to be found again
	prev, next *block // neighbours among the free ones
}

// newBlockPool makes a pool of n blocks, one of which, as in vLLM, stands for "nothing" and is never handed out.
func newBlockPool(n int) *blockPool {
	p := &blockPool{size: n - 1, cached: map[uint64]*block{}}
	blocks := make([]block, p.size)
	for i := range blocks {
		p.free.push(&blocks[i])
	}
	return p
}

// usage returns the held share of the blocks, 0 to 1.
func (p *blockPool) usage() float64 { return 1 - float64(p.free.n)/float64(p.size) }

// find returns the cached blocks of the longest beginning of hashes, and does not hold them.
func (p *blockPool) find(hashes []uint64) []*block {
	var found []*block
	for _, h := range hashes {
		b := p.cached[h]
		if b == nil {
			break
		}
		found = append(found, b)
	}
	return found
}

// hold keeps a found block from being taken.
func (p *blockPool) hold(b *block) {
	if b.holders == 0 {
		p.free.remove(b)
	}
	b.holders++
}

// take holds n free blocks, or none if there are fewer. Their content is lost.
func (p *blockPool) take(n int) ([]*block, bool) {
	if n > p.free.n {
		return nil, false
	}
	taken := make([]*block, n)
	for i := range taken {
		b := p.free.pop()
		if b.hash != 0 {
			delete(p.cached, b.hash)
			b.hash = 0
		}
		b.holders = 1
		taken[i] = b
	}
	return taken, true
}

// release gives blocks back, the last first, so that beginnings, which others are more likely to share, stay longest.
func (p *blockPool) release(blocks []*block) {
	for i := len(blocks) - 1; i >= 0; i-- {
		b := blocks[i]
		if b.holders--; b.holders == 0 {
			p.free.push(b)
		}
	}
}

// remember makes a full block findable. Of two blocks with the same content the first one stays.
func (p *blockPool) remember(b *block, hash uint64) {
	if b.hash == 0 && p.cached[hash] == nil {
		b.hash = hash
		p.cached[hash] = b
	}
}

// blockList is a queue from which a block in the middle can leave.
type blockList struct {
	first, last *block
	n           int
}

func (l *blockList) push(b *block) {
	b.prev, b.next = l.last, nil
	if l.last == nil {
		l.first = b
	} else {
		l.last.next = b
	}
	l.last = b
	l.n++
}

func (l *blockList) pop() *block {
	b := l.first
	l.remove(b)
	return b
}

func (l *blockList) remove(b *block) {
	if b.prev == nil {
		l.first = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		l.last = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.prev, b.next = nil, nil
	l.n--
}

// hashTokens extends hashes by those of the full blocks of tokens that it lacks.
func hashTokens(hashes []uint64, tokens func(i int) uint32, n, blockSize int) []uint64 {
	for len(hashes) < n/blockSize {
		h := uint64(14695981039346656037) // FNV-1a
		if len(hashes) > 0 {
			h = hashes[len(hashes)-1]
		}
		for i := range blockSize {
			id := tokens(len(hashes)*blockSize + i)
			for range 4 {
				h = (h ^ uint64(id&0xff)) * 1099511628211
				id >>= 8
			}
		}
		hashes = append(hashes, max(h, 1))
	}
	return hashes
}
