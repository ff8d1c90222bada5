package gpumetrics

// Tier says how often a reading is taken.
type Tier uint8

// The tiers. The monitor asks for Once before it asks for the others.
const (
	// Once is read after the source was opened: what only changes with the hardware or its setup.
	Once Tier = iota
	// Fast is read every 10 s by default.
	Fast
	// Slow is read every 60 s by default.
	Slow
)

// tiers are all tiers in the order in which they are read.
var tiers = [...]Tier{Once, Fast, Slow}

// String returns "once", "fast" or "slow".
func (t Tier) String() string {
	switch t {
	case Once:
		return "once"
	case Fast:
		return "fast"
	default:
		return "slow"
	}
}
