package otlp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sink is an exporter whose behaviour each attempt is drawn by chance, and which knows what it took.
type sink struct {
	rng *rand.Rand
	max int // items that it takes at once

	mu    sync.Mutex
	taken []int
	lost  int
}

func (s *sink) export(ctx context.Context, items []int) error {
	a, _ := ctx.Value(answerKey{}).(*answer)
	fail := func(code int) error {
		*a = answer{asked: true, status: code}
		return errors.New(http.StatusText(code))
	}
	if len(items) > s.max {
		return fail(http.StatusRequestEntityTooLarge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.rng.IntN(12) {
	case 0:
		return errRefused
	case 1:
		return fail(http.StatusServiceUnavailable)
	case 2:
		return fail(http.StatusTooManyRequests)
	case 3:
		s.lost += len(items)
		return fail(http.StatusBadRequest)
	case 4:
		s.lost += len(items)
		return status.Error(codes.Unauthenticated, "who are you")
	case 5:
		return status.Error(codes.Unavailable, "later")
	case 6:
		<-ctx.Done()
		return ctx.Err()
	case 7:
		n := s.rng.IntN(len(items) + 1)
		s.lost += n
		s.taken = append(s.taken, items[n:]...)
		return fmt.Errorf("traces export: %w", errors.Join(PartialSuccess{RejectedItems: int64(n)}))
	case 8:
		s.lost += len(items)
		panic("exporter")
	}
	s.taken = append(s.taken, items...)
	return nil
}

// PartialSuccess has the name and the field of the exporters' internal type.
type PartialSuccess struct {
	ErrorMessage  string
	RejectedItems int64
}

func (PartialSuccess) Error() string { return "partial success" }

// Whatever happens, in whatever order, and whenever Shutdown comes: made = delivered + dropped, what was
// delivered is what the exporter took, each item once and in order.
func TestMadeIsDeliveredPlusDropped(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			s := &sink{rng: rand.New(rand.NewPCG(seed, 8)), max: 1 + rng.IntN(100)}
			account := newLedger(signalTraces)
			l := limits{bytes: 200 + rng.IntN(5000), batch: 1 + rng.IntN(60), delay: time.Second, timeout: 3 * time.Second}
			var p packer[int]
			if seed%2 == 1 {
				p = numberPacker{}
			}
			q := newQueue(l, account, newReporter(func(error) {}), p, s.export)
			made := rng.IntN(2000)
			for i := range made {
				q.add(i, 1+rng.IntN(10))
				if rng.IntN(20) == 0 {
					time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
				}
				if rng.IntN(200) == 0 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_ = q.flush(ctx)
					cancel()
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(20000))*time.Millisecond)
			defer cancel()
			_ = q.shutdown(ctx)
			q.add(made, 1)
			synctest.Wait()

			if account.made != int64(made)+1 || account.delivered+account.total() != account.made {
				t.Errorf("seed %d: made %d (want %d), delivered %d, dropped %v", seed, account.made, made+1, account.delivered, account.reasons())
			}
			// A batch that is taken at the very moment in which the time of Shutdown is over counts as lost.
			reasons := account.reasons()
			if late := int64(len(s.taken)) - account.delivered; late < 0 || late > reasons[reasonShutdown] || late > int64(l.batch) {
				t.Errorf("seed %d: delivered: got %d, want the %d that were taken; %v", seed, account.delivered, len(s.taken), reasons)
			}
			if refused := account.total() - reasons[reasonQueueFull] - reasons[reasonShutdown] - reasons["413"]; refused != int64(s.lost) {
				t.Errorf("seed %d: refused: got %d, want %d: %v", seed, refused, s.lost, reasons)
			}
			if !slices.IsSorted(s.taken) || len(slices.Compact(slices.Clone(s.taken))) != len(s.taken) {
				t.Errorf("seed %d: items were delivered twice or out of order", seed)
			}
		})
	}
}

func TestBatchesLeaveWhenFullOrDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type export struct {
			at    time.Duration
			items int
		}
		begin := time.Now()
		var exports []export
		l := limits{bytes: 1 << 20, batch: 10, delay: 5 * time.Second, timeout: time.Second}
		q := newQueue(l, newLedger(signalTraces), newReporter(func(error) {}), nil, func(_ context.Context, items []int) error {
			exports = append(exports, export{time.Since(begin), len(items)})
			return nil
		})
		time.Sleep(time.Second)
		for i := range 25 {
			q.add(i, 1)
		}
		time.Sleep(5 * time.Second) // second 6
		q.add(25, 1)
		if err := q.flush(t.Context()); err != nil {
			t.Errorf("flush: got %v, want nil", err)
		}
		q.add(26, 1)
		if err := q.shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: got %v, want nil", err)
		}
		want := []export{{time.Second, 10}, {time.Second, 10}, {5 * time.Second, 5}, {6 * time.Second, 1}, {6 * time.Second, 1}}
		if !slices.Equal(exports, want) {
			t.Errorf("exports: got %v, want %v", exports, want)
		}
	})
}

func TestFlushTriesAtOnceAndObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int64
		q := newQueue(defaultLimits(), newLedger(signalTraces), newReporter(func(error) {}), nil, func(context.Context, []int) error {
			attempts.Add(1)
			return errRefused
		})
		q.add(1, 1)
		time.Sleep(time.Minute) // deep in the back-off
		before := attempts.Load()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := q.flush(ctx); !errors.Is(err, errRefused) {
			t.Errorf("flush: got %v, want the error of the last attempt", err)
		}
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("flush took %v, want 100ms", took)
		}
		if got := attempts.Load() - before; got != 1 {
			t.Errorf("attempts during the flush: got %d, want 1", got)
		}
		_ = q.shutdown(ctx)
	})
}

// One export at a time, and batches below what a gRPC server takes.
func TestBatchesAreBoundedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		l := defaultLimits()
		q := newQueue(l, newLedger(signalTraces), newReporter(func(error) {}), nil, func(_ context.Context, items []int) error {
			sizes = append(sizes, len(items))
			return nil
		})
		for i := range 7 {
			q.add(i, 1<<20)
		}
		q.add(7, 4<<20) // alone too large: the collector may still take it
		_ = q.shutdown(t.Context())
		if want := []int{3, 3, 1, 1}; !slices.Equal(sizes, want) {
			t.Errorf("batches: got %v, want %v", sizes, want)
		}
	})
}

func TestBackoffGrowsToItsLimitAndIsSpread(t *testing.T) {
	for tries, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		low, high := want*time.Second, min(want*time.Second*3/2, maxBackoff)
		seen := map[time.Duration]bool{}
		for range 50 {
			got := backoff(tries)
			seen[got] = true
			if got < low || got > high {
				t.Errorf("backoff(%d): got %v, want %v to %v", tries, got, low, high)
			}
		}
		if low < maxBackoff && len(seen) < 2 {
			t.Errorf("backoff(%d): the same %d times", tries, 50)
		}
	}
	if got := backoff(1000); got != maxBackoff {
		t.Errorf("after 1000 tries: got %v, want %v", got, maxBackoff)
	}
}
