package otlp

import "fmt"

// packer makes waiting items small. Only the worker of a queue calls it.
type packer[T any] interface {
	pack(items []T) ([]byte, error)
	unpack(block []byte) ([]T, error)
}

// block is a batch of items that were packed.
type block struct {
	data  []byte
	items int
	bytes int // of the items before they were packed
}

const (
	// packAbove is the part of a queue's bytes, one in so many, above which waiting items are packed. While
	// the collector keeps up, a queue stays far below it.
	packAbove = 16
	blockCost = 128 // bytes of a block beside its data
)

// pack packs one of the batches that wait behind the one in flight, when the queue begins to fill up, and wakes the
// worker for the next. It takes the worker's time, not that of those who add, and not so long that an answer of the
// collector has to wait.
func (q *queue[T]) pack() {
	if q.packer == nil || q.plain {
		return
	}
	items, start, bytes := q.packable()
	if items == nil {
		return
	}
	data, err := q.packer.pack(items)
	if err != nil { // what cannot be packed stays as it is
		q.plain = true
		q.reporter.report(q.ledger.signal, "pack", fmt.Errorf("%s: %w", q.ledger.signal, err))
		return
	}
	q.replace(start, len(items), entry[T]{bytes: len(data) + blockCost, block: &block{data, len(items), bytes}})
	signal(q.wake)
}

// packable copies the first batch that can be packed, and tells where it is and what it takes in memory.
func (q *queue[T]) packable() (items []T, start, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held < q.bytes/packAbove {
		return nil, 0, 0
	}
	start = len(q.waiting)
	for start > q.flight && q.waiting[start-1].block == nil {
		start--
	}
	if len(q.waiting)-start < q.batch {
		return nil, 0, 0
	}
	items = make([]T, q.batch)
	for i, e := range q.waiting[start : start+q.batch] {
		items[i] = e.item
		bytes += e.bytes
	}
	return items, start, bytes
}

// replace puts entries into the place of n others.
func (q *queue[T]) replace(start, n int, with ...entry[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return
	}
	for _, e := range q.waiting[start : start+n] {
		q.held -= e.bytes
	}
	for _, e := range with {
		q.held += e.bytes
	}
	tail := q.waiting[start+n:]
	waiting := make([]entry[T], 0, start+len(with)+len(tail)+q.batch)
	q.waiting = append(append(append(waiting, q.waiting[:start]...), with...), tail...)
}

// unpackFront makes sure that the next item, if any, is not in a block.
func (q *queue[T]) unpackFront() {
	q.mu.Lock()
	var b *block
	if len(q.waiting) > 0 {
		b = q.waiting[0].block
	}
	q.mu.Unlock()
	if b == nil {
		return
	}
	items, err := q.packer.unpack(b.data)
	if err == nil && len(items) != b.items {
		err = fmt.Errorf("a block of %d items has %d in it", b.items, len(items))
	}
	if err != nil {
		q.reporter.report(q.ledger.signal, reasonEncoding, fmt.Errorf("%s: %d items dropped: %w", q.ledger.signal, b.items, err))
		q.settle(1, b.items, int64(b.items), reasonEncoding)
		return
	}
	entries := make([]entry[T], len(items))
	for i, item := range items {
		entries[i] = entry[T]{item: item, bytes: b.bytes / len(items)}
	}
	q.replace(0, 1, entries...)
}
