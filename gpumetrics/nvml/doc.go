// Package nvml reads NVIDIA GPUs through the driver's library, libnvidia-ml.so.1 (NVML).
//
//	monitor, err := gpumetrics.New(nvml.Source())
//
// It only reads: no function that changes a GPU is referenced. It loads the library when the source
// is opened, so a program that links this package starts and runs on machines without a GPU or a
// driver, whichever way it is linked and hardened: none of NVML's functions is left for the loader to
// find. Each is looked up before it is called, and a driver that lacks one costs the readings that
// need it and no more.
//
// A driver call can hang for ever, and nothing can end it. A hanging call keeps one thread; the calls
// of other GPUs go on beside it, Open and Close return when their context ends, the library is not
// shut down under it, and nothing that would hang as well is begun.
//
// What a GPU, a driver or the present mode does not have is absent, and asked for once. What cannot
// be, such as 4294967295 % or 0 W, is absent too.
//
// The package needs cgo and Linux on amd64 or arm64. Built otherwise, or with the tag nonvml, it
// compiles, and Open says that it was left out.
package nvml
