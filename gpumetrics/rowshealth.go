package gpumetrics

// Attribute keys that no convention covers.
const (
	keyFabricState = "nvidia.gpu.fabric.state"
	keyFabricCheck = "nvidia.gpu.fabric.check"
	keyLocation    = "nvidia.gpu.memory.location"
	keyCause       = "nvidia.gpu.memory.retired_pages.cause"
	keyBanks       = "nvidia.gpu.memory.remap.availability"
	keyRecovery    = "nvidia.gpu.recovery.action"
)

const (
	beforeFabric  = "before Hopper; before driver 550"
	withoutRemap  = "before Ampere; in MIG mode; without ECC memory"
	fromAmpere    = "from Ampere on"
	oldRecovery   = "before driver 560"
	newRepairCall = "with older drivers; before Hopper"
)

var fabricRows = []row{
	{reading: FabricNotSupported, metric: "nvidia.gpu.fabric.state", attrs: with(keyFabricState, "not_supported"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: beforeFabric},
	{reading: FabricNotStarted, metric: "nvidia.gpu.fabric.state", attrs: with(keyFabricState, "not_started"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: beforeFabric},
	{reading: FabricInProgress, metric: "nvidia.gpu.fabric.state", attrs: with(keyFabricState, "in_progress"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: beforeFabric},
	{reading: FabricCompleted, metric: "nvidia.gpu.fabric.state", attrs: with(keyFabricState, "completed"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: beforeFabric},
	{reading: FabricBandwidthOK, metric: "nvidia.gpu.fabric.health", attrs: with(keyFabricCheck, "bandwidth"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: "except in multi-node NVLink domains"},
	{reading: FabricRouteRecoveryOK, metric: "nvidia.gpu.fabric.health", attrs: with(keyFabricCheck, "route_recovery"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: "except in multi-node NVLink domains"},
	{reading: FabricRouteHealthOK, metric: "nvidia.gpu.fabric.health", attrs: with(keyFabricCheck, "route_health"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: "except in multi-node NVLink domains"},
	{reading: FabricAccessTimeoutOK, metric: "nvidia.gpu.fabric.health", attrs: with(keyFabricCheck, "access_timeout"), tier: Slow, check: state, call: "nvmlDeviceGetGpuFabricInfoV", absent: "except in multi-node NVLink domains"},
}

var memoryErrorRows = []row{
	{reading: ECCCorrected, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "corrected"), tier: Fast, check: count, call: "nvmlDeviceGetFieldValues 3", absent: withoutECC},
	{reading: ECCUncorrected, metric: "hw.errors", attrs: with(keyType, "gpu", keyError, "uncorrected"), tier: Fast, check: count, call: "nvmlDeviceGetFieldValues 4", absent: withoutECC},
	{reading: ECCLifetimeCorrected, metric: "nvidia.gpu.ecc.lifetime", attrs: with(keyError, "corrected"), tier: Slow, check: level, call: "nvmlDeviceGetFieldValues 5", absent: withoutECC},
	{reading: ECCLifetimeUncorrected, metric: "nvidia.gpu.ecc.lifetime", attrs: with(keyError, "uncorrected"), tier: Slow, check: level, call: "nvmlDeviceGetFieldValues 6", absent: withoutECC},
	{reading: ECCCorrectedDRAM, metric: "nvidia.gpu.ecc.errors", attrs: with(keyError, "corrected", keyLocation, "dram"), tier: Slow, check: count, call: "nvmlDeviceGetMemoryErrorCounter", absent: "before Ampere; " + withoutECC},
	{reading: ECCUncorrectedDRAM, metric: "nvidia.gpu.ecc.errors", attrs: with(keyError, "uncorrected", keyLocation, "dram"), tier: Slow, check: count, call: "nvmlDeviceGetMemoryErrorCounter", absent: "before Ampere; " + withoutECC},
	{reading: ECCCorrectedSRAM, metric: "nvidia.gpu.ecc.errors", attrs: with(keyError, "corrected", keyLocation, "sram"), tier: Slow, check: count, call: "nvmlDeviceGetMemoryErrorCounter", absent: "before Ampere; " + withoutECC},
	{reading: ECCUncorrectedSRAM, metric: "nvidia.gpu.ecc.errors", attrs: with(keyError, "uncorrected", keyLocation, "sram"), tier: Slow, check: count, call: "nvmlDeviceGetMemoryErrorCounter", absent: "before Ampere; " + withoutECC},
	{reading: ECCSRAMThresholdExceeded, metric: "nvidia.gpu.ecc.sram.threshold_exceeded", tier: Slow, check: state, call: "nvmlDeviceGetSramEccErrorStatus", absent: "unless the process is root; " + withoutECC},
}

var repairRows = []row{
	{reading: RetiredPagesSingleBit, metric: "nvidia.gpu.memory.retired_pages", attrs: with(keyCause, "single_bit"), tier: Slow, check: level, call: "nvmlDeviceGetFieldValues 29", absent: fromAmpere},
	{reading: RetiredPagesDoubleBit, metric: "nvidia.gpu.memory.retired_pages", attrs: with(keyCause, "double_bit"), tier: Slow, check: level, call: "nvmlDeviceGetFieldValues 30", absent: fromAmpere},
	{reading: RetiredPagesPending, metric: "nvidia.gpu.memory.retired_pages.pending", tier: Slow, check: state, call: "nvmlDeviceGetFieldValues 31", absent: fromAmpere},
	{reading: RemappedRowsCorrected, metric: "nvidia.gpu.memory.remapped_rows", attrs: with(keyError, "corrected"), tier: Slow, check: level, call: "nvmlDeviceGetFieldValues 142", absent: withoutRemap},
	{reading: RemappedRowsUncorrected, metric: "nvidia.gpu.memory.remapped_rows", attrs: with(keyError, "uncorrected"), tier: Slow, check: level, call: "nvmlDeviceGetFieldValues 143", absent: withoutRemap},
	{reading: RemapPending, metric: "nvidia.gpu.memory.remap.pending", tier: Slow, check: state, call: "nvmlDeviceGetFieldValues 144", absent: withoutRemap},
	{reading: RemapFailure, metric: "nvidia.gpu.memory.remap.failure", tier: Slow, check: state, call: "nvmlDeviceGetFieldValues 145", absent: withoutRemap},
	{reading: RemapBanksMax, metric: "nvidia.gpu.memory.remap.banks", attrs: with(keyBanks, "max"), tier: Slow, check: level, call: "nvmlDeviceGetRowRemapperHistogram", absent: withoutRemap},
	{reading: RemapBanksHigh, metric: "nvidia.gpu.memory.remap.banks", attrs: with(keyBanks, "high"), tier: Slow, check: level, call: "nvmlDeviceGetRowRemapperHistogram", absent: withoutRemap},
	{reading: RemapBanksPartial, metric: "nvidia.gpu.memory.remap.banks", attrs: with(keyBanks, "partial"), tier: Slow, check: level, call: "nvmlDeviceGetRowRemapperHistogram", absent: withoutRemap},
	{reading: RemapBanksLow, metric: "nvidia.gpu.memory.remap.banks", attrs: with(keyBanks, "low"), tier: Slow, check: level, call: "nvmlDeviceGetRowRemapperHistogram", absent: withoutRemap},
	{reading: RemapBanksNone, metric: "nvidia.gpu.memory.remap.banks", attrs: with(keyBanks, "none"), tier: Slow, check: level, call: "nvmlDeviceGetRowRemapperHistogram", absent: withoutRemap},
	{reading: UnrepairableMemory, tier: Slow, check: state, call: "nvmlDeviceGetUnrepairableMemoryFlag_v1", absent: newRepairCall},

	{reading: RecoveryNone, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "none"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
	{reading: RecoveryGPUReset, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "gpu_reset"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
	{reading: RecoveryNodeReboot, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "node_reboot"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
	{reading: RecoveryDrainP2P, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "drain_p2p"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
	{reading: RecoveryDrainAndReset, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "drain_and_reset"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
	{reading: RecoveryIMEX, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "imex"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
	{reading: RecoveryBusReset, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "bus_reset"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
	{reading: RecoverySystemReboot, metric: "nvidia.gpu.recovery.action", attrs: with(keyRecovery, "system_reboot"), tier: Fast, check: state, call: "nvmlDeviceGetFieldValues 230", absent: oldRecovery},
}

var setupRows = []row{
	{reading: PersistenceMode, metric: "nvidia.gpu.persistence", check: state, call: "nvmlDeviceGetPersistenceMode", absent: "in MIG instances; on a vGPU"},
	{reading: ConfidentialCompute, metric: "nvidia.gpu.confidential_compute", check: state, call: "nvmlSystemGetConfComputeState", absent: "before Hopper; " + newDriver},
	{reading: MIGInstances, metric: "nvidia.gpu.mig.instances", tier: Slow, check: level, call: "nvmlDeviceGetMaxMigDeviceCount, nvmlDeviceGetMigDeviceHandleByIndex", absent: "where a GPU cannot be divided"},
}

// partRow says what becomes of one reading of a part. The part has an identity of its own:
// "<GPU>/nvlink/3", "<GPU>/fan/0", "<GPU>/c2c/1", and the GPU is its parent.
type partRow struct {
	reading PartReading
	metric  string
	attrs   attrs
	check   check
	scale   float64
	call    string
	absent  string
}

var partRows = []partRow{
	{reading: LinkUp, metric: "hw.network.up", check: state, call: "nvmlDeviceGetFieldValues 165, else nvmlDeviceGetNvLinkState; 171 of links to the CPU", absent: withoutLinks},
	{reading: LinkBandwidthLimit, metric: "hw.network.bandwidth.limit", check: positive, call: "nvmlDeviceGetFieldValues 164; 172 of links to the CPU", absent: withoutLinks + "; on a link that is down"},
	{reading: LinkBytesTransmit, metric: "hw.network.io", attrs: with(keyDirection, "transmit"), check: traffic, scale: 1024, call: "nvmlDeviceGetFieldValues 138 of each link; 202 from Blackwell on", absent: withoutLinks + "; without WithLinks"},
	{reading: LinkBytesReceive, metric: "hw.network.io", attrs: with(keyDirection, "receive"), check: traffic, scale: 1024, call: "nvmlDeviceGetFieldValues 139 of each link; 204 from Blackwell on", absent: withoutLinks + "; without WithLinks"},
	{reading: FanSpeedRatio, metric: "hw.fan.speed_ratio", check: factor, call: "nvmlDeviceGetFanSpeed_v2", absent: "without a fan of its own"},
	{reading: FanSpeed, metric: "hw.fan.speed", check: positive, call: "nvmlDeviceGetFanSpeedRPM", absent: "without a fan of its own; " + newDriver},
}
