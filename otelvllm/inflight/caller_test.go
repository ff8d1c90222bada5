package inflight_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestOnlyAWriteThatTakesLongIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Registry
		q := r.Begin(inflight.Info{})
		time.Sleep(10 * time.Second)
		q.WriteStarted(time.Now())
		time.Sleep(50 * time.Millisecond)
		if s := q.Status(time.Now()); !s.BlockedSince.IsZero() {
			t.Errorf("after 50 ms: got blocked since %s, want not blocked", s.BlockedSince)
		}
		if d, running := q.Quiet(time.Now()); d != 10*time.Second+50*time.Millisecond || !running {
			t.Errorf("after 50 ms: got quiet for %s, %t; want 10.05s, true", d, running)
		}
		time.Sleep(950 * time.Millisecond)
		if got, want := q.Status(time.Now()).BlockedSince, time.Now().Add(-time.Second); !got.Equal(want) {
			t.Errorf("after 1 s: got blocked since %s, want %s", got, want)
		}
		if d, _ := q.Quiet(time.Now()); d != time.Second {
			t.Errorf("after 1 s: got quiet for %s, want 1s: the engine could not be read meanwhile", d)
		}
		q.WriteEnded(time.Now())
		time.Sleep(time.Second)
		if d, _ := q.Quiet(time.Now()); d != time.Second {
			t.Errorf("a second after the write: got quiet for %s, want 1s", d)
		}
		if got, want := q.Status(time.Now()).LastUnblocked, time.Now().Add(-time.Second); !got.Equal(want) {
			t.Errorf("got unblocked at %s, want %s", got, want)
		}
		q.WriteStarted(time.Now())
		time.Sleep(time.Millisecond)
		q.WriteEnded(time.Now())
		if d, _ := q.Quiet(time.Now()); d != time.Second+time.Millisecond {
			t.Errorf("after a short write: got quiet for %s, want 1.001s: a write is not progress", d)
		}
		q.End("completed", nil, time.Now())
		q.WriteStarted(time.Now())
		if _, running := q.Quiet(time.Now()); running {
			t.Error("got a running request after its end")
		}
	})
}

func TestNilRequestHasNoWrites(t *testing.T) {
	var q *inflight.Request
	q.SentTo("engine:8000")
	q.WriteStarted(time.Now())
	q.WriteEnded(time.Now())
	if d, running := q.Quiet(time.Now()); d != 0 || running {
		t.Errorf("got %s, %t; want 0, false", d, running)
	}
	var r *inflight.Registry
	if got := r.AppendRequests(nil); got != nil {
		t.Errorf("a nil registry: got %v, want nil", got)
	}
}

func TestSentToKeepsABoundedAddress(t *testing.T) {
	var r inflight.Registry
	q := r.Begin(inflight.Info{Engine: "first:8000"})
	q.SentTo("")
	if got := q.Status(time.Now()).Engine; got != "first:8000" {
		t.Errorf("got engine %q, want the first one", got)
	}
	q.SentTo("second:8000")
	if got := q.Status(time.Now()).Engine; got != "second:8000" {
		t.Errorf("got engine %q, want the second one", got)
	}
	q.SentTo(strings.Repeat("x", 1000))
	if got := q.Status(time.Now()).Engine; len(got) != 256 {
		t.Errorf("got %d bytes of address, want 256", len(got))
	}
	if got := r.AppendRequests(make([]*inflight.Request, 0, 1)); len(got) != 1 || got[0] != q {
		t.Errorf("got requests %v, want the one that runs", got)
	}
}
