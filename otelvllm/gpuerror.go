package otelvllm

import (
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// gpuError puts an error that a GPU's driver reported while this call ran on its span: which GPU,
// NVIDIA's code, what it means and what NVIDIA says to do.
func (l *live) gpuError(e inflight.GPUError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.span.AddEvent("nvidia.gpu.xid", trace.WithTimestamp(e.At), trace.WithAttributes(
		semconv.HwID(clean(e.GPU, maxText)), keyXIDCode.Int(e.XID), keyXIDAction.String(clean(e.Action, maxText)), keyXIDName.String(clean(e.Name, maxText))))
}
