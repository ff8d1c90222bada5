package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// state is how far a job is, in RunPod's words.
type state string

const (
	inQueue    state = "IN_QUEUE"
	inProgress state = "IN_PROGRESS"
	completed  state = "COMPLETED"
	failed     state = "FAILED"
	cancelled  state = "CANCELLED"
	timedOut   state = "TIMED_OUT"
)

// Why a job is not taken, or ends before its time.
var (
	errFull      = errors.New("the queue is full; try again later")
	errClosed    = errors.New("this worker is shutting down; send the job to another one")
	errCancelled = errors.New("the job was cancelled")
)

// cutError is why a job ends that a shutdown did not wait for. It counts as a deadline of ours, so
// that the request's outcome is "deadline".
type cutError struct{}

func (cutError) Error() string { return "this worker was shut down before the job had ended" }
func (cutError) Unwrap() error { return context.DeadlineExceeded }

// job is one thing to do. Its queue guards what stands below the blank line.
type job struct {
	id    string
	quick bool          // it had its output when it came
	done  chan struct{} // closed when the job has ended

	task                   *task // what to do; nil once it has ended
	state                  state
	output                 any
	err                    string
	chunks                 []string                // the parts of a streamed output so far
	given                  int                     // how many of them /stream has handed out
	changed                chan struct{}           // closed, and made anew, when there is more to see
	cancel                 context.CancelCauseFunc // nil unless it runs
	queued, started, ended time.Time
}

// queue runs jobs, so many at a time, and keeps the last ones that have ended. It lives in memory:
// jobs are gone when the process is.
type queue struct {
	work        func(ctx context.Context, t *task, emit func(chunk string)) (output any, err error)
	base        context.Context // of every job; it outlives the request that brought the job
	concurrency int             // jobs that run at a time
	waiting     int             // jobs that wait beyond those
	history     int             // ended jobs that are kept
	timeout     time.Duration   // of one job, from when it is picked up

	mu      sync.Mutex
	jobs    map[string]*job
	pending []*job
	ended   []*job // oldest first
	counts  map[state]int
	running int
	closed  bool
	idle    chan struct{} // closed when the queue is closed and nothing is left
}

// newQueue returns a queue that starts nothing until a job comes.
func newQueue(base context.Context, c *config, work func(context.Context, *task, func(string)) (any, error)) *queue {
	return &queue{
		work: work, base: base, concurrency: c.concurrency, waiting: c.waiting, history: c.history, timeout: c.timeout,
		jobs: make(map[string]*job), counts: make(map[state]int), idle: make(chan struct{}),
	}
}

// submit takes a job, or tells why not.
func (q *queue) submit(t *task) (*job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, errClosed
	case q.running >= q.concurrency && len(q.pending) >= q.waiting:
		return nil, errFull
	}
	j := q.add(t, inQueue)
	q.pending = append(q.pending, j)
	q.dispatch()
	return j, nil
}

// answered keeps a job that has its output already, so that /status knows it.
func (q *queue) answered(t *task, output any) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	j := q.add(t, inProgress)
	j.quick, j.started = true, j.queued
	q.end(j, completed, output, "")
	return j
}

func (q *queue) add(t *task, s state) *job {
	t.id = strings.ToLower(rand.Text())
	j := &job{id: t.id, task: t, state: s, queued: time.Now(), done: make(chan struct{}), changed: make(chan struct{})}
	q.jobs[j.id] = j
	return j
}

// dispatch starts as many of the waiting jobs as may run. The caller holds q.mu.
func (q *queue) dispatch() {
	for q.running < q.concurrency && len(q.pending) > 0 {
		j := q.pending[0]
		q.pending = q.pending[1:]
		q.running++
		j.state, j.started = inProgress, time.Now()
		var ctx context.Context
		ctx, j.cancel = context.WithCancelCause(q.base)
		go q.run(ctx, j, j.task)
	}
	if q.closed && q.running == 0 {
		close(q.idle)
	}
}

func (q *queue) run(ctx context.Context, j *job, t *task) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	output, err := q.work(ctx, t, func(chunk string) { q.emit(j, chunk) })
	end, text := completed, ""
	if err != nil {
		end, text, output = failed, err.Error(), nil
		if ctx.Err() != nil {
			text = context.Cause(ctx).Error()
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			end, text = timedOut, fmt.Sprintf("the job took longer than %s", q.timeout)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	j.cancel(nil)
	q.end(j, end, output, text)
	q.dispatch()
}

// end notes how a job ended; what comes after the first call comes too late. The caller holds q.mu.
func (q *queue) end(j *job, s state, output any, text string) {
	if j.over() {
		return
	}
	j.state, j.output, j.err, j.ended, j.task = s, output, text, time.Now(), nil
	q.counts[s]++
	close(j.done)
	close(j.changed)
	if q.ended = append(q.ended, j); len(q.ended) > q.history {
		delete(q.jobs, q.ended[0].id)
		q.ended = q.ended[1:]
	}
}

func (j *job) over() bool { return j.state != inQueue && j.state != inProgress }

// stop cancels a job, whether it waits or runs. One that has ended stays as it is.
func (q *queue) stop(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = slices.DeleteFunc(q.pending, func(p *job) bool { return p == j })
	if j.cancel != nil {
		j.cancel(errCancelled)
	}
	q.end(j, cancelled, nil, "")
}

// emit adds a part of the output of a running job.
func (q *queue) emit(j *job, chunk string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !j.over() {
		j.chunks = append(j.chunks, chunk)
		close(j.changed)
		j.changed = make(chan struct{})
	}
}

// take returns the parts that have not been taken yet, and a channel that closes when there is more
// to see: nil once the job has ended.
func (q *queue) take(j *job) (chunks []string, more <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	chunks = j.chunks[j.given:]
	j.given = len(j.chunks)
	if !j.over() {
		more = j.changed
	}
	return chunks, more
}

// view is what /status tells of a job, in RunPod's form. Times are in milliseconds.
type view struct {
	ID            string `json:"id"`
	Status        state  `json:"status"`
	Output        any    `json:"output,omitempty"`
	Error         string `json:"error,omitempty"`
	DelayTime     *int64 `json:"delayTime,omitempty"`     // in the queue
	ExecutionTime *int64 `json:"executionTime,omitempty"` // from there to the end
}

func (q *queue) view(j *job) view {
	q.mu.Lock()
	defer q.mu.Unlock()
	v := view{ID: j.id, Status: j.state, Output: j.output, Error: j.err}
	if !j.started.IsZero() {
		v.DelayTime = new(j.started.Sub(j.queued).Milliseconds())
		if j.over() {
			v.ExecutionTime = new(j.ended.Sub(j.started).Milliseconds())
		}
	}
	return v
}

// tally counts the jobs: all that have ended since the start, and those that are under way.
func (q *queue) tally() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return map[string]int{
		"completed": q.counts[completed], "failed": q.counts[failed] + q.counts[timedOut], "cancelled": q.counts[cancelled],
		"inProgress": q.running, "inQueue": len(q.pending),
	}
}

func (q *queue) find(id string) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.jobs[id]
}

// close takes no more jobs and returns how many are not done yet.
func (q *queue) close() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	left := q.running + len(q.pending)
	q.dispatch()
	return left
}

// drain waits until the jobs of a closed queue are done. When ctx ends it cuts those that are left,
// and returns how many those were.
func (q *queue) drain(ctx context.Context) (cut int) {
	select {
	case <-q.idle:
		return 0
	case <-ctx.Done():
	}
	q.mu.Lock()
	for _, j := range q.pending {
		q.end(j, failed, nil, cutError{}.Error())
		cut++
	}
	q.pending = nil
	for _, j := range q.jobs {
		if !j.over() {
			j.cancel(cutError{})
			cut++
		}
	}
	q.mu.Unlock()
	<-q.idle
	return cut
}
