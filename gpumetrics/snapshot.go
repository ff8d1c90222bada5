package gpumetrics

import "time"

// Snapshot is what is known of the GPUs at one time. It shares nothing that changes.
type Snapshot struct {
	// State tells whether the driver can be asked, Text says why not, for people, and Since when
	// that began.
	State DriverState
	Text  string
	Since time.Time
	// Devices are the GPUs in the driver's order, each followed by the parts that it is divided
	// into. GPUs that were there and are gone stay, marked as lost.
	Devices []DeviceSnapshot
}

// Status is the operational state of a GPU. It is the value of the attribute hw.state.
type Status string

// The states of a GPU.
const (
	StatusOK Status = "ok"
	// StatusDegraded: it works and is slower or less connected than it should be, or its driver
	// does not answer.
	StatusDegraded Status = "degraded"
	// StatusFailed: it computes nothing before it is reset or the machine restarts.
	StatusFailed Status = "failed"
	// StatusPredictedFailure: it works, and its memory is wearing out.
	StatusPredictedFailure Status = "predicted_failure"
)

// statuses are all states of a GPU.
var statuses = [...]Status{StatusOK, StatusDegraded, StatusFailed, StatusPredictedFailure}

// driverStates are all states of a driver.
var driverStates = [...]DriverState{
	DriverOK, DriverOpening, DriverLibraryNotFound, DriverNotLoaded, DriverMismatch, DriverNoPermission,
	DriverNoDevices, DriverNotCompiled, DriverPaused, DriverWedged, DriverFailed,
}

// DeviceSnapshot is what is known of one device.
type DeviceSnapshot struct {
	Info Info
	// At is the time of the last good sample; zero if there never was one.
	At time.Time
	// Up tells that the device answers: not lost, not wedged, and sampled within three intervals.
	Up bool
	// Wedged tells that a driver call for it has not returned for five seconds; Lost that the driver
	// has lost it, or that it was there once and is not now.
	Wedged, Lost bool
	// Status is empty as long as nothing is known.
	Status Status
	// MinPower is the lowest power seen, in watts: about what the device draws when idle. 0 if none was.
	MinPower float64
	// LastXID is the last error code that the driver reported for the device, 0 if none.
	LastXID   int
	LastXIDAt time.Time
	// Processes are those that use its memory, where they were asked for.
	Processes []Process

	record *record
	fresh  [len(tiers)]bool
}

// Age returns how long ago the last good sample was, and -1 if there never was one.
func (d *DeviceSnapshot) Age(now time.Time) time.Duration {
	if d.At.IsZero() {
		return -1
	}
	return now.Sub(d.At)
}

// Value returns a reading in the unit of its metric. A gauge is absent where the device does not
// tell it, and when it is older than three intervals. A count is what was added since the monitor
// began to watch; it stays once it was told.
func (d *DeviceSnapshot) Value(r Reading) (float64, bool) {
	if d.record == nil || r >= numReadings {
		return 0, false
	}
	return d.record.value(r, &d.fresh)
}

// record is what the last samples of a device gave. It does not change once it is published.
type record struct {
	at        [len(tiers)]time.Time // of the last good sample of each tier
	values    [numReadings]float64  // in the instrument's unit; counts summed up
	known     bitset
	counts    bitset // those that are counts
	tier      [numReadings]Tier
	parts     []partRecord
	processes []processRecord
	list      []Process
	errors    []errorRecord
	minPower  float64
}

func (r *record) value(i Reading, fresh *[len(tiers)]bool) (float64, bool) {
	if !r.known.has(i) || !r.counts.has(i) && !fresh[r.tier[i]] {
		return 0, false
	}
	return r.values[i], true
}

// state returns whether a state is known to be on.
func (r *record) state(i Reading, fresh *[len(tiers)]bool) bool {
	v, ok := r.value(i, fresh)
	return ok && v == 1
}

// partRecord is what the last sample gave of one part of a device.
type partRecord struct {
	series *partSeries
	values [numPartReadings]float64
	known  [numPartReadings]bool
}

// errorRecord counts one kind of error.
type errorRecord struct {
	options observeOptions
	n       int64
}

// processRecord is the memory of one process, or of all together where they cannot be told apart.
type processRecord struct {
	options observeOptions
	bytes   int64
}

// age limits: what was read longer ago than that many intervals is not told.
const staleAfter = 3

// freshness tells which tiers of a record are young enough. What is read once is as fresh as the
// device's fast readings.
func (r *record) freshness(now time.Time, c *config) (fresh [len(tiers)]bool) {
	young := func(t Tier, interval time.Duration) bool {
		return !r.at[t].IsZero() && now.Sub(r.at[t]) <= staleAfter*interval
	}
	fresh[Fast] = young(Fast, c.interval)
	fresh[Slow] = young(Slow, c.slow) && fresh[Fast]
	fresh[Once] = fresh[Fast]
	return fresh
}
