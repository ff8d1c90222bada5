package otelvllm

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// finishWait is how long a finish event waits for the usage event that holds its
// system_fingerprint. vLLM sends the two together.
const finishWait = 100 * time.Millisecond

// restoredBody gives the caller of a stream whose usage was asked for the bytes it would have got
// without the question.
type restoredBody struct {
	src      io.ReadCloser
	restorer wire.Restorer
	err      error // of src, given out after what is held
	reading  chan readResult
	closed   atomic.Bool
}

type readResult struct {
	data []byte
	err  error
}

func newRestoredBody(src io.ReadCloser) *restoredBody { return &restoredBody{src: src} }

func (b *restoredBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.closed.Load() {
		return b.src.Read(p) // it says so
	}
	for {
		if n := b.restorer.Read(p); n > 0 {
			return n, nil
		}
		switch {
		case b.err != nil:
			return 0, b.err
		case b.restorer.Holding() || b.reading != nil:
			b.wait()
		default:
			n, err := b.src.Read(p) // p serves as the buffer: the restorer copies what it keeps
			b.took(p[:n], err)
		}
	}
}

// took hands what src gave to the restorer.
func (b *restoredBody) took(p []byte, err error) {
	b.restorer.Write(p)
	if err != nil {
		b.restorer.Release()
		b.err = err
	}
}

// wait reads on in the background while a finish event is held, for at most finishWait; then the
// event goes out as it is, and the read goes on.
func (b *restoredBody) wait() {
	if b.reading == nil {
		b.reading = make(chan readResult, 1)
		go func(out chan<- readResult) {
			buf := make([]byte, 4096)
			n, err := b.src.Read(buf)
			out <- readResult{buf[:n], err}
		}(b.reading)
	}
	var expired <-chan time.Time
	if b.restorer.Holding() {
		timer := time.NewTimer(finishWait)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case r := <-b.reading:
		b.reading = nil
		b.took(r.data, r.err)
	case <-expired:
		b.restorer.Release()
	}
}

// Close closes the source; a read that waits for it ends.
func (b *restoredBody) Close() error {
	b.closed.Store(true)
	return b.src.Close()
}
