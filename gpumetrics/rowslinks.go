package gpumetrics

var clockRows = []row{
	{reading: ClockGraphics, metric: "nvidia.gpu.clock.frequency", attrs: with(keyDomain, "graphics"), tier: Fast, check: hertz, call: "nvmlDeviceGetClockInfo", absent: "in MIG instances"},
	{reading: ClockSM, metric: "nvidia.gpu.clock.frequency", attrs: with(keyDomain, "sm"), tier: Fast, check: hertz, call: "nvmlDeviceGetClockInfo", absent: "in MIG instances"},
	{reading: ClockMemory, metric: "nvidia.gpu.clock.frequency", attrs: with(keyDomain, "memory"), tier: Fast, check: hertz, call: "nvmlDeviceGetClockInfo", absent: "in MIG instances"},
	{reading: ClockVideo, metric: "nvidia.gpu.clock.frequency", attrs: with(keyDomain, "video"), tier: Slow, check: hertz, call: "nvmlDeviceGetClockInfo", absent: "in MIG instances"},
	{reading: ClockLimitGraphics, metric: "nvidia.gpu.clock.frequency.limit", attrs: with(keyDomain, "graphics"), check: hertz, call: "nvmlDeviceGetMaxClockInfo", absent: "in MIG instances"},
	{reading: ClockLimitSM, metric: "nvidia.gpu.clock.frequency.limit", attrs: with(keyDomain, "sm"), check: hertz, call: "nvmlDeviceGetMaxClockInfo", absent: "in MIG instances"},
	{reading: ClockLimitMemory, metric: "nvidia.gpu.clock.frequency.limit", attrs: with(keyDomain, "memory"), check: hertz, call: "nvmlDeviceGetMaxClockInfo", absent: "in MIG instances"},
	{reading: ClockLimitVideo, metric: "nvidia.gpu.clock.frequency.limit", attrs: with(keyDomain, "video"), check: hertz, call: "nvmlDeviceGetMaxClockInfo", absent: "in MIG instances"},
	{reading: PerformanceState, metric: "nvidia.gpu.performance_state", tier: Fast, check: performance, call: "nvmlDeviceGetPerformanceState", absent: "in MIG instances"},

	{reading: ClockEventApplications, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "applications"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventSWPowerCap, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "sw_power_cap"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventHWSlowdown, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "hw_slowdown"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventSyncBoost, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "sync_boost"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventSWThermal, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "sw_thermal"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventHWThermal, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "hw_thermal"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventPowerBrake, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "power_brake"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventBoardLimit, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "board_limit"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},
	{reading: ClockEventReliability, metric: "nvidia.gpu.clock.event.active", attrs: with(keyReason, "reliability"), tier: Fast, check: state, call: "nvmlDeviceGetCurrentClocksEventReasons", absent: "in MIG instances"},

	{reading: ClockEventTimePower, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "sw_power_cap"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 74", absent: "in MIG instances"},
	{reading: ClockEventTimeThermal, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "thermal"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 75", absent: "in MIG instances"},
	{reading: ClockEventTimeSyncBoost, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "sync_boost"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 76", absent: "in MIG instances"},
	{reading: ClockEventTimeBoardLimit, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "board_limit"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 77", absent: "in MIG instances"},
	{reading: ClockEventTimeLowUtilization, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "low_utilization"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 78", absent: "in MIG instances"},
	{reading: ClockEventTimeReliability, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "reliability"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 79", absent: "in MIG instances"},
	{reading: ClockEventTimeBaseClocks, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "base_clocks"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 81", absent: "in MIG instances"},
	{reading: ClockEventTimeSWThermal, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "sw_thermal"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 269", absent: newDriver},
	{reading: ClockEventTimeHWThermal, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "hw_thermal"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 270", absent: newDriver},
	{reading: ClockEventTimePowerBrake, metric: "nvidia.gpu.clock.event.duration", attrs: with(keyReason, "power_brake"), tier: Fast, check: heldTime, scale: 1e-9, call: "nvmlDeviceGetFieldValues 271", absent: newDriver},
}

var pcieRows = []row{
	{reading: PCIeTransmit, metric: "hw.gpu.io", attrs: with(keyDirection, "transmit"), tier: Fast, check: traffic, call: "nvmlDeviceGetFieldValues 197", absent: newDriver + "; in MIG instances"},
	{reading: PCIeReceive, metric: "hw.gpu.io", attrs: with(keyDirection, "receive"), tier: Fast, check: traffic, call: "nvmlDeviceGetFieldValues 198", absent: newDriver + "; in MIG instances"},
	{reading: PCIeThroughputTransmit, metric: "nvidia.gpu.pcie.throughput", attrs: with(keyDirection, "transmit"), tier: Slow, check: positive, feature: throughput, call: "nvmlGpmMetricsGet 20, else nvmlDeviceGetPcieThroughput", absent: "without WithPCIeThroughput"},
	{reading: PCIeThroughputReceive, metric: "nvidia.gpu.pcie.throughput", attrs: with(keyDirection, "receive"), tier: Slow, check: positive, feature: throughput, call: "nvmlGpmMetricsGet 21, else nvmlDeviceGetPcieThroughput", absent: "without WithPCIeThroughput"},
	{reading: PCIeLinkGeneration, metric: "nvidia.gpu.pcie.link.generation", tier: Slow, check: small, call: "nvmlDeviceGetCurrPcieLinkGeneration", absent: "on a vGPU; without PCIe"},
	{reading: PCIeLinkWidth, metric: "nvidia.gpu.pcie.link.width", tier: Slow, check: small, call: "nvmlDeviceGetCurrPcieLinkWidth", absent: "on a vGPU; without PCIe"},
	{reading: PCIeLinkGenerationLimit, metric: "nvidia.gpu.pcie.link.generation.limit", check: small, call: "nvmlDeviceGetMaxPcieLinkGeneration", absent: "on a vGPU; without PCIe"},
	{reading: PCIeLinkWidthLimit, metric: "nvidia.gpu.pcie.link.width.limit", check: small, call: "nvmlDeviceGetMaxPcieLinkWidth", absent: "on a vGPU; without PCIe"},
	{reading: PCIeReplay, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_replay"), tier: Fast, check: count, call: "nvmlDeviceGetFieldValues 94, else nvmlDeviceGetPcieReplayCounter", absent: "on a vGPU"},
	{reading: PCIeReplayRollover, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_replay_rollover"), tier: Fast, check: count, call: "nvmlDeviceGetFieldValues 95", absent: "on a vGPU"},
	{reading: PCIeCorrectable, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_correctable"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 173", absent: "before Ampere"},
	{reading: PCIeNAKReceived, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_nak_rx"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 174", absent: "before Ampere"},
	{reading: PCIeReceiver, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_receiver"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 175", absent: "before Ampere"},
	{reading: PCIeBadTLP, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_bad_tlp"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 176", absent: "before Ampere"},
	{reading: PCIeBadDLLP, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_bad_dllp"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 178", absent: "before Ampere"},
	{reading: PCIeNonFatal, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_non_fatal"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 179", absent: "before Ampere"},
	{reading: PCIeFatal, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_fatal"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 180", absent: "before Ampere"},
	{reading: PCIeUnsupportedRequest, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_unsupported_req"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 181", absent: "before Ampere"},
	{reading: PCIeLCRC, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_lcrc"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 182", absent: "before Ampere"},
	{reading: PCIeLane, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_lane"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 183", absent: "before Ampere"},
	{reading: PCIeRecovery, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "pcie_recovery"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 169", absent: "before Ampere"},
}

const (
	nvlink       = "nvlink"
	withoutLinks = "without NVLink"
	hopperLinks  = "without NVLink; from Blackwell on"
	blackwell    = "without NVLink; before Blackwell"
)

var linkRows = []row{
	{reading: LinkTransmit, part: nvlink, metric: "hw.network.io", attrs: with(keyDirection, "transmit"), tier: Fast, check: traffic, scale: 1024, call: "nvmlDeviceGetFieldValues 138, all links; 202 from Blackwell on", absent: withoutLinks},
	{reading: LinkReceive, part: nvlink, metric: "hw.network.io", attrs: with(keyDirection, "receive"), tier: Fast, check: traffic, scale: 1024, call: "nvmlDeviceGetFieldValues 139, all links; 204 from Blackwell on", absent: withoutLinks},
	{reading: LinkCRCFlit, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_crc_flit"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 38", absent: hopperLinks},
	{reading: LinkCRCData, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_crc_data"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 45", absent: hopperLinks},
	{reading: LinkReplay, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_replay"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 52", absent: hopperLinks},
	{reading: LinkRecovery, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_recovery"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 59", absent: hopperLinks},
	{reading: LinkECCData, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_ecc_data"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 160", absent: hopperLinks},
	{reading: LinkMalformed, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_malformed"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 206", absent: blackwell},
	{reading: LinkBufferOverrun, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_buffer_overrun"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 207", absent: blackwell},
	{reading: LinkRx, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_rx"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 208", absent: blackwell},
	{reading: LinkRxRemote, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_rx_remote"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 209", absent: blackwell},
	{reading: LinkIntegrity, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_integrity"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 211", absent: blackwell},
	{reading: LinkTxDiscard, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_tx_discard"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 212", absent: blackwell},
	{reading: LinkRecoveryFailed, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_recovery_failed"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 214", absent: blackwell},
	{reading: LinkEffective, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_effective"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 219", absent: blackwell},
	{reading: LinkSymbol, part: nvlink, metric: "hw.errors", attrs: with(keyType, "network", keyError, "nvlink_symbol"), tier: Slow, check: count, call: "nvmlDeviceGetFieldValues 221", absent: blackwell},
}
