package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// testQueue returns a queue whose jobs take their prompt's duration.
func testQueue(t *testing.T, c config) *queue {
	c.history = max(c.history, 100)
	if c.timeout == 0 {
		c.timeout = time.Hour
	}
	return newQueue(t.Context(), &c, func(ctx context.Context, task *task, emit func(string)) (any, error) {
		d, err := time.ParseDuration(task.input.Prompt)
		if err != nil {
			return nil, err
		}
		emit("begun")
		select {
		case <-time.After(d):
			return "done", nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

func submit(t *testing.T, q *queue, d string) *job {
	t.Helper()
	j, err := q.submit(&task{input: input{Prompt: d}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestSoManyJobsRunAtATimeAndInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(t, config{concurrency: 2, waiting: 4})
		var jobs []*job
		for range 6 {
			jobs = append(jobs, submit(t, q, "1s"))
		}
		if _, err := q.submit(&task{}); !errors.Is(err, errFull) {
			t.Errorf("got error %v for a seventh job, want %v", err, errFull)
		}
		for i, j := range jobs {
			<-j.done
			v := q.view(j)
			if want := int64(i/2) * 1000; v.Status != completed || *v.DelayTime != want || *v.ExecutionTime != 1000 {
				t.Errorf("job %d: got %s after %d ms and %d ms, want COMPLETED after %d and 1000", i, v.Status, *v.DelayTime, *v.ExecutionTime, want)
			}
		}
	})
}

func TestACancelledJobMakesRoomAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(t, config{concurrency: 1, waiting: 1})
		running, waiting := submit(t, q, "1h"), submit(t, q, "1h")
		q.stop(waiting)
		third := submit(t, q, "1s") // has the place of the one that was cancelled
		synctest.Wait()
		q.stop(running)
		<-third.done
		for j, want := range map[*job]state{running: cancelled, waiting: cancelled, third: completed} {
			if got := q.view(j); got.Status != want {
				t.Errorf("got %+v, want %s", got, want)
			}
		}
		if got := q.view(waiting); got.DelayTime != nil {
			t.Errorf("got %+v, want no time in the queue of a job that never left it", got)
		}
	})
}

func TestDrainWaitsForTheJobsAndThenCutsThem(t *testing.T) {
	for _, tt := range []struct {
		name  string
		jobs  []string
		limit time.Duration
		cut   int
		took  time.Duration
		ends  []state
	}{
		{"nothing to wait for", nil, time.Minute, 0, 0, nil},
		{"all end in time, those that wait too", []string{"2s", "3s"}, time.Minute, 0, 5 * time.Second, []state{completed, completed}},
		{"what is left is cut", []string{"2s", "1h", "1h"}, 10 * time.Second, 2, 10 * time.Second, []state{completed, failed, failed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := testQueue(t, config{concurrency: 1, waiting: 10})
				var jobs []*job
				for _, d := range tt.jobs {
					jobs = append(jobs, submit(t, q, d))
				}
				start := time.Now()
				if left := q.close(); left != len(tt.jobs) {
					t.Errorf("got %d jobs left, want %d", left, len(tt.jobs))
				}
				if _, err := q.submit(&task{}); !errors.Is(err, errClosed) {
					t.Errorf("got error %v, want %v", err, errClosed)
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				if cut := q.drain(ctx); cut != tt.cut || time.Since(start) != tt.took {
					t.Errorf("got %d cut after %s, want %d after %s", cut, time.Since(start), tt.cut, tt.took)
				}
				for i, j := range jobs {
					if v := q.view(j); v.Status != tt.ends[i] || v.Status == failed && v.Error != (cutError{}).Error() {
						t.Errorf("job %d: got %+v, want %s", i, v, tt.ends[i])
					}
				}
			})
		})
	}
}

func TestAJobThatTakesTooLongIsTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(t, config{concurrency: 1, waiting: 1, timeout: time.Minute})
		j := submit(t, q, "1h")
		<-j.done
		if v := q.view(j); v.Status != timedOut || *v.ExecutionTime != 60_000 || v.Error != "the job took longer than 1m0s" {
			t.Errorf("got %+v, want TIMED_OUT after a minute", v)
		}
	})
}

func TestStreamAnswersAtOnceWithAPartAndElseAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{queue: testQueue(t, config{concurrency: 1, waiting: 1})}
		j := submit(t, a.queue, "15s")
		for _, want := range []struct {
			after  time.Duration
			answer string
		}{
			{0, `{"status":"IN_PROGRESS","stream":[{"output":{"text":"begun"}}]}`},
			{streamWait, `{"status":"IN_PROGRESS","stream":[]}`},
			{5 * time.Second, `{"status":"COMPLETED","stream":[]}`},
			{0, `{"status":"COMPLETED","stream":[]}`},
		} {
			start, rec := time.Now(), httptest.NewRecorder()
			a.handler().ServeHTTP(rec, httptest.NewRequest("GET", "/stream/"+j.id, nil))
			if got := strings.TrimSpace(rec.Body.String()); got != want.answer || time.Since(start) != want.after {
				t.Errorf("got %s after %s, want %s after %s", got, time.Since(start), want.answer, want.after)
			}
		}
	})
}

func TestAJobEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		q := newQueue(t.Context(), &config{concurrency: 1, waiting: 1, history: 1, timeout: time.Hour}, func(context.Context, *task, func(string)) (any, error) {
			runs.Add(1)
			time.Sleep(time.Second) // does not listen to its context; the clock is the bubble's
			return "late", nil
		})
		j := submit(t, q, "")
		synctest.Wait()
		q.stop(j)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		q.emit(j, "too late")
		if v := q.view(j); v.Status != cancelled || v.Output != nil || len(j.chunks) != 0 || runs.Load() != 1 {
			t.Errorf("got %+v with parts %q, want CANCELLED and nothing of what came later", v, j.chunks)
		}
	})
}
