// Package otlp makes OpenTelemetry providers from the OTEL_* variables of the environment, with a
// delivery that counts what it cannot send. It is the only package of the library that imports the
// OpenTelemetry SDK; a service that has providers of its own does not need it.
//
//	telemetry, err := otlp.Setup(ctx, otlp.WithServiceName("my-gateway"))
//	if err != nil {
//		return err
//	}
//	defer telemetry.Shutdown(context.Background())
//
// # Delivery
//
// Unlike in the SDK's batch processors, spans and log records wait in a queue bounded by memory for as long as the
// collector does not take them, spans for OTLP compressed: an outage loses nothing until the queue is full, which takes half
// an hour at 50 requests a second. Then every lost item is counted, in [Telemetry.Lost] and in the metric
// vllm.telemetry.dropped, by error.type. What was made is what was delivered plus what was dropped, exactly.
//
// Text that is not UTF-8 is repaired and strings are cut at 4 KiB, so that one bad byte does not cost a batch. A batch that
// is too large is split. One that may itself be the reason why it is not taken, as after an HTTP status 500, is tried for
// half a minute and then dropped, so that it does not keep back all others. ForceFlush of the tracer provider sends at
// once what waits.
//
// A metric export that fails is no loss as long as another one follows, because the points are cumulative; it is one at
// Shutdown, and where OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE asks for deltas.
//
// # Variables
//
// OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER choose otlp (the default), console or none,
// and prometheus for metrics. OTEL_EXPORTER_OTLP_* say where to and how; with no endpoint it is
// http://localhost:4318, or http://localhost:4317 where OTEL_EXPORTER_OTLP_PROTOCOL is grpc. OTEL_BSP_* and OTEL_BLRP_*
// set delay, timeout and batch size; their queue sizes have no meaning here. With OTEL_CONFIG_FILE the providers are
// those of the file, with the SDK's own processors: the delivery described above does not apply to them.
package otlp
