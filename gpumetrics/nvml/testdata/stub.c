// A stand-in for NVIDIA's library, built and loaded by the tests. It plays eight H100s. The file that
// the environment variable NVML_STUB names controls it, with lines of key=value that are read at each
// call; the calls that tests count are appended to that file's name with ".log" behind it.
//
// With -DOLD it has only what a driver of 2018 had.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvml.h"

struct nvmlDevice_st {
	int gpu, instance; // instance is -1 for the GPU itself
};

enum { GPUS = 8, INSTANCES = 2 };

static struct nvmlDevice_st gpus[GPUS];
static struct nvmlDevice_st instances[GPUS][INSTANCES];

static long ctl(const char *key, long otherwise) {
	const char *path = getenv("NVML_STUB");
	if (!path) return otherwise;
	FILE *f = fopen(path, "r");
	if (!f) return otherwise;
	char line[128];
	size_t n = strlen(key);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, key, n) && line[n] == '=') otherwise = strtol(line + n + 1, NULL, 0);
	fclose(f);
	return otherwise;
}

static void say(const char *what) {
	char path[512];
	const char *control = getenv("NVML_STUB");
	if (!control) return;
	snprintf(path, sizeof path, "%s.log", control);
	FILE *f = fopen(path, "a");
	if (!f) return;
	fprintf(f, "%s\n", what);
	fclose(f);
}

static nvmlReturn_t ask(nvmlDevice_t d) {
	long bit = 1L << d.handle->gpu;
	if (ctl("hang", 0) & bit) {
		say("hang");
		while (ctl("hang", 0) & bit) usleep(5000);
	}
	if (ctl("lost", 0) & bit) return NVML_ERROR_GPU_IS_LOST;
	return (nvmlReturn_t)ctl("device", 0);
}

#define ASK(d) do { nvmlReturn_t r_ = ask(d); if (r_) return r_; } while (0)
#define ABSURD ctl("absurd", 0)

nvmlReturn_t nvmlInit_v2(void) {
	say("init");
	while (ctl("init_hang", 0)) usleep(5000);
	for (int g = 0; g < GPUS; g++) {
		gpus[g].gpu = g, gpus[g].instance = -1;
		for (int i = 0; i < INSTANCES; i++) instances[g][i].gpu = g, instances[g][i].instance = i;
	}
	return (nvmlReturn_t)ctl("init", 0);
}
nvmlReturn_t nvmlShutdown(void) { say("shutdown"); return NVML_SUCCESS; }
const char *nvmlErrorString(nvmlReturn_t r) { (void)r; say("errorstring"); return "an error"; }

static nvmlReturn_t put(char *to, unsigned int room, const char *text) {
	if (strlen(text) >= room) return NVML_ERROR_INSUFFICIENT_SIZE;
	strcpy(to, text);
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlSystemGetDriverVersion(char *v, unsigned int n) { return put(v, n, "590.48.01"); }
nvmlReturn_t nvmlSystemGetNVMLVersion(char *v, unsigned int n) { return put(v, n, "13.590.48.01"); }
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = 13010; return NVML_SUCCESS; }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *n) { *n = (unsigned)ctl("count", GPUS); return (nvmlReturn_t)ctl("count_ret", 0); }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int i, nvmlDevice_t *d) {
	if (i >= GPUS) return NVML_ERROR_INVALID_ARGUMENT;
	d->handle = &gpus[ctl("reverse", 0) ? GPUS - 1 - i : i];
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *u, unsigned int n) {
	ASK(d);
	char text[80];
	if (d.handle->instance < 0) snprintf(text, sizeof text, "GPU-0000000%d-1111-2222-3333-444444444444", d.handle->gpu);
	else snprintf(text, sizeof text, "MIG-0000000%d-%04ld-2222-3333-444444444444", d.handle->gpu, d.handle->instance + ctl("mig_generation", 0) * 10);
	return put(u, n, text);
}
nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t d, char *s, unsigned int n) {
	ASK(d);
	return put(s, n, d.handle->instance < 0 ? "NVIDIA H100 80GB HBM3" : "NVIDIA H100 80GB HBM3 MIG 3g.40gb");
}
nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *p) {
	ASK(d);
	memset(p, 0, sizeof *p);
	p->bus = 0x18 + (unsigned)d.handle->gpu;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m) {
	ASK(d);
	memset(m, 0, sizeof *m);
	m->total = 80ULL << 30, m->used = (20ULL << 30) + (500ULL << 20), m->free = m->total - m->used;
	if (ABSURD) m->total = m->used = m->free = ~0ULL;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t d, nvmlUtilization_t *u) {
	ASK(d);
	if (d.handle->instance >= 0) return NVML_ERROR_NOT_SUPPORTED;
	u->gpu = ABSURD ? ~0U : 97, u->memory = ABSURD ? ~0U : 41;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t d, nvmlTemperatureSensors_t s, unsigned int *t) {
	(void)s;
	ASK(d);
	*t = ABSURD ? 0 : 61;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t d, unsigned int *p) { ASK(d); *p = ABSURD ? 0 : 629000; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t d, nvmlClockType_t c, unsigned int *mhz) {
	ASK(d);
	*mhz = ABSURD ? ~0U : c == NVML_CLOCK_MEM ? 2619 : 1980;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t d, nvmlPstates_t *p) { ASK(d); *p = ABSURD ? NVML_PSTATE_UNKNOWN : NVML_PSTATE_0; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t d, unsigned long long *r) { ASK(d); *r = ABSURD ? ~0ULL : 0x4; return NVML_SUCCESS; }

// One process, or as many as the key says; with grow=1 always more than there is room for.
static nvmlReturn_t list(nvmlDevice_t d, unsigned int *n, nvmlProcessInfo_t *p) {
	ASK(d);
	say("list");
	unsigned int have = (unsigned)ctl("processes", 1);
	if (ctl("grow", 0)) return NVML_ERROR_INSUFFICIENT_SIZE;
	if (*n < have) { *n = have; return NVML_ERROR_INSUFFICIENT_SIZE; }
	for (unsigned int i = 0; i < have; i++) {
		memset(&p[i], 0, sizeof p[i]);
		p[i].pid = 4000 + i, p[i].usedGpuMemory = ABSURD ? ~0ULL : (70ULL << 30) + i;
	}
	*n = have;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned int *n, nvmlProcessInfo_t *p) { return list(d, n, p); }

static void number(nvmlFieldValue_t *v, unsigned long long n) {
	v->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, v->value.ullVal = n;
	v->timestamp = 1, v->latencyUsec = 7;
}

static unsigned long long now(void) { // milliseconds of a clock that tests can set
	return (unsigned long long)ctl("clock", 1000);
}

static void fill(nvmlDevice_t d, nvmlFieldValue_t *v) {
	v->nvmlReturn = NVML_SUCCESS;
	switch (v->fieldId) {
	case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: number(v, now() * 600); break;
	case NVML_FI_DEV_POWER_INSTANT:
		if (v->scopeId) { v->nvmlReturn = NVML_ERROR_NOT_SUPPORTED; break; }
		v->valueType = NVML_VALUE_TYPE_UNSIGNED_INT, v->value.uiVal = 629000, v->timestamp = 1;
		break;
	case NVML_FI_DEV_POWER_AVERAGE:
		if (v->scopeId == 1) { v->nvmlReturn = NVML_ERROR_NOT_SUPPORTED; break; }
		v->valueType = NVML_VALUE_TYPE_UNSIGNED_INT, v->value.uiVal = v->scopeId ? 85800 : 620000, v->timestamp = 1;
		break;
	case NVML_FI_DEV_POWER_CURRENT_LIMIT: case NVML_FI_DEV_POWER_REQUESTED_LIMIT:
	case NVML_FI_DEV_POWER_DEFAULT_LIMIT: case NVML_FI_DEV_POWER_MAX_LIMIT: number(v, 700000); break;
	case NVML_FI_DEV_POWER_MIN_LIMIT: number(v, 200000); break;
	case NVML_FI_DEV_MEMORY_TEMP: number(v, 72); break;
	case NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT:
		v->valueType = NVML_VALUE_TYPE_SIGNED_INT, v->value.siVal = -8, v->timestamp = 1;
		break;
	case NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT:
		v->valueType = NVML_VALUE_TYPE_SIGNED_INT, v->value.siVal = -2, v->timestamp = 1;
		break;
	case NVML_FI_DEV_PERF_POLICY_POWER: number(v, now() * 1000); break;
	case NVML_FI_DEV_PCIE_REPLAY_COUNTER:
		v->valueType = NVML_VALUE_TYPE_UNSIGNED_INT, v->value.uiVal = 9, v->timestamp = 1;
		break;
	case NVML_FI_DEV_NVLINK_LINK_COUNT: number(v, 18); break;
	case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX: case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
		number(v, v->scopeId == 0xFFFFFFFFU ? now() * 18 : now());
		break;
	case NVML_FI_DEV_NVLINK_GET_STATE: number(v, v->scopeId != 17); break;
	case NVML_FI_DEV_NVLINK_GET_SPEED: number(v, 26562); break;
	case NVML_FI_DEV_ECC_SBE_VOL_TOTAL: number(v, 3); break;
	case NVML_FI_DEV_ECC_DBE_VOL_TOTAL: // NVIDIA's bug 2009232: "good", and never filled in
		v->valueType = NVML_VALUE_TYPE_DOUBLE, v->timestamp = v->latencyUsec = 0, v->value.dVal = 0;
		break;
	case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: number(v, (unsigned long long)ctl("recovery", 0)); break;
	case NVML_FI_DEV_REMAPPED_COR: number(v, 11); break;
	default: v->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
	}
	if (ABSURD && v->nvmlReturn == NVML_SUCCESS) number(v, ~0ULL);
	if (ctl("denied", 0)) v->nvmlReturn = NVML_ERROR_NO_PERMISSION;
	if (ctl("lost_field", 0)) v->nvmlReturn = NVML_ERROR_GPU_IS_LOST;
	(void)d;
}
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t d, int n, nvmlFieldValue_t *v) {
	ASK(d);
	char what[32];
	snprintf(what, sizeof what, "fields %d", n);
	say(what);
	for (int i = 0; i < n; i++) fill(d, &v[i]);
	return NVML_SUCCESS;
}

#ifndef OLD
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *m) {
	ASK(d);
	if (m->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	m->total = 80ULL << 30, m->reserved = 500ULL << 20, m->used = d.handle->instance < 0 ? 20ULL << 30 : 5ULL << 30;
	m->free = m->total - m->used - m->reserved;
	if (ABSURD) m->total = m->used = m->free = ~0ULL;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t d, unsigned long long *r) { ASK(d); *r = ABSURD ? ~0ULL : 0x24; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMarginTemperature(nvmlDevice_t d, nvmlMarginTemperature_t *m) { ASK(d); m->marginTemperature = ABSURD ? 1 << 30 : 25; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned int *current, unsigned int *pending) {
	ASK(d);
	*current = *pending = ctl("mig", 0) >> d.handle->gpu & 1;
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t d, unsigned int *n) { ASK(d); *n = 7; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t d, unsigned int i, nvmlDevice_t *m) {
	ASK(d);
	if (i >= INSTANCES) return NVML_ERROR_NOT_FOUND;
	m->handle = &instances[d.handle->gpu][i];
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t d, unsigned int *id) { ASK(d); *id = 1 + (unsigned)d.handle->instance; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t d, unsigned int *id) { ASK(d); *id = 0; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t d, unsigned long long *t) { ASK(d); *t = (unsigned long long)ctl("event_types", 0x1f); return NVML_SUCCESS; }
nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *s) { say("set"); s->handle = (void *)gpus; return (nvmlReturn_t)ctl("set", 0); }
nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t s) { (void)s; say("free"); return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, nvmlEventSet_t s) {
	(void)s;
	ASK(d);
	char what[64];
	snprintf(what, sizeof what, "register %d %#llx", d.handle->gpu, types);
	say(what);
	return NVML_SUCCESS;
}
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t s, nvmlEventData_t *e, unsigned int ms) {
	(void)s;
	static long seen;
	long problem = ctl("wait", 0), xid = ctl("xid", 0), sequence = ctl("sequence", 1);
	say("wait");
	if (problem) return (nvmlReturn_t)problem;
	if (!xid || seen == sequence) { usleep(ms * 1000); return NVML_ERROR_TIMEOUT; }
	seen = sequence;
	memset(e, 0, sizeof *e);
	e->device.handle = &gpus[ctl("xid_gpu", 0)];
	e->eventType = nvmlEventTypeXidCriticalError, e->eventData = (unsigned long long)xid;
	return NVML_SUCCESS;
}
struct nvmlGpmSample_st { int taken; };
nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t d, nvmlGpmSupport_t *s) { ASK(d); s->isSupportedDevice = 1; return NVML_SUCCESS; }
nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *s) { say("alloc"); s->handle = calloc(1, sizeof *s->handle); return NVML_SUCCESS; }
nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t s) { say("gpm free"); free(s.handle); return NVML_SUCCESS; }
nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t d, nvmlGpmSample_t s) { ASK(d); s.handle->taken++; return NVML_SUCCESS; }
nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t d, unsigned int gi, nvmlGpmSample_t s) { ASK(d); s.handle->taken += (int)gi; return NVML_SUCCESS; }
nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *g) {
	if (!g->sample1.handle->taken || !g->sample2.handle->taken) return NVML_ERROR_INVALID_ARGUMENT;
	for (unsigned int i = 0; i < g->numMetrics; i++) {
		g->metrics[i].nvmlReturn = NVML_SUCCESS;
		g->metrics[i].value = ABSURD ? 0.0 / 0.0 : 2 * g->metrics[i].metricId;
	}
	return NVML_SUCCESS;
}
#endif
