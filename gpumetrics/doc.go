// Package gpumetrics makes OpenTelemetry metrics of what GPUs tell: utilization, memory, temperature,
// power, energy, clocks, throttling, links, errors and the driver's own reports.
//
//	monitor, err := gpumetrics.New(nvml.Source())
//	go monitor.Run(ctx)
//
// It knows no vendor. A [Source] finds the devices; a [Monitor] samples each in the background and
// answers metric readers, [Monitor.Latest] and the ledgers of energy ([Monitor.NewLedger]) from
// memory. A machine without a GPU is a normal one: then nvidia.gpu.driver.state says why there is
// none, and there is nothing else.
//
// # What a driver call may cost
//
// A call of a GPU driver cannot be cancelled, and some never return. Each GPU has one goroutine that
// asks it, one call at a time: a GPU whose driver hangs costs one thread, however long it hangs and
// however often the monitor is started. After five seconds the GPU counts as wedged; where two GPUs
// are within a minute, or the driver reports that it broke down (XID 79 or 119), calls for all GPUs
// wait until one returns. The metric callback asks no driver, takes no lock that waits for one, and
// allocates nothing.
//
// # What is told
//
// The table of rows is the one place where readings, metrics and driver calls meet; [Surface] is made
// from it, and so is the table in README.md. What is unknown is absent, and never zero: a reading that
// the GPU lacks, that was denied, or that cannot be true. Gauges that are older than three intervals
// vanish; nvidia.gpu.up, hw.status, ages and counters stay. Counters are sums of ours that begin with
// 0 and go on over gaps, wraps and resets of the driver's counts, so that they are right with delta
// and with cumulative temporality.
package gpumetrics
