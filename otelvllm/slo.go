package otelvllm

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// SLO is what a request promises. A zero field promises nothing.
type SLO struct {
	// TimeToFirstToken is the longest time from arrival to the first content of a stream.
	TimeToFirstToken time.Duration
	// TimePerOutputToken is the longest mean time per output token after the first of a stream.
	TimePerOutputToken time.Duration
	// Total is the longest time from arrival to the last byte.
	Total time.Duration
}

// WithSLO measures each request against slo. The metric vllm.request.slo counts requests by
// objective and by whether it was met; the objective "all" is the goodput: requests that met every
// objective that applied to them. The request span gets vllm.request.slo.met.
//
// A request that failed, was cut off, ran into a deadline or found no engine has met nothing. One
// that was rejected, or whose caller left, does not count. Time to first token and time per output
// token apply to streams.
func WithSLO(slo SLO) Option { return func(c *config) { c.slo = slo } }

// Objectives, the values of vllm.slo.objective.
const (
	objectiveFirstToken = "time_to_first_token"
	objectivePerToken   = "time_per_output_token"
	objectiveTotal      = "total"
	objectiveAll        = "all"
)

// verdict is one objective and whether a call met it.
type verdict struct {
	objective string
	met       bool
}

// judge returns a verdict for each objective that applies to the call, and for all of them last;
// none if the call does not count or nothing is promised.
func (s SLO) judge(c *Call) []verdict {
	if s == (SLO{}) || c.Outcome == Rejected || c.Outcome == CallerLeft {
		return nil
	}
	failed := c.Outcome != Completed
	verdicts := make([]verdict, 0, 4)
	add := func(objective string, limit, took time.Duration, known bool) {
		if limit > 0 && (known || failed) {
			verdicts = append(verdicts, verdict{objective, !failed && took <= limit})
		}
	}
	perToken, known := c.TimePerOutputToken()
	add(objectiveFirstToken, s.TimeToFirstToken, c.TimeToFirstToken, c.Stream && c.TimeToFirstToken > 0)
	add(objectivePerToken, s.TimePerOutputToken, perToken, c.Stream && known)
	add(objectiveTotal, s.Total, c.Duration, !c.socket)
	if len(verdicts) == 0 {
		return nil
	}
	all := true
	for _, v := range verdicts {
		all = all && v.met
	}
	return append(verdicts, verdict{objectiveAll, all})
}

// recordSLO counts the verdicts. The model is the only other label: an objective is about it.
func (in *instruments) recordSLO(ctx context.Context, c *Call, verdicts []verdict, l *labels) {
	for _, v := range verdicts {
		kvs := []attribute.KeyValue{keySLOObjective.String(v.objective), keySLOMet.Bool(v.met)}
		if model := l.label(c.Model); model != "" {
			kvs = append(kvs, keyRequestModel.String(model))
		}
		in.slo.Add(ctx, 1, metric.WithAttributes(kvs...))
	}
}
