package fake

import (
	"sync"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// card is a [gpumetrics.Device] that plays a script.
type card struct {
	source    *Source
	gpu       GPU
	info      gpumetrics.Info
	instances []*instance

	mu    sync.Mutex
	meter meter
}

func newCard(s *Source, g GPU) *card {
	if g.Load == nil {
		g.Load = Idle
	}
	c := &card{source: s, gpu: g, info: g.info()}
	for n := range g.Instances {
		c.instances = append(c.instances, &instance{card: c, number: n, info: g.instanceInfo(n)})
	}
	return c
}

// Info returns what does not change about the card.
func (c *card) Info() gpumetrics.Info { return c.info }

func (c *card) isLost(after time.Duration) bool { return c.gpu.lost > 0 && after >= c.gpu.lost }

// answer waits while the script says that calls hang, and tells whether the card is there.
func (c *card) answer() (after time.Duration, err error) {
	after = c.source.after()
	for _, h := range c.gpu.hangs {
		if after < h.from || after >= h.to {
			continue
		}
		timer := time.NewTimer(h.to - after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.source.released:
		}
		after = c.source.after()
	}
	if c.isLost(after) {
		return after, gpumetrics.ErrLost
	}
	return after, nil
}

// Sample plays the readings of one tier.
func (c *card) Sample(tier gpumetrics.Tier, s *gpumetrics.Sample) error {
	after, err := c.answer()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meter.advance(&c.gpu, after)
	switch tier {
	case gpumetrics.Once:
		c.once(s)
	case gpumetrics.Fast:
		c.fast(s)
	case gpumetrics.Slow:
		c.slow(s)
	}
	return nil
}

// Processes lists one process of an engine, with most of the memory in use.
func (c *card) Processes(buf []gpumetrics.Process) ([]gpumetrics.Process, error) {
	after, err := c.answer()
	if err != nil {
		return buf, err
	}
	memory := clamp(c.gpu.activity(after).Memory) * c.gpu.Model.Memory
	return append(buf, gpumetrics.Process{PID: 4_000_000 + c.gpu.Index, Memory: uint64(memory * 0.98), KnownMemory: true}), nil
}

// activity is what the card does, or its parts together.
func (g *GPU) activity(after time.Duration) Activity {
	if len(g.Instances) == 0 {
		return g.Load(after)
	}
	var sum Activity
	for i := range g.Instances {
		part := g.Instances[i].activity(after)
		share := g.Instances[i].Share
		sum.Utilization = max(sum.Utilization, part.Utilization)
		sum.Work += part.Work * share
		sum.Memory += part.Memory * share
	}
	return sum
}

func (i *Instance) activity(after time.Duration) Activity {
	if i.Load == nil {
		return Idle(after)
	}
	return i.Load(after)
}

// instance is one part of a divided card. Only its memory and its error counts can be told.
type instance struct {
	card   *card
	number int
	info   gpumetrics.Info
}

// Info returns what does not change about the part.
func (i *instance) Info() gpumetrics.Info { return i.info }

// Sample plays the readings of one tier.
func (i *instance) Sample(tier gpumetrics.Tier, s *gpumetrics.Sample) error {
	after, err := i.card.answer()
	if err != nil {
		return err
	}
	part := &i.card.gpu.Instances[i.number]
	switch tier {
	case gpumetrics.Fast:
		unsupported(s, gpumetrics.UtilizationGeneral, gpumetrics.MemoryControllerUtilization, gpumetrics.Power, gpumetrics.Energy, gpumetrics.ClockSM)
		m := &i.card.gpu.Model
		memory(s, m.Memory*part.Share, m.Reserved*part.Share, part.activity(after).Memory)
	case gpumetrics.Slow:
		s.Set(gpumetrics.BAR1Total, 128<<30*part.Share)
		s.Set(gpumetrics.BAR1Used, 3*mib)
		s.SetCount(gpumetrics.ECCCorrectedSRAM, 0, 64)
		s.SetCount(gpumetrics.ECCUncorrectedSRAM, 0, 64)
	case gpumetrics.Once:
	}
	return nil
}

func unsupported(s *gpumetrics.Sample, readings ...gpumetrics.Reading) {
	for _, r := range readings {
		s.Miss(r, gpumetrics.NotSupported, "")
	}
}

// memory tells the memory of a card or a part, of which share is used; the rest but what the driver
// keeps is free.
func memory(s *gpumetrics.Sample, total, reserved, share float64) {
	used := (total - reserved) * clamp(share)
	s.Set(gpumetrics.MemoryTotal, total)
	s.Set(gpumetrics.MemoryUsed, used)
	s.Set(gpumetrics.MemoryFree, total-reserved-used)
	s.Set(gpumetrics.MemoryReserved, reserved)
}
