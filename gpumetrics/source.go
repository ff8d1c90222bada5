package gpumetrics

import (
	"context"
	"errors"
	"time"
)

// Source finds the GPUs of one vendor's driver. Package nvml has one for NVIDIA, package fake one
// that plays scripted GPUs. A [Monitor] calls it from goroutines of its own, one call at a time,
// never from the path of a request or of a metric reader, because a driver call can take for ever.
type Source interface {
	// Open loads the driver's library and returns the devices: each GPU and, after it, the parts
	// it is divided into. It may be called again after Close. The error is an [*UnavailableError]
	// where there is no driver or no GPU.
	Open(ctx context.Context) ([]Device, error)
	// Close frees what Open took. It returns when ctx ends even if a driver call hangs.
	Close(ctx context.Context) error
}

// Device is one GPU, or one part of a GPU that is divided (an NVIDIA MIG instance).
type Device interface {
	// Info returns what does not change while the device is open. It never asks the driver.
	Info() Info
	// Sample asks the driver for the readings of one tier and puts them into s, which the caller
	// has reset. It blocks as long as the driver does. The monitor calls it from one goroutine for
	// a GPU and its parts. A reading that fails is marked with [Sample.Miss] and the rest goes on;
	// the error tells of the whole device: [ErrLost] or [ErrReopen], possibly wrapped.
	Sample(tier Tier, s *Sample) error
}

// ProcessLister is a Device that can tell which processes use its memory. The monitor asks only
// where the user asked for processes.
type ProcessLister interface {
	// Processes appends the processes to buf and returns it.
	Processes(buf []Process) ([]Process, error)
}

// EventSource is a Source that also reports errors as the driver tells them (NVIDIA's XIDs).
type EventSource interface {
	// NextEvent waits for the next event, at most until ctx ends or for a second, whichever is
	// first. It returns [ErrNoEvent] if there was none, and [ErrUnsupported] where the driver has
	// no events.
	NextEvent(ctx context.Context) (Event, error)
}

// Errors that a Source's devices return.
var (
	// ErrLost tells that the driver has lost the GPU: it does not answer until it is reset or the
	// machine restarts. The monitor stops asking it and opens the source again with growing pauses.
	ErrLost = errors.New("the driver has lost the GPU")
	// ErrReopen tells that the source must be closed and opened: the driver was reloaded, or the
	// GPU was divided in another way.
	ErrReopen = errors.New("the source must be opened again")
	// ErrNoEvent tells that no event came in time.
	ErrNoEvent = errors.New("no event")
	// ErrUnsupported tells that the driver cannot do this on this machine, now or later.
	ErrUnsupported = errors.New("not supported by this driver or GPU")
)

// DriverState tells whether the driver can be asked. It is the value of the attribute
// nvidia.gpu.driver.state.
type DriverState string

// The states of a driver.
const (
	DriverOK              DriverState = "ok"
	DriverOpening         DriverState = "opening"
	DriverLibraryNotFound DriverState = "library_not_found"
	DriverNotLoaded       DriverState = "driver_not_loaded"
	// DriverMismatch: library and kernel module have different versions, as after an upgrade. Only
	// a restart of this process heals it, since the old library stays mapped.
	DriverMismatch     DriverState = "driver_mismatch"
	DriverNoPermission DriverState = "no_permission"
	DriverNoDevices    DriverState = "no_devices"
	DriverNotCompiled  DriverState = "not_compiled"
	DriverPaused       DriverState = "paused"
	DriverWedged       DriverState = "wedged"
	DriverFailed       DriverState = "failed"
)

// UnavailableError tells why there are no GPUs to read. That is a normal state of a machine.
type UnavailableError struct {
	State DriverState
	// Text is for people and says what to do, such as which library was looked for and where.
	Text string
	// Terminal tells that opening again cannot help before this process restarts.
	Terminal bool
}

func (e *UnavailableError) Error() string { return e.Text }

// Info is what does not change about a device while it is open. An empty string, and -1 for a
// number, mean that the driver does not tell.
type Info struct {
	// ID is the vendor's identity of the device, the same in every tool: for NVIDIA the UUID,
	// "GPU-…" or "MIG-…". It is the attribute hw.id.
	ID string
	// Parent is the ID of the GPU that the device is a part of, else empty.
	Parent string
	// Index is the number by which the vendor's tools name the GPU. It can change with a reset.
	Index int
	// Vendor is such as "NVIDIA", Model such as "NVIDIA H100 80GB HBM3".
	Vendor, Model string
	// Architecture is such as "hopper", Serial the card's own number.
	Architecture, Serial string
	// DriverVersion, LibraryVersion, RuntimeVersion (CUDA), Firmware (VBIOS), GSPFirmware.
	DriverVersion, LibraryVersion, RuntimeVersion, Firmware, GSPFirmware string
	// PCIBusID is such as "0000:3b:00.0".
	PCIBusID string
	NUMANode int
	// ComputeCapability is such as "9.0".
	ComputeCapability string
	// MIGProfile is such as "1g.10gb"; MIGGPUInstance and MIGComputeInstance are its numbers, and
	// MIGEnabled tells that a GPU may be divided.
	MIGProfile                         string
	MIGGPUInstance, MIGComputeInstance int
	MIGEnabled                         bool
	// ECC and Persistence are "enabled", "disabled" or empty.
	ECC, Persistence string
	// Links is how many links to other GPUs the device has, Fans how many fans.
	Links, Fans int
}

// Process is one process that uses memory of a device.
type Process struct {
	// PID is the process's number as the driver tells it, which is the host's.
	PID int
	// Memory is in bytes; KnownMemory is false where the driver does not tell.
	Memory      uint64
	KnownMemory bool
}

// Event is one report of the driver.
type Event struct {
	// Time is when it was received.
	Time time.Time
	// Device is the ID of the GPU, empty where the driver does not say which.
	Device string
	// XID is NVIDIA's code; 0 for an event of another kind, which Kind then names.
	XID  int
	Kind string
}
