package otlp

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestFault_E05_PartialSuccessIsCountedExactly(t *testing.T) {
	tests := map[string]struct{ rejected, lost int64 }{
		"some":                   {3, 3},
		"all":                    {10, 10},
		"more than there were":   {12, 10},
		"none is only a warning": {0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracing(t, defaultLimits())
				tr.collector.always(reply{rejected: test.rejected})
				tr.end(t, 10)
				if err := shutdownIn(t, tr, time.Second); err != nil {
					t.Errorf("Shutdown: got %v, want nil", err)
				}
				if got := tr.balance(t, 10)[reasonRejected]; got != test.lost {
					t.Errorf("rejected: got %d, want %d", got, test.lost)
				}
				if requests, _, _ := tr.collector.counts(); requests != 1 {
					t.Errorf("requests: got %d, want 1: what was taken must not be sent again", requests)
				}
			})
		})
	}
}

func TestFault_E06_AnswersThatMakeNoSense(t *testing.T) {
	tests := map[string]struct {
		reply   reply
		reason  string // counted at once; "" if the batch waits for a better answer
		counted int64
	}{
		"a body of 5 MiB":         {reply{body: make([]byte, 5<<20)}, reasonAnswer, 1},
		"a body that is not OTLP": {reply{body: []byte("\xff\xff\xff")}, reasonAnswer, 1},
		"a login page": {reply{
			body:   []byte("<html>"),
			header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		}, "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracing(t, defaultLimits())
				tr.collector.always(test.reply)
				tr.end(t, 1)
				time.Sleep(10 * time.Second)
				if got := tr.account.reasons()[test.reason]; got != test.counted {
					t.Errorf("%s: got %d, want %d", test.reason, got, test.counted)
				}
				_ = shutdownIn(t, tr, time.Second)
				if got := tr.account.total(); got != 1 {
					t.Errorf("lost in the end: got %d, want 1", got)
				}
			})
		})
	}
}

func TestFault_E07_RefusedForGood(t *testing.T) {
	for status, reason := range map[int]string{400: "400", 401: "401", 403: "403", 404: "404", 501: "501"} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracing(t, defaultLimits())
				tr.collector.always(reply{status: status})
				tr.end(t, 7)
				time.Sleep(time.Minute)
				if requests, _, _ := tr.collector.counts(); requests != 1 {
					t.Errorf("requests: got %d, want 1", requests)
				}
				tr.collector.set(nil)
				tr.end(t, 5)
				if err := shutdownIn(t, tr, time.Second); err != nil {
					t.Errorf("Shutdown: got %v, want nil", err)
				}
				if got := tr.balance(t, 12)[reason]; got != 7 {
					t.Errorf("dropped for %s: got %d, want 7", reason, got)
				}
			})
		})
	}
}

func TestFault_E07_TooLargeIsSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.set(func(_ *http.Request, items int) reply {
			if items > 10 {
				return reply{status: http.StatusRequestEntityTooLarge}
			}
			return reply{}
		})
		tr.end(t, 500)
		if err := shutdownIn(t, tr, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if lost := tr.balance(t, 500); len(lost) != 0 {
			t.Errorf("lost: got %v, want none", lost)
		}
		tr.collector.set(nil)
	})
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.always(reply{status: http.StatusRequestEntityTooLarge})
		tr.end(t, 5)
		_ = shutdownIn(t, tr, time.Second)
		if got := tr.balance(t, 5)["413"]; got != 5 {
			t.Errorf("dropped for 413: got %d, want 5", got)
		}
	})
}
