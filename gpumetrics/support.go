package gpumetrics

import "time"

// SupportState says whether a device tells a reading.
type SupportState string

// The states of a reading.
const (
	SupportUnknown     SupportState = "unknown" // not asked yet, or switched off
	Supported          SupportState = "supported"
	SupportUnsupported SupportState = "unsupported" // not asked again before the source is opened anew
	SupportDenied      SupportState = "denied"      // asked again after a pause that grows to an hour
	SupportFailing     SupportState = "failing"     // as denied
)

// Support says what one device tells of one reading.
type Support struct {
	Device  string
	Reading Reading
	// Metric is the metric that the reading gives; empty for one that counts towards hw.status only.
	Metric string
	// Attributes tell it from the other readings of that metric, such as "hw.gpu.task=encoder".
	Attributes string
	// Call names where NVIDIA's library tells it.
	Call  string
	State SupportState
	// Detail is the driver's word for why it does not.
	Detail string
}

// Pauses before a reading that was denied or that failed is asked for again.
const (
	minPause = time.Minute
	maxPause = time.Hour
	// failures in a row after which a reading is left alone for a while
	patience = 3
)

// support is what is known of one reading of one device.
type support struct {
	state    SupportState // empty means unknown
	detail   string
	failures int
	pause    time.Duration
	until    time.Time
}

// wanted tells whether to ask for the reading.
func (s *support) wanted(now time.Time) bool {
	switch s.state {
	case SupportUnsupported:
		return false
	case SupportDenied, SupportFailing:
		return !now.Before(s.until)
	default:
		return true
	}
}

func (s *support) good() { *s = support{state: Supported} }

func (s *support) missed(why Miss, detail string, now time.Time) {
	switch why {
	case NotSupported:
		*s = support{state: SupportUnsupported, detail: detail}
	case Denied:
		s.back(SupportDenied, detail, now)
	case Failed:
		if s.failures++; s.failures >= patience || s.state == SupportFailing {
			s.back(SupportFailing, detail, now)
		}
		s.detail = detail
	}
}

func (s *support) back(state SupportState, detail string, now time.Time) {
	s.state, s.detail = state, detail
	s.pause = min(max(s.pause*2, minPause), maxPause)
	s.until = now.Add(s.pause)
}
