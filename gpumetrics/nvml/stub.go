//go:build !linux || !cgo || nonvml || !(amd64 || arm64)

package nvml

import "github.com/otelvllm/otelvllm-go/gpumetrics"

// load says that this program was built without the part that speaks to the driver.
func load(string) (library, error) {
	return nil, &gpumetrics.UnavailableError{
		State: gpumetrics.DriverNotCompiled, Terminal: true,
		Text: "this program was built without NVML; build it for linux on amd64 or arm64 with CGO_ENABLED=1 and without the tag nonvml",
	}
}
