//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

// go-nvml calls NVML's functions as if they were linked and leaves them undefined in the program: a
// function that the driver lacks ends the process, and under LD_BIND_NOW=1, -z now or musl the
// program does not even start. So this file defines each of them, hidden inside the program, as a
// step that looks the driver's function up. The pointer is not kept, since it would dangle after
// the library was closed; the lookup takes about 100 ns.
//
// All functions take at most six arguments, integers or pointers, which the two supported
// processors pass in registers: passing six on passes any of them on.

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>

typedef int (*nvml_function)(long, long, long, long, long, long);

static nvml_function nvml_find(const char *name) { return (nvml_function)dlsym(RTLD_DEFAULT, name); }

#define HIDDEN __attribute__((visibility("hidden")))

// 13 is NVML_ERROR_FUNCTION_NOT_FOUND.
#define CALL(name) \
	HIDDEN int name(long a, long b, long c, long d, long e, long f); \
	int name(long a, long b, long c, long d, long e, long f) { \
		nvml_function p = nvml_find(#name); \
		return p ? p(a, b, c, d, e, f) : 13; \
	}

// A list of processes: go-nvml asks again with twice the room, without end, as long as the driver
// says that it has more. 20 is NVML_ERROR_MEMORY, at which it stops.
#define LIST(name) \
	HIDDEN int name(long device, unsigned int *count, void *infos); \
	int name(long device, unsigned int *count, void *infos) { \
		nvml_function p = nvml_find(#name); \
		if (!p) return 13; \
		if (*count > 32768) return 20; \
		return p(device, (long)count, (long)infos, 0, 0, 0); \
	}

#include "symbols.h"

HIDDEN const char *nvmlErrorString(int r);
const char *nvmlErrorString(int r) {
	const char *(*p)(int) = (const char *(*)(int))dlsym(RTLD_DEFAULT, "nvmlErrorString");
	return p ? p(r) : "";
}
*/
import "C"
