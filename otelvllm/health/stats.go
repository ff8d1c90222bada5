package health

import (
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// Stats is the health document. Its JSON form is stable: members may be added, and none is renamed
// or removed. A nil pointer or slice is null and means that the value is not known. Memory is in
// MiB (2^20 bytes), as nvidia-smi counts it; percentages run from 0 to 100.
type Stats struct {
	// Timestamp is when the document was made, in UTC.
	Timestamp time.Time `json:"timestamp"`

	// Running, Waiting and Swapped are the requests in the engine's scheduler, summed over the
	// ranks of all engines whose reading is not too old.
	Running *int64 `json:"num_running_requests"`
	Waiting *int64 `json:"num_waiting_requests"`
	Swapped *int64 `json:"num_swapped_requests"`
	// GPUCachePercent and CPUCachePercent are how full the KV cache is, at the fullest rank.
	GPUCachePercent *float64 `json:"gpu_cache_usage_percent"`
	CPUCachePercent *float64 `json:"cpu_cache_usage_percent"`

	// SystemRAMUsedMB, SystemRAMTotalMB and SystemRAMPercent are the memory of this host.
	SystemRAMUsedMB  *float64 `json:"system_ram_used_mb"`
	SystemRAMTotalMB *float64 `json:"system_ram_total_mb"`
	SystemRAMPercent *float64 `json:"system_ram_percent"`
	// ProcessRAMMB is the resident memory of this process, which is not the engine's.
	ProcessRAMMB *float64 `json:"process_ram_mb"`

	// GPUs is null where nobody reads GPUs, and empty where there are none.
	GPUs []GPUStats `json:"gpu_stats"`

	// ActiveThreads are the operating system's threads of this process.
	ActiveThreads *int64 `json:"active_threads"`
	Goroutines    int    `json:"goroutines"`
	// PendingTasks are the requests that run through this process now.
	PendingTasks *int64 `json:"pending_tasks"`

	// EngineInitialized is true if at least one engine has loaded its model and runs, be it asleep
	// or wedged, and false if it is known of an engine that it has not, and of none that it has.
	EngineInitialized *bool `json:"engine_initialized"`
	// EngineAgeSeconds is the age of the engine's last good reading; of several engines, the oldest.
	EngineAgeSeconds *float64 `json:"engine_age_seconds"`
	// ModelName is the model that the engine serves. Several are separated by a comma and a space.
	ModelName *string `json:"model_name"`
	// EngineProcesses are the engine's processes on this host: null if there are none to be seen
	// from here, or nobody looked for them because [Source.Run] does not run.
	EngineProcesses []Process `json:"engine_processes"`

	// Findings is what holds requests up, root causes first; null where no watchdog runs.
	Findings []watchdog.Finding `json:"findings"`

	// Engines is what the numbers above were made of. It is not in the document.
	Engines []engine.Status `json:"-"`
	// OutputRate is how many tokens per second the engines generate, between the last two readings
	// of each. It is not in the document.
	OutputRate *float64 `json:"-"`
}

// GPUStats is one GPU, or one part of a GPU that is divided. A nil pointer is null and means that
// the driver does not tell.
type GPUStats struct {
	// ID is the index by which tools name the GPU, such as "0".
	ID   string  `json:"id"`
	UUID *string `json:"uuid"`
	Name *string `json:"name"`
	// State is "ok", "degraded", "failed" or "predicted_failure", as the attribute hw.state; "lost"
	// where the driver has lost the GPU, and "wedged" where it does not answer for it.
	State *string `json:"state"`
	// Memory is in MiB and percent of the total.
	MemoryUsedMB  *float64 `json:"memory_used_mb"`
	MemoryTotalMB *float64 `json:"memory_total_mb"`
	MemoryPercent *float64 `json:"memory_percent"`
	// Utilization is the share of time in which the GPU ran anything at all, in percent.
	Utilization *float64 `json:"gpu_utilization"`
	// Temperature of the core, in degrees Celsius.
	Temperature *float64 `json:"temperature_celsius"`
	// Power that is drawn and the limit that is enforced, in watts.
	Power      *float64 `json:"power_watts"`
	PowerLimit *float64 `json:"power_limit_watts"`
	// Throttled tells that the GPU runs slower than it could, for heat or power.
	Throttled *bool `json:"throttled"`
	// XID is the number of the driver's last error report. Zero means there was none.
	XID *int `json:"xid"`
}

// Process is a process of an engine on this host.
type Process struct {
	PID int32 `json:"pid"`
	// Role is "api_server", "engine_core" or "worker", else "other".
	Role string `json:"role"`
	// Name is the title that vLLM gives the process, such as "VLLM::Worker_TP0"; the API server's
	// is the program's name.
	Name    string   `json:"name"`
	RAMMB   *float64 `json:"ram_mb"`
	Threads *int64   `json:"threads"`
}
