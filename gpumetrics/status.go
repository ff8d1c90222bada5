package gpumetrics

// health is what decides about a device's status beside its record.
type health struct {
	lost, wedged bool
	xidFatal     bool // since the source was opened, the driver reported a code that ends the GPU's work
	offBus       bool // XID 79
}

// judge derives the status of a device from its last readings: the worst of what they say.
func judge(r *record, fresh *[len(tiers)]bool, h health) Status {
	if h.lost || h.offBus || h.wedged && h.xidFatal {
		return StatusFailed
	}
	if r == nil || !fresh[Fast] {
		if h.wedged || r != nil {
			return StatusDegraded
		}
		return ""
	}
	on := func(readings ...Reading) bool {
		for _, i := range readings {
			if r.state(i, fresh) {
				return true
			}
		}
		return false
	}
	switch {
	case on(RecoveryGPUReset, RecoveryNodeReboot, RecoveryBusReset, RecoverySystemReboot):
		return StatusFailed
	case on(RemapFailure, RemapPending, ECCSRAMThresholdExceeded, RetiredPagesPending, UnrepairableMemory):
		return StatusPredictedFailure
	case h.wedged, on(ClockEventHWThermal, ClockEventPowerBrake, RecoveryDrainP2P, RecoveryDrainAndReset, RecoveryIMEX),
		narrow(r, fresh), fresh[Slow] && r.linkDown():
		return StatusDegraded
	default:
		return StatusOK
	}
}

// narrow tells whether the PCIe link has fewer lanes than GPU and slot allow.
func narrow(r *record, fresh *[len(tiers)]bool) bool {
	width, known := r.value(PCIeLinkWidth, fresh)
	limit, told := r.value(PCIeLinkWidthLimit, fresh)
	return known && told && width < limit
}

// linkDown tells whether some links to other GPUs are up and some are not. Where all are down there
// is no neighbour, or no fabric manager: the fabric's own state tells of that.
func (r *record) linkDown() bool {
	up, down := false, false
	for i := range r.parts {
		p := &r.parts[i]
		if p.series.kind == Link && p.known[LinkUp] {
			up = up || p.values[LinkUp] == 1
			down = down || p.values[LinkUp] == 0
		}
	}
	return up && down
}
