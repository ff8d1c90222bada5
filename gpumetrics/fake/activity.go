package fake

import (
	"math"
	"time"
)

// Activity is what a GPU does at one moment. The zero value is an idle GPU with empty memory.
type Activity struct {
	// Utilization is the share of time in which a kernel runs, from 0 to 1.
	Utilization float64
	// Work is how hard the kernels work, from 0, which is spinning or nothing, to 1, which draws all
	// the power that the card may.
	Work float64
	// Memory is the share of the memory that is used, from 0 to 1.
	Memory float64
	// Heat is what the card gets too warm by, in degrees, such as from a fan that failed.
	Heat float64
	// PowerBrake tells that the power supply holds the clock down.
	PowerBrake bool
}

// Load says what a GPU does at a time after its source was opened first. It is called from the
// goroutines that sample, also at the same time, and must not wait.
type Load func(after time.Duration) Activity

// Idle is a GPU that holds a model in its memory and has nothing to do.
func Idle(time.Duration) Activity { return Activity{Memory: 0.91} }

// Serve is a GPU of an engine under load: mostly busy, its power moving with batches and prompts.
func Serve(after time.Duration) Activity {
	t := after.Seconds()
	wave := 0.5*math.Sin(2*math.Pi*t/47) + 0.3*math.Sin(2*math.Pi*t/13.7) + 0.2*math.Sin(2*math.Pi*t/5.3)
	return Activity{Utilization: 0.95 + 0.04*wave, Work: 0.68 + 0.14*wave, Memory: 0.915 + 0.003*wave}
}

// Spin is a GPU whose kernels wait for a peer that does not come: busy all the time at little power.
func Spin(time.Duration) Activity { return Activity{Utilization: 1, Memory: 0.91} }

// Share makes a load of a share of full load that the program tells, from 0 to 1, such as whether its
// engine generates anything. It must be safe for concurrent use.
func Share(of func() float64) Load {
	return func(after time.Duration) Activity {
		share, busy, idle := clamp(of()), Serve(after), Idle(after)
		return Activity{
			Utilization: busy.Utilization * math.Sqrt(share), Work: busy.Work * share,
			Memory: idle.Memory + (busy.Memory-idle.Memory)*share,
		}
	}
}

// Shifted is the load as it is later by d: GPUs of a group with one load and different shifts do not
// tell the same numbers.
func Shifted(load Load, d time.Duration) Load {
	return func(after time.Duration) Activity { return load(after + d) }
}

func clamp(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, 0), 1)
}
