package fake

import (
	"fmt"
	"slices"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// GPU is one scripted card.
type GPU struct {
	Model Model
	// Index is the number by which tools name it. Its ID is made of it unless ID is set.
	Index int
	ID    string
	// Load says what it does. Nil means [Idle].
	Load Load
	// Instances are the parts that it is divided into. It tells no utilization then, as real cards do not.
	Instances []Instance

	lost    time.Duration // since when the driver has lost it; 0 means never
	hangs   []hang
	reports []report
}

// Instance is a part of a card that is divided (MIG).
type Instance struct {
	// Profile is such as "3g.40gb", Share how much of the card's memory it has, from 0 to 1.
	Profile string
	Share   float64
	Load    Load
}

// hang is a time in which driver calls for a card do not return.
type hang struct{ from, to time.Duration }

// report is an error code that the driver reports.
type report struct {
	at  time.Duration
	xid int
}

// H100s returns n cards of an SXM server. Their loads are the one given, each a little apart.
func H100s(n int, load Load) []GPU {
	gpus := make([]GPU, n)
	for i := range gpus {
		gpus[i] = GPU{Model: h100(), Index: i}
		if load != nil {
			gpus[i].Load = Shifted(load, time.Duration(i)*700*time.Millisecond)
		}
	}
	return gpus
}

// DividedH100 returns a card of seven slices in three parts.
func DividedH100(load Load) GPU {
	return GPU{Model: h100(), Instances: []Instance{
		{Profile: "3g.40gb", Share: 0.5, Load: load}, {Profile: "2g.20gb", Share: 0.25, Load: load}, {Profile: "1g.10gb", Share: 0.125, Load: load},
	}}
}

// RTX4080 returns a card for desktops. Its driver tells less: no memory temperature, no margin, no
// profiling, no links, no error correction.
func RTX4080(load Load) GPU { return GPU{Model: rtx4080(), Load: load} }

// Then returns the card with another load from the given time on.
func (g GPU) Then(after time.Duration, load Load) GPU {
	before := g.Load
	if before == nil {
		before = Idle
	}
	g.Load = func(t time.Duration) Activity {
		if t < after {
			return before(t)
		}
		return load(t)
	}
	return g
}

// Reports returns the card with an error code (XID) that the driver reports at the given time.
func (g GPU) Reports(after time.Duration, xid int) GPU {
	g.reports = append(slices.Clone(g.reports), report{after, xid})
	return g
}

// FallsOffTheBus returns the card lost from the given time on: the driver reports XID 79, and every
// call for it then fails, also after the source was opened again.
func (g GPU) FallsOffTheBus(after time.Duration) GPU {
	g = g.Reports(after, 79)
	g.lost = max(after, 1)
	return g
}

// Hangs returns the card with a time in which driver calls for it do not return. They return at its
// end, or when the source is told to [Source.Release] them; d of 0 means only then.
func (g GPU) Hangs(after, d time.Duration) GPU {
	h := hang{after, after + d}
	if d <= 0 {
		h.to = 1<<63 - 1
	}
	g.hangs = append(slices.Clone(g.hangs), h)
	return g
}

// Overheats returns the card too warm from one time to another: its clock is held down, and with it
// what it gets done.
func (g GPU) Overheats(from, to time.Duration) GPU {
	return g.change(from, to, func(a Activity) Activity { a.Heat = 22; return a })
}

// FillsUp returns the card with its memory full from the given time on.
func (g GPU) FillsUp(after time.Duration) GPU {
	return g.change(after, 1<<63-1, func(a Activity) Activity { a.Memory = 0.996; return a })
}

func (g GPU) change(from, to time.Duration, f func(Activity) Activity) GPU {
	before := g.Load
	if before == nil {
		before = Idle
	}
	g.Load = func(t time.Duration) Activity {
		if a := before(t); t < from || t >= to {
			return a
		} else {
			return f(a)
		}
	}
	return g
}

// LoseRank returns the cards of a group of which one leaves the collective at the given time: it does
// nothing any more, and the others spin.
func LoseRank(gpus []GPU, rank int, after time.Duration) []GPU {
	gpus = slices.Clone(gpus)
	for i := range gpus {
		if i == rank {
			gpus[i] = gpus[i].Then(after, Idle)
		} else {
			gpus[i] = gpus[i].Then(after, Spin)
		}
	}
	return gpus
}

// id is the card's identity, the same in every run.
func (g *GPU) id() string {
	if g.ID != "" {
		return g.ID
	}
	return fmt.Sprintf("GPU-5f1c3a%02x-0b7e-4d92-a3c4-%012x", g.Index, 0x7e5700+g.Index)
}

// info is what does not change about the card.
func (g *GPU) info() gpumetrics.Info {
	m := &g.Model
	i := gpumetrics.Info{
		ID: g.id(), Index: g.Index, Vendor: "NVIDIA", Model: m.Name, Architecture: m.Architecture,
		DriverVersion: "590.48.01", LibraryVersion: "13.590.48.01", RuntimeVersion: "13.1", Firmware: m.Firmware,
		PCIBusID: fmt.Sprintf("0000:%02x:00.0", 0x19+0x10*g.Index), NUMANode: g.Index / 4, ComputeCapability: m.ComputeCapability,
		MIGGPUInstance: -1, MIGComputeInstance: -1, MIGEnabled: len(g.Instances) > 0,
		Persistence: "enabled", Links: m.Links, Fans: m.Fans,
	}
	if m.HBM {
		i.ECC, i.GSPFirmware = "enabled", "590.48.01"
	}
	return i
}

// instanceInfo is what does not change about a part of the card.
func (g *GPU) instanceInfo(n int) gpumetrics.Info {
	i := g.info()
	i.Parent, i.ID = i.ID, fmt.Sprintf("MIG-9a0e7c%02x-51d4-5b8f-8c20-%012x", g.Index, 0x7e5700+0x10*g.Index+n)
	i.MIGProfile, i.MIGGPUInstance, i.MIGComputeInstance, i.MIGEnabled = g.Instances[n].Profile, n+1, 0, false
	i.Model += " MIG " + i.MIGProfile
	i.Links, i.Fans, i.Persistence = 0, 0, ""
	return i
}
