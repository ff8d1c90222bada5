package nvml

import (
	"context"
	"fmt"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// Bits of the events that are watched for.
const (
	eventXID       = 0x8
	eventMIGConfig = 0x100
)

// eventKinds are the events that are watched for beside XIDs, with the words for them.
var eventKinds = [...]struct {
	bit  uint64
	kind string
}{
	{0x2, "double_bit_ecc_error"},
	{eventMIGConfig, "mig_config_change"},
	{0x200, "single_bit_ecc_error_storm"},
	{0x400, "dram_retirement"},
	{0x800, "dram_retirement_failure"},
	{0x1000, "non_fatal_poison_error"},
	{0x2000, "fatal_poison_error"},
	{0x4000, "gpu_unavailable"},
	{0x8000, "recovery_action"},
}

// eventWatch is the event set of a session. One goroutine uses it at a time.
type eventWatch struct {
	set     events
	never   bool
	pause   time.Duration // before the next attempt, which grows
	retry   time.Time
	problem error
}

const (
	// eventPatience bounds one wait for an event, and with it how long Close waits for it.
	eventPatience = 500 * time.Millisecond
	leastPause    = time.Second
	mostPause     = 30 * time.Second
)

// NextEvent waits for an XID or another report of the driver. After an error of the driver it makes
// its next attempt only after a pause of 1 to 30 s, and returns the same error meanwhile.
func (s *source) NextEvent(ctx context.Context) (gpumetrics.Event, error) {
	s.mu.Lock()
	session := s.current
	s.mu.Unlock()
	if session == nil || !session.enter() {
		idle(ctx)
		return gpumetrics.Event{}, gpumetrics.ErrNoEvent
	}
	defer session.leave()
	return session.nextEvent(ctx)
}

func (s *session) nextEvent(ctx context.Context) (gpumetrics.Event, error) {
	w := &s.events
	if w.never {
		return gpumetrics.Event{}, gpumetrics.ErrUnsupported
	}
	if w.set == nil {
		if time.Now().Before(w.retry) {
			idle(ctx)
			return gpumetrics.Event{}, w.problem
		}
		if r := s.watch(); w.never {
			return gpumetrics.Event{}, gpumetrics.ErrUnsupported
		} else if r != retSuccess {
			return gpumetrics.Event{}, w.failed("register for events", r)
		}
	}
	patience := eventPatience
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, max(0, time.Until(end)))
	}
	if ctx.Err() != nil {
		return gpumetrics.Event{}, gpumetrics.ErrNoEvent
	}
	e, r := w.set.wait(uint32(patience.Milliseconds()))
	switch r {
	case retSuccess:
		w.pause = 0
		return s.report(e), nil
	case retTimeout:
		w.pause = 0
		return gpumetrics.Event{}, gpumetrics.ErrNoEvent
	default:
		return gpumetrics.Event{}, w.failed("wait for events", r)
	}
}

// watch makes the event set and registers each GPU once, for the events that it can tell. MIG
// instances tell theirs through their GPU.
func (s *session) watch() ret {
	set, r := s.lib.newEvents()
	if r != retSuccess {
		s.events.never = r.class() == classNever
		return r
	}
	wanted := uint64(eventXID)
	for i := range eventKinds {
		wanted |= eventKinds[i].bit
	}
	registered, problem := 0, retSuccess
	for _, d := range s.devices {
		if d.gpu != nil {
			continue
		}
		types, r := d.h.number(callEventTypes, 0)
		if r == retSuccess && types[0]&wanted == 0 {
			r = retNotSupported
		}
		if r == retSuccess {
			r = set.register(d.h, types[0]&wanted)
		}
		switch r.class() {
		case classOK:
			registered++
		case classNever:
		default:
			problem = r
		}
	}
	if registered > 0 {
		s.events.set = set
		return retSuccess
	}
	set.free()
	s.events.never = problem == retSuccess
	return problem
}

// failed frees the set and says when to try again.
func (w *eventWatch) failed(what string, r ret) error {
	w.free()
	w.pause = min(max(leastPause, 2*w.pause), mostPause)
	w.retry = time.Now().Add(w.pause)
	w.problem = fmt.Errorf("%s: %s", what, r.text())
	return w.problem
}

func (w *eventWatch) free() {
	if w.set != nil {
		w.set.free()
		w.set = nil
	}
}

// report makes an event of what the driver told.
func (s *session) report(e event) gpumetrics.Event {
	event := gpumetrics.Event{Time: time.Now()}
	for _, d := range s.devices {
		if d.gpu == nil && e.is(d.h) {
			event.Device = d.info.ID
		}
	}
	if e.types&eventXID != 0 {
		event.XID = int(uint32(e.data))
		for _, d := range s.devices {
			if event.Device == "" || d.info.ID == event.Device || d.info.Parent == event.Device {
				d.xid.Store(true)
			}
		}
		return event
	}
	event.Kind = "other"
	for i := range eventKinds {
		if e.types&eventKinds[i].bit != 0 {
			event.Kind = eventKinds[i].kind
			break
		}
	}
	if e.types&eventMIGConfig != 0 {
		s.reopen.Store(true)
	}
	return event
}

// idle waits a second, or until ctx ends.
func idle(ctx context.Context) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
