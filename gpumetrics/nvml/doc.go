// Package nvml reads NVIDIA GPUs through the driver's library, libnvidia-ml.so.1 (NVML).
//
// It only reads: no function that changes a GPU is referenced. It loads the library when the source
// is opened, so a program that links this package starts and runs on machines without a GPU or a
// driver. Each function of NVML is looked up before it is called: a driver that lacks one costs the
// readings that need it and no more.
//
// The package needs cgo and Linux on amd64 or arm64. Built otherwise, or with the tag nonvml, it
// compiles, and Open says that it was left out.
package nvml
