package gpumetrics

// Reading names one number that a GPU can tell. Each has a row in the table of instruments: its
// metric, attributes, unit, tier and where NVIDIA's library tells it.
type Reading uint8

// The readings. Ratios go from 0 to 1, memory is in bytes, temperature in degrees Celsius, power
// in watts, clocks in hertz. What is marked as a count is a cumulative number of the driver, given
// with [Sample.SetCount]; all others are given with [Sample.Set]. States are 0 or 1.
const (
	// Utilization.
	UtilizationGeneral Reading = iota
	UtilizationEncoder
	UtilizationDecoder
	UtilizationJPEG
	UtilizationOFA
	MemoryControllerUtilization
	// Profiling (GPM, from Hopper on).
	GraphicsUtilization
	SMUtilization
	SMOccupancy
	TensorUtilizationAny
	TensorUtilizationHMMA
	TensorUtilizationIMMA
	TensorUtilizationDFMA
	DRAMBandwidthUtilization
	FPUtilizationFP16
	FPUtilizationFP32
	FPUtilizationFP64
	MMAStallUtilization

	// Memory.
	MemoryTotal
	MemoryUsed
	MemoryFree
	MemoryReserved
	MemoryUtilization // the monitor computes it
	BAR1Total
	BAR1Used
	ProtectedMemoryTotal
	ProtectedMemoryUsed

	// Temperature. The limits are absolute, the margin limits are offsets of the margin.
	TemperatureGPU
	TemperatureMemory
	TemperatureMargin
	TemperatureLimitShutdown
	TemperatureLimitSlowdown
	TemperatureLimitGPUMax
	TemperatureLimitMemoryMax
	MarginLimitShutdown
	MarginLimitSlowdown
	MarginLimitGPUMax
	MarginLimitMemoryMax

	// Power and energy.
	Power
	PowerAverage
	PowerModule
	PowerMemory
	Energy // count, mJ
	PowerLimitEnforced
	PowerLimitRequested
	PowerLimitDefault
	PowerLimitMin
	PowerLimitMax
	PowerEDPp // percent multiplier, as a ratio

	// Clocks.
	ClockGraphics
	ClockSM
	ClockMemory
	ClockVideo
	ClockLimitGraphics
	ClockLimitSM
	ClockLimitMemory
	ClockLimitVideo
	PerformanceState // 0 is the fastest, 15 the slowest

	// What holds the clock down now, states.
	ClockEventApplications
	ClockEventSWPowerCap
	ClockEventHWSlowdown
	ClockEventSyncBoost
	ClockEventSWThermal
	ClockEventHWThermal
	ClockEventPowerBrake
	ClockEventBoardLimit
	ClockEventReliability
	// How long it did, counts, ns.
	ClockEventTimePower
	ClockEventTimeThermal
	ClockEventTimeSyncBoost
	ClockEventTimeBoardLimit
	ClockEventTimeLowUtilization
	ClockEventTimeReliability
	ClockEventTimeBaseClocks
	ClockEventTimeSWThermal
	ClockEventTimeHWThermal
	ClockEventTimePowerBrake

	// PCIe. Throughput is in bytes per second.
	PCIeTransmit // count, bytes
	PCIeReceive  // count, bytes
	PCIeThroughputTransmit
	PCIeThroughputReceive
	PCIeLinkGeneration
	PCIeLinkWidth
	PCIeLinkGenerationLimit
	PCIeLinkWidthLimit
	// Errors of the PCIe link, counts.
	PCIeReplay
	PCIeReplayRollover
	PCIeCorrectable
	PCIeNAKReceived
	PCIeReceiver
	PCIeBadTLP
	PCIeBadDLLP
	PCIeNonFatal
	PCIeFatal
	PCIeUnsupportedRequest
	PCIeLCRC
	PCIeLane
	PCIeRecovery

	// All links to other GPUs together; counts, KiB and errors.
	LinkTransmit
	LinkReceive
	LinkCRCFlit
	LinkCRCData
	LinkReplay
	LinkRecovery
	LinkECCData
	LinkMalformed
	LinkBufferOverrun
	LinkRx
	LinkRxRemote
	LinkIntegrity
	LinkTxDiscard
	LinkRecoveryFailed
	LinkEffective
	LinkSymbol

	// Fabric, states.
	FabricNotSupported
	FabricNotStarted
	FabricInProgress
	FabricCompleted
	// Fabric health checks: 1 is healthy.
	FabricBandwidthOK
	FabricRouteRecoveryOK
	FabricRouteHealthOK
	FabricAccessTimeoutOK

	// Reliability. Volatile ECC errors are counts since the driver was loaded, lifetime ones are
	// what the card remembers.
	ECCCorrected
	ECCUncorrected
	ECCLifetimeCorrected
	ECCLifetimeUncorrected
	ECCCorrectedDRAM
	ECCUncorrectedDRAM
	ECCCorrectedSRAM
	ECCUncorrectedSRAM
	ECCSRAMThresholdExceeded
	RetiredPagesSingleBit
	RetiredPagesDoubleBit
	RetiredPagesPending
	RemappedRowsCorrected
	RemappedRowsUncorrected
	RemapPending
	RemapFailure
	RemapBanksMax
	RemapBanksHigh
	RemapBanksPartial
	RemapBanksLow
	RemapBanksNone
	UnrepairableMemory
	// What the driver asks for, states.
	RecoveryNone
	RecoveryGPUReset
	RecoveryNodeReboot
	RecoveryDrainP2P
	RecoveryDrainAndReset
	RecoveryIMEX
	RecoveryBusReset
	RecoverySystemReboot

	// Setup.
	PersistenceMode
	ConfidentialCompute
	MIGInstances

	numReadings
)

// PartReading names one number that a part (a link, a fan) can tell.
type PartReading uint8

// The readings of parts.
const (
	LinkUp             PartReading = iota // state
	LinkBandwidthLimit                    // bytes per second
	LinkBytesTransmit                     // count, KiB; only where links are asked for one by one
	LinkBytesReceive
	FanSpeedRatio
	FanSpeed // revolutions per minute

	numPartReadings
)
