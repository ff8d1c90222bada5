package otelvllm

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// Bucket boundaries. The first four are the advice of the GenAI conventions v1.41; the last two
// follow vLLM's own histograms (vllm/v1/metrics/loggers.py), which reach further than those.
var (
	bucketsDuration = []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	bucketsTokens   = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	bucketsTTFT     = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	bucketsTPOT     = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5}
	bucketsGap      = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	bucketsPhase    = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920}
	bucketsRate     = []float64{1, 2.5, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000}
)

// instruments holds every metric of this package. Each row says when its clock starts and stops.
type instruments struct {
	serverDuration, serverTTFT, serverTPOT     metric.Float64Histogram
	clientDuration, clientTTFC, clientPerChunk metric.Float64Histogram
	tokenUsage                                 metric.Int64Histogram
	gap, outputRate                            metric.Float64Histogram
	queue, prefill, decode, engineInit         metric.Float64Histogram
	active                                     metric.Int64UpDownCounter
	stalls, slo                                metric.Int64Counter
	meter                                      metric.Meter
}

func newInstruments(mp metric.MeterProvider) instruments {
	b := builder{mp.Meter(ScopeName, metric.WithInstrumentationVersion(Version), metric.WithSchemaURL(schemaURL))}
	return instruments{
		serverDuration: b.histogram("gen_ai.server.request.duration", "s", bucketsDuration,
			"Time from the arrival of a request to the last byte of its answer, as the server saw it."),
		serverTTFT: b.histogram("gen_ai.server.time_to_first_token", "s", bucketsTTFT,
			"Time from the arrival of a streamed request to its first content, for requests that completed."),
		serverTPOT: b.histogram("gen_ai.server.time_per_output_token", "s", bucketsTPOT,
			"Mean time per output token after the first, for streamed requests that completed."),
		clientDuration: b.histogram("gen_ai.client.operation.duration", "s", bucketsDuration,
			"Time from sending a request to the engine to the last byte of its answer, retries included."),
		clientTTFC: b.histogram("gen_ai.client.operation.time_to_first_chunk", "s", bucketsDuration,
			"Time from sending a streamed request to the first event of its answer."),
		clientPerChunk: b.histogram("gen_ai.client.operation.time_per_output_chunk", "s", bucketsDuration,
			"Time between two events with content of a streamed answer, as the client saw them."),
		tokenUsage: b.tokens("gen_ai.client.token.usage",
			"Input and output tokens of a request, as the engine reported them."),
		gap: b.histogram("vllm.request.inter_token_latency", "s", bucketsGap,
			"Time between two events with content of a streamed answer; an event may hold several tokens."),
		outputRate: b.histogram("vllm.request.output_rate", "{token}/s", bucketsRate,
			"Output tokens divided by the duration of the generation, for requests with two tokens or more."),
		queue: b.histogram("vllm.request.queue.duration", "s", bucketsPhase,
			"Time the request waited in the engine's queue, as the engine measured it."),
		prefill: b.histogram("vllm.request.prefill.duration", "s", bucketsPhase,
			"Time from scheduling the request to its first token, as the engine measured it."),
		decode: b.histogram("vllm.request.decode.duration", "s", bucketsPhase,
			"Time from the first token of the request to its last, as the engine measured it."),
		engineInit: b.histogram("vllm.engine.init.duration", "s", bucketsPhase,
			"Time a request waited for the engine to be ready."),
		meter: b.meter,
		stalls: b.counter("vllm.request.stalls", "{stall}",
			"Stalls: a request was silent for longer than the watchdog's threshold."),
		slo: b.counter("vllm.request.slo", "{request}",
			"Requests measured against the objectives of WithSLO, by objective and whether it was met."),
		active: b.upDown("vllm.request.active", "{request}",
			"Requests that have arrived and are not yet answered."),
	}
}

// builder makes instruments. A failure goes to the OpenTelemetry error handler and leaves a no-op
// in place: names are constants, so it can only be a conflict with another instrument of the user.
type builder struct{ meter metric.Meter }

func (b builder) histogram(name, unit string, buckets []float64, description string) metric.Float64Histogram {
	h, err := b.meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(buckets...))
	if err != nil {
		otel.Handle(err)
	}
	if h == nil {
		return noop.Float64Histogram{}
	}
	return h
}

func (b builder) tokens(name, description string) metric.Int64Histogram {
	h, err := b.meter.Int64Histogram(name, metric.WithUnit("{token}"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(bucketsTokens...))
	if err != nil {
		otel.Handle(err)
	}
	if h == nil {
		return noop.Int64Histogram{}
	}
	return h
}

func (b builder) upDown(name, unit, description string) metric.Int64UpDownCounter {
	c, err := b.meter.Int64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	if c == nil {
		return noop.Int64UpDownCounter{}
	}
	return c
}

// record makes the metrics of an ended call. ctx holds the request span, for exemplars, and is not
// cancelled: a caller who has left must not cost the record.
func (in *instruments) record(ctx context.Context, c *Call, side side, l *labels) {
	base := l.base(c)
	failed := base
	if c.ErrorType != "" {
		failed = l.withError(c)
	}
	streamed := c.Stream && c.Outcome == Completed
	if side.server {
		in.serverDuration.Record(ctx, c.Duration.Seconds(), failed...)
		if streamed && c.TimeToFirstToken > 0 {
			in.serverTTFT.Record(ctx, c.TimeToFirstToken.Seconds(), base...)
		}
		if d, ok := c.TimePerOutputToken(); ok && streamed {
			in.serverTPOT.Record(ctx, d.Seconds(), base...)
		}
	}
	if side.client {
		in.clientDuration.Record(ctx, side.clientDuration.Seconds(), failed...)
		if streamed && side.clientFirst > 0 {
			in.clientTTFC.Record(ctx, side.clientFirst.Seconds(), base...)
		}
	}
	if c.Usage.Input.Known {
		in.tokenUsage.Record(ctx, c.Usage.Input.N, l.withTokenType(c, tokenInput)...)
	}
	if c.Usage.Output.Known {
		in.tokenUsage.Record(ctx, c.Usage.Output.N, l.withTokenType(c, tokenOutput)...)
	}
	if rate, ok := c.OutputRate(); ok {
		in.outputRate.Record(ctx, rate, base...)
	}
	if c.Engine.Known {
		in.queue.Record(ctx, c.Engine.Queue.Seconds(), base...)
		in.prefill.Record(ctx, c.Engine.Prefill.Seconds(), base...)
		in.decode.Record(ctx, c.Engine.Decode.Seconds(), base...)
	}
}

// side says which sides of a call were seen: the server's (Middleware, Request) and the client's
// (Transport), with the two durations that only the client's side has.
type side struct {
	server, client              bool
	clientDuration, clientFirst time.Duration
}

func (b builder) counter(name, unit, description string) metric.Int64Counter {
	c, err := b.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
	}
	if c == nil {
		return noop.Int64Counter{}
	}
	return c
}
