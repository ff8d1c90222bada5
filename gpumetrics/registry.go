package gpumetrics

// adopt makes the devices that the source gave those that are shown. Each keeps what was known of
// it under its identity, whatever its number is now. A GPU that is gone stays, as lost, so that its
// absence is seen; a part that is gone was divided away, and is forgotten.
func (m *Monitor) adopt(found []Device) {
	old := map[string]*device{}
	for _, d := range *m.devices.Load() {
		old[d.id()] = d
	}
	var now []*device
	for _, dev := range found {
		info := dev.Info()
		if len(now) == maxDevices || info.ID == "" {
			continue
		}
		d := old[info.ID]
		if d == nil {
			d = newDevice(m.table, &info)
		} else {
			d.describe(m.table, &info)
			delete(old, info.ID)
		}
		d.opened(dev)
		now = append(now, d)
	}
	for _, d := range *m.devices.Load() {
		if old[d.id()] == nil {
			continue
		}
		m.ledgers.gone(d.id())
		if d.info.Load().Parent == "" && len(now) < maxDevices {
			d.lost.Store(true)
			d.dev = nil
			now = append(now, d)
		}
	}
	gpus := int64(0)
	for _, d := range now {
		if d.info.Load().Parent == "" {
			gpus++
		}
	}
	m.expected.Store(max(m.expected.Load(), gpus))
	m.devices.Store(&now)
}

// present are the devices that the source has now.
func (m *Monitor) present() (devices []*device) {
	for _, d := range *m.devices.Load() {
		if d.dev != nil {
			devices = append(devices, d)
		}
	}
	return devices
}

func (m *Monitor) anyLost() bool {
	for _, d := range *m.devices.Load() {
		if d.lost.Load() {
			return true
		}
	}
	return false
}
