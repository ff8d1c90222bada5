package watchdog_test

import (
	"fmt"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// A stream that hangs beside an engine whose port refuses connections.
func ExampleDiagnose() {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	findings := watchdog.Diagnose(watchdog.View{
		Now: now,
		Requests: []inflight.Status{{
			Info:         inflight.Info{TraceID: "0af7651916cd43dd8448eb211c80319c", Stream: true, Engine: "10.0.0.1:8000"},
			Phase:        inflight.PhaseDecode,
			LastProgress: now.Add(-time.Minute),
		}},
		Engines: []engine.Status{{
			Address: "10.0.0.1:8000", State: engine.Down, Since: now.Add(-50 * time.Second), EverUp: true, Err: "connection_refused",
		}},
	})
	for _, f := range findings {
		fmt.Println(f.Code, f.Requests)
		fmt.Println(f.Summary)
	}
	// Output:
	// engine_dead [0af7651916cd43dd8448eb211c80319c]
	// the engine at 10.0.0.1:8000 was up and is gone (connection_refused)
}
