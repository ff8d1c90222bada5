package health

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFault_J01_StartAndStopInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Logger{Source: &Source{readHost: noHost}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Interval: time.Second}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { l.Start(t.Context()) })
			wg.Go(l.Stop)
		}
		wg.Wait()
		l.Stop()
		l.Stop() // whatever was left running is over, or synctest reports it
	})
}

func TestFault_J10_HealthAnswersWhileAReadingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		s := full()
		s.readHost = func(context.Context) hostReading { <-hang; return hostReading{} }
		s.scanHost = func(context.Context, map[uint32]bool) []Process { <-hang; return nil }
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		synctest.Wait()
		start := time.Now()
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
		if took := time.Since(start); w.Code != http.StatusOK || took != 0 {
			t.Errorf("got %d after %s, want 200 at once", w.Code, took)
		}
		close(hang)
		cancel()
	})
}
