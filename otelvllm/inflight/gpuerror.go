package inflight

import (
	"sync/atomic"
	"time"
)

// maxGPUErrors bounds how many errors of GPUs one request is told of: a card that fails can report
// thousands.
const maxGPUErrors = 16

// GPUError is an error that a GPU's driver reported while requests ran.
type GPUError struct {
	// At is when it was reported. The zero time means now.
	At time.Time
	// GPU is the identity of the GPU, such as NVIDIA's UUID; empty where the driver does not say.
	GPU string
	// XID is NVIDIA's code of the error.
	XID int
	// Name says what the code means, and Action what NVIDIA says to do, such as "reset_gpu"; empty
	// if that is not known.
	Name, Action string
}

// GPUError tells the running requests of an error by calling [Info.OnGPUError] of each, on this
// goroutine and under no lock. served tells of an engine's address, as host:port, whether that engine
// uses the GPU; nil means that all do. A request is told of its first 16 errors.
func (r *Registry) GPUError(e GPUError, served func(engine string) bool) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	for _, q := range r.AppendRequests(nil) {
		q.gpuError(e, served)
	}
}

func (q *Request) gpuError(e GPUError, served func(engine string) bool) {
	if q.final.Load() != nil {
		return
	}
	q.mu.Lock()
	tell, engine := q.info.OnGPUError, q.info.Engine
	q.mu.Unlock()
	if tell == nil || served != nil && !served(engine) || !q.gpuErrors.another() {
		return
	}
	tell(e)
}

// errorCount counts up to the bound.
type errorCount struct{ n atomic.Int32 }

func (c *errorCount) another() bool {
	if c.n.Load() >= maxGPUErrors {
		return false
	}
	return c.n.Add(1) <= maxGPUErrors
}
