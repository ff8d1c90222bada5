// Package gpus hands the readings of a [gpumetrics.Monitor] to the rest of this module: to the health
// document, to the watchdog's rules, and to the spans of the requests that run while a GPU fails.
//
//	view := gpus.New(monitor)
//	source.GPUs, dog.GPUs = view.Health, view.Watchdog
//	view.Tell(registry, nil)
package gpus

import (
	"strconv"
	"sync"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// View looks at a monitor. Make one with [New]; its methods are safe for concurrent use and never wait.
type View struct {
	monitor *gpumetrics.Monitor

	mu    sync.Mutex
	fatal map[string]gpumetrics.Event // by GPU, the last error that asks for a reset or a restart
}

// maxFatal bounds the GPUs of which a fatal error is kept.
const maxFatal = 256

// New returns a view of what the monitor sees from now on.
func New(m *gpumetrics.Monitor) *View {
	v := &View{monitor: m, fatal: map[string]gpumetrics.Event{}}
	m.OnEvent(v.note)
	return v
}

// note keeps fatal errors: others that follow from them are reported after them.
func (v *View) note(e gpumetrics.Event) {
	if !fatal(e.XID) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.fatal[e.Device]; known || len(v.fatal) < maxFatal {
		v.fatal[e.Device] = e
	}
}

// fatal tells of codes after which a GPU computes nothing before it is reset or the machine restarts.
func fatal(xid int) bool {
	switch gpumetrics.XID(xid).Action {
	case "reset_gpu", "restart_machine":
		return true
	}
	return xid == 48 || xid == 74 || xid == 145 // uncorrectable memory, and links of which a group depends
}

// Tell puts each error code that a driver reports from now on onto the spans of the requests of r that
// run then. served tells of an engine's address whether it uses this host's GPUs; nil means that all
// engines do.
func (v *View) Tell(r *inflight.Registry, served func(engine string) bool) {
	v.monitor.OnEvent(func(e gpumetrics.Event) {
		if e.XID == 0 {
			return
		}
		info := gpumetrics.XID(e.XID)
		r.GPUError(inflight.GPUError{At: e.Time, GPU: e.Device, XID: e.XID, Name: info.Name, Action: info.Action}, served)
	})
}

// name is the number by which tools name a GPU; a part has its own after it, such as "0:2".
func name(info *gpumetrics.Info) string {
	n := strconv.Itoa(info.Index)
	if info.Index < 0 {
		n = info.ID
	}
	if info.Parent != "" {
		n += ":" + strconv.Itoa(info.MIGGPUInstance)
	}
	return n
}

// lastFatal returns the last fatal error of a GPU.
func (v *View) lastFatal(id string) (xid int, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.fatal[id]
	return e.XID, e.Time
}
