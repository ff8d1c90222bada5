package gpumetrics

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// feed is a source of events that the test sends.
func feed(src *script) (*talker, chan Event) {
	events := make(chan Event, 64)
	return &talker{script: src, next: func(ctx context.Context) (Event, error) {
		select {
		case e := <-events:
			return e, nil
		case <-time.After(time.Second):
			return Event{}, ErrNoEvent
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}}, events
}

func TestXIDsAreCountedFromAZeroThatWasThereBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newCard("GPU-a", steady), newCard("GPU-b", steady)
		src, events := feed(&script{gpus: []*card{a, b}})
		var told []Event
		p := start(t, src)
		defer p.stop()
		p.m.OnEvent(func(e Event) { told = append(told, e) })
		time.Sleep(2 * time.Second)
		got := p.collect()
		for _, code := range expectedXIDs {
			want(t, got, fmt.Sprintf("nvidia.gpu.xid.errors{hw.id=GPU-a,nvidia.xid.action=%s,nvidia.xid.code=%d}", XID(code).Action, code), 0)
		}
		wantNone(t, got, "nvidia.gpu.xid.last.timestamp{hw.id=GPU-a,nvidia.xid.action=restart_app,nvidia.xid.code=31}")

		at := time.Now()
		events <- Event{Device: "GPU-a", XID: 31}
		events <- Event{Device: "GPU-a", XID: 31}
		events <- Event{Device: "GPU-a", XID: 999}
		events <- Event{XID: 74}
		events <- Event{Device: "GPU-a", Kind: "ecc_storm"}
		time.Sleep(time.Second)
		synctest.Wait()
		got = p.collect()
		want(t, got, "nvidia.gpu.xid.errors{hw.id=GPU-a,nvidia.xid.action=restart_app,nvidia.xid.code=31}", 2)
		want(t, got, "nvidia.gpu.xid.last.timestamp{hw.id=GPU-a,nvidia.xid.action=restart_app,nvidia.xid.code=31}", float64(at.UnixNano())/1e9)
		want(t, got, "nvidia.gpu.xid.errors{hw.id=GPU-a,nvidia.xid.action=look_up,nvidia.xid.code=999}", 1)
		want(t, got, "nvidia.gpu.xid.errors{nvidia.xid.action=check_link,nvidia.xid.code=74}", 1)
		want(t, got, "nvidia.gpu.xid.errors{hw.id=GPU-b,nvidia.xid.action=restart_app,nvidia.xid.code=31}", 0)
		if d := p.m.Latest().Devices[0]; d.LastXID != 999 || !d.LastXIDAt.Equal(at) {
			t.Errorf("got last code %d at %v, want 999 at %v", d.LastXID, d.LastXIDAt, at)
		}
		if len(told) != 5 || told[4].Kind != "ecc_storm" || told[0].Time.IsZero() {
			t.Errorf("got events %v, want all five with their time", told)
		}
	})
}

func TestCodesOfAGPUAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, events := feed(&script{gpus: []*card{newCard("GPU-a", steady)}})
		p := start(t, src)
		defer p.stop()
		synctest.Wait()
		for code := 1000; code < 1050; code++ {
			events <- Event{Device: "GPU-a", XID: code}
		}
		time.Sleep(time.Second)
		series, sum := 0, 0.0
		for name, v := range p.collect() {
			if len(name) > 21 && name[:21] == "nvidia.gpu.xid.errors" {
				series, sum = series+1, sum+v
			}
		}
		if most := len(expectedXIDs) + maxXIDs; series != most || sum != 50 {
			t.Errorf("got %d series with %v errors, want %d with 50", series, sum, most)
		}
	})
}

func TestAWaitForEventsThatFailsIsTriedAgainWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		src := &talker{script: &script{gpus: []*card{newCard("GPU-a", steady)}}, next: func(context.Context) (Event, error) {
			tries.Add(1)
			return Event{}, errors.New("unknown error")
		}}
		p := start(t, src)
		defer p.stop()
		time.Sleep(10 * time.Minute)
		if tries := tries.Load(); tries < 20 || tries > 26 { // after 1, 2, 4, 8, 16, then every 30 s
			t.Errorf("got %d tries in ten minutes, want about 24", tries)
		}
		wantNone(t, p.collect(), "nvidia.gpu.sampler.event.age{}")
	})
}

func TestADriverWithoutEventsHasNoSeriesOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &talker{script: &script{gpus: []*card{newCard("GPU-a", steady)}}, next: func(context.Context) (Event, error) {
			return Event{}, ErrUnsupported
		}}
		p := start(t, src)
		defer p.stop()
		time.Sleep(time.Minute)
		got := p.collect()
		wantNone(t, got, "nvidia.gpu.xid.errors{hw.id=GPU-a,nvidia.xid.action=restart_app,nvidia.xid.code=31}")
		wantNone(t, got, "nvidia.gpu.sampler.event.age{}")
	})
}

func TestTheAgeOfTheEventsTellsOfAWaitThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var hung atomic.Bool
		src := &talker{script: &script{gpus: []*card{newCard("GPU-a", steady)}}, next: func(ctx context.Context) (Event, error) {
			if hung.Load() {
				<-hold
				return Event{}, ErrNoEvent
			}
			sleep(ctx, time.Second)
			return Event{}, ErrNoEvent
		}}
		p := start(t, src)
		time.Sleep(3500 * time.Millisecond)
		want(t, p.collect(), "nvidia.gpu.sampler.event.age{}", 0.5)
		hung.Store(true)
		time.Sleep(time.Minute)
		want(t, p.collect(), "nvidia.gpu.sampler.event.age{}", 59.5)
		want(t, p.collect(), busy, 0.5)
		began := time.Now()
		p.stop()
		if took := time.Since(began); took > hardDeadline {
			t.Errorf("Run took %v to end while the wait hangs, want at most %v", took, hardDeadline)
		}
		close(hold)
	})
}

func TestAnErrorThatBreaksTheDriverOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newCard("GPU-a", steady), newCard("GPU-b", steady)
		src, events := feed(&script{gpus: []*card{a, b}})
		p := start(t, src)
		defer p.stop()
		time.Sleep(9 * time.Second)
		hold := make(chan struct{})
		a.script(hanging(hold))
		time.Sleep(2 * time.Second) // GPU-a hangs since 10 s
		events <- Event{Device: "GPU-a", XID: 119}
		time.Sleep(time.Minute)
		if n := len(b.times(Fast)); n != 1 {
			t.Errorf("got %d samples of the other GPU, want 1: none after the GSP stopped answering", n)
		}
		got := p.collect()
		want(t, got, "hw.status{hw.id=GPU-a,hw.state=failed,hw.type=gpu}", 1)
		want(t, got, "hw.status{hw.id=GPU-b,hw.state=degraded,hw.type=gpu}", 1)
		close(hold)
		time.Sleep(10 * time.Second)
		if d := p.m.Latest().Devices[1]; !d.Up {
			t.Error("the other GPU once the call has returned: got down, want up")
		}
	})
}

func TestTheCatalogueOfXIDsIsInOrderAndComplete(t *testing.T) {
	known := map[string]bool{}
	for _, action := range actions {
		known[action] = true
	}
	for i, x := range xids {
		if x.Name == "" || !known[x.Action] {
			t.Errorf("code %d: got %q, %q", x.Code, x.Name, x.Action)
		}
		if i > 0 && xids[i-1].Code >= x.Code {
			t.Errorf("code %d stands after %d", x.Code, xids[i-1].Code)
		}
	}
	for _, code := range expectedXIDs {
		if XID(code).Action == "look_up" {
			t.Errorf("code %d is expected and not in the catalogue", code)
		}
	}
}
