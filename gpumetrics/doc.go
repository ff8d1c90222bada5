// Package gpumetrics makes OpenTelemetry metrics of what GPUs tell: utilization, memory, temperature,
// power, energy, clocks, throttling, links, errors and the driver's own reports.
//
// It knows no vendor. A [Source] finds the devices; a monitor samples each in the background and
// answers metric readers from memory.
package gpumetrics
