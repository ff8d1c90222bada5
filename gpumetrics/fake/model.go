package fake

const mib = 1 << 20

// Model is a kind of card: its limits and what its driver can tell.
type Model struct {
	Name, Architecture, ComputeCapability, Firmware string
	// Memory and Reserved are in bytes; reserved is what the driver keeps for itself.
	Memory, Reserved float64
	// IdlePower and MaxPower are in watts.
	IdlePower, MaxPower float64
	// Clocks are the highest ones, in hertz.
	SMClock, MemoryClock, VideoClock float64
	// Links are NVLinks of LinkSpeed bytes per second each; Fans are the card's own.
	Links     int
	LinkSpeed float64
	Fans      int
	// PCIe is the generation of its link, of 16 lanes.
	PCIe int
	// HBM tells that its memory has a temperature, ECC and row remapping; Margin that it tells how
	// far it is from throttling instead of absolute limits; Profiling that it has NVIDIA's GPM.
	HBM, Margin, Profiling bool
}

// Models of cards. Their numbers are those that nvidia-smi tells of such cards.
func h100() Model {
	return Model{
		Name: "NVIDIA H100 80GB HBM3", Architecture: "hopper", ComputeCapability: "9.0", Firmware: "96.00.74.00.01",
		Memory: 81559 * mib, Reserved: 479 * mib, IdlePower: 70, MaxPower: 700, SMClock: 1980e6, MemoryClock: 2619e6, VideoClock: 1545e6,
		Links: 18, LinkSpeed: 26.562e9, PCIe: 5, HBM: true, Margin: true, Profiling: true,
	}
}

func rtx4080() Model {
	return Model{
		Name: "NVIDIA GeForce RTX 4080 SUPER", Architecture: "ada", ComputeCapability: "8.9", Firmware: "95.03.45.00.01",
		Memory: 16376 * mib, Reserved: 371 * mib, IdlePower: 14, MaxPower: 320, SMClock: 3105e6, MemoryClock: 11501e6, VideoClock: 2415e6,
		Fans: 1, PCIe: 4,
	}
}
