package otlp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFault_E12_ReportsAreRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		r := newReporter(func(err error) { got = append(got, err.Error()) })
		for range 1000 * 599 { // 1000 a second, for almost ten minutes
			r.report(signalTraces, "503", errors.New("unavailable"))
			time.Sleep(time.Millisecond)
		}
		r.report(signalTraces, "400", errors.New("bad"))
		r.report(signalLogs, "503", errors.New("unavailable"))
		if len(got) != 3 {
			t.Fatalf("got %q, want one report for each of three causes", got)
		}
		time.Sleep(time.Second)
		r.report(signalTraces, "503", errors.New("unavailable"))
		if want := "unavailable (598999 more like this were not reported)"; got[len(got)-1] != want {
			t.Errorf("after ten minutes: got %q, want %q", got[len(got)-1], want)
		}
	})
}

func TestAFailureAfterARecoveryIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := newReporter(func(error) { n++ })
		for range 60 { // up and down each second, for a minute
			r.report(signalTraces, "503", errRefused)
			r.recovered(signalTraces)
			r.recovered(signalLogs)
			time.Sleep(time.Second)
		}
		if n != 6 {
			t.Errorf("got %d reports in a minute, want one in ten seconds", n)
		}
	})
}

func TestCausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := newReporter(func(error) { n++ })
		for i := range 10_000 {
			r.report("sdk", fmt.Sprint(i), errRefused)
		}
		if n > maxCauses+1 || len(r.causes) > maxCauses+1 {
			t.Errorf("got %d reports of %d causes, want at most %d", n, len(r.causes), maxCauses+1)
		}
	})
}

func TestCauseOfLeavesNumbersOut(t *testing.T) {
	a, b := causeOf(errors.New("dial tcp 127.0.0.1:4318: timeout 10s")), causeOf(errors.New("dial tcp 127.0.0.1:51234: timeout 3s"))
	if a != b || !strings.Contains(a, "dial tcp") {
		t.Errorf("got %q and %q, want one cause", a, b)
	}
}
