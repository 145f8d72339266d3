/* A driver library for tests: it answers what a small text file says, one "key value" a line.

   driver.init 0            result of nvmlInit
   driver.count 2           number of GPUs
   gpu0.power 250500        what the power call returns, in the driver's unit
   gpu0.power.error 3       or the error that it returns instead
   gpu0.error 15            every call about this GPU fails so
   gpu0.field83 5000        a numbered field; gpu0.field83.type says its value type (3, unsigned 64 bits)
   gpu0.process0.pid 77     a process; gpu0.processes says how many
   gpu0.power.hang 1        the call does not return until that is out of the file again
   gpu0.mig 1               MIG is on; gpu0.migs 2 places, gpu0.mig1.exists 1, gpu0.mig1.memory_used ...
   gpu0.gpm 1               GPM is there; gpu0.gpm.at 5 a moment, gpu0.gpm2 61500 thousandths of metric 2 since another
   A figure that is not in the file is NVML_ERROR_NOT_SUPPORTED. -DWITHOUT_POWER leaves the power call out, and so on. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
enum { VERSION_MISMATCH = 25, GPUS = 8, PARTS = 8, FIRST_INSTANCE = 11 };

typedef unsigned long long Number;
typedef struct { char name[32]; int gpu, part; } Device;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { Number total, free, used; } Memory;
typedef struct { unsigned version; Number total, reserved, free, used; } MemoryV2;
typedef struct { unsigned version; unsigned sensor; int temperature; } TemperatureV1;
typedef struct { Number reference, violation; } Violation;
typedef union { double d; unsigned ui; unsigned long ul; Number ull; long long sll; int si; unsigned short us; } Value;
typedef struct { unsigned id, scope; long long when, latency; int type, result; Value value; } FieldValue;
typedef struct { unsigned pid; Number memory; unsigned gpu_instance, compute_instance; } Process;
typedef struct { Device *device; Number at; } Sample;
typedef struct { unsigned id; int result; double value; const char *names[3]; } Metric;
typedef struct { unsigned version, count; Sample *first, *second; Metric metrics[]; } Metrics;

static Device gpus[GPUS], parts[GPUS][PARTS];
static int open_count;

static int find(const char *key, Number *value)
{
    const char *path = getenv("TORCHGLASS_STUB_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256], name[128];
    Number number;
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file))
        if (sscanf(line, "%127s %llu", name, &number) == 2 && strcmp(name, key) == 0) {
            *value = number;
            found = 1;
        }
    if (file)
        fclose(file);
    return found;
}

static int failing(Device *device, const char *what)
{
    char key[128];
    Number error;
    if (!open_count)
        return UNINITIALIZED;
    snprintf(key, sizeof key, "gpu%d.error", device->gpu);
    if (find(key, &error))
        return (int)error;
    snprintf(key, sizeof key, "%s.%s.error", device->name, what);
    return find(key, &error) ? (int)error : SUCCESS;
}

static int ask(Device *device, const char *what, Number *value)
{
    char key[128];
    int result = failing(device, what);
    if (result)
        return result;
    snprintf(key, sizeof key, "%s.%s.hang", device->name, what);
    while (find(key, value))
        usleep(1000);
    snprintf(key, sizeof key, "%s.%s", device->name, what);
    return find(key, value) ? SUCCESS : NOT_SUPPORTED;
}

static int ask_unsigned(Device *device, const char *what, unsigned *value)
{
    Number found = 0;
    int result = ask(device, what, &found);
    *value = (unsigned)found;
    return result;
}

int nvmlInitWithFlags(unsigned flags)
{
    Number result = 0;
    (void)flags;
    find("driver.init", &result);
    open_count += result == SUCCESS;
    return (int)result;
}

int nvmlShutdown(void)
{
    if (!open_count)
        return UNINITIALIZED;
    open_count--;
    return SUCCESS;
}

const char *nvmlErrorString(int result)
{
    switch (result) {
    case 3: return "Not Supported";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    default: return "Something Else";
    }
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    Number found = 0;
    find("driver.count", &found);
    *count = (unsigned)found;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device)
{
    char key[64];
    Number error;
    snprintf(key, sizeof key, "gpu%u.handle.error", index);
    *device = &gpus[index];
    snprintf(gpus[index].name, sizeof gpus[index].name, "gpu%u", index);
    gpus[index].gpu = (int)index;
    gpus[index].part = -1;
    return find(key, &error) ? (int)error : SUCCESS;
}

int nvmlDeviceGetName(Device *device, char *name, unsigned length)
{
    Number model = 0;
    ask(device, "model", &model);
    if (model)
        snprintf(name, length, "Stub GPU of model %llu", model);
    else
        snprintf(name, length, "Stub GPU");
    return failing(device, "name");
}

int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned length)
{
    if (device->part < 0)
        snprintf(uuid, length, "GPU-0000-%d", device->gpu);
    else
        snprintf(uuid, length, "MIG-1111-%d-%d", device->gpu, device->part);
    return failing(device, "uuid");
}

int nvmlDeviceGetUtilizationRates(Device *device, Utilization *rates)
{
    int result = ask_unsigned(device, "utilization", &rates->gpu);
    return result ? result : ask_unsigned(device, "memory_utilization", &rates->memory);
}

/* The first version counts what the driver keeps for itself as used, as real drivers do. */
int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory)
{
    Number reserved = 0;
    int result = ask(device, "memory_total", &memory->total);
    result = result ? result : ask(device, "memory_used", &memory->used);
    ask(device, "memory_reserved", &reserved);
    memory->used += reserved;
    memory->free = memory->total - memory->used;
    return result;
}

#ifndef WITHOUT_MEMORY_V2
int nvmlDeviceGetMemoryInfo_v2(Device *device, MemoryV2 *memory)
{
    int result = memory->version == 0x02000028 ? SUCCESS : VERSION_MISMATCH;
    result = result ? result : ask(device, "memory_total", &memory->total);
    result = result ? result : ask(device, "memory_used", &memory->used);
    return result ? result : ask(device, "memory_reserved", &memory->reserved);
}
#endif

#ifndef WITHOUT_POWER
int nvmlDeviceGetPowerUsage(Device *device, unsigned *milliwatts)
{
    return ask_unsigned(device, "power", milliwatts);
}
#endif

int nvmlDeviceGetEnforcedPowerLimit(Device *device, unsigned *milliwatts)
{
    return ask_unsigned(device, "power_limit", milliwatts);
}

#ifndef WITHOUT_TEMPERATURE_V
int nvmlDeviceGetTemperatureV(Device *device, TemperatureV1 *temperature)
{
    unsigned found = 0;
    int result = ask_unsigned(device, "temperature_v", &found);
    temperature->temperature = (int)found;
    return result;
}
#endif

int nvmlDeviceGetTemperature(Device *device, int sensor, unsigned *celsius)
{
    (void)sensor;
    return ask_unsigned(device, "temperature", celsius);
}

int nvmlDeviceGetClockInfo(Device *device, int type, unsigned *megahertz)
{
    return ask_unsigned(device, type == 1 ? "sm_clock" : type == 2 ? "memory_clock" : "other_clock", megahertz);
}

static int engine(Device *device, const char *what, unsigned *percent, unsigned *microseconds)
{
    *microseconds = 167000;
    return ask_unsigned(device, what, percent);
}

int nvmlDeviceGetEncoderUtilization(Device *device, unsigned *percent, unsigned *period)
{
    return engine(device, "encoder", percent, period);
}

int nvmlDeviceGetDecoderUtilization(Device *device, unsigned *percent, unsigned *period)
{
    return engine(device, "decoder", percent, period);
}

int nvmlDeviceGetJpgUtilization(Device *device, unsigned *percent, unsigned *period)
{
    return engine(device, "jpeg", percent, period);
}

int nvmlDeviceGetOfaUtilization(Device *device, unsigned *percent, unsigned *period)
{
    return engine(device, "optical_flow", percent, period);
}

int nvmlDeviceGetBAR1MemoryInfo(Device *device, Memory *memory)
{
    return ask(device, "bar1_used", &memory->used); /* total, free, used, as for the board's memory */
}

int nvmlDeviceGetConfComputeProtectedMemoryUsage(Device *device, Memory *memory)
{
    return ask(device, "protected_used", &memory->used);
}

int nvmlDeviceGetTotalEccErrors(Device *device, int type, int counter, Number *count)
{
    return counter == 1 ? ask(device, type ? "double_bit" : "single_bit", count) : INVALID_ARGUMENT;
}

int nvmlDeviceGetPcieReplayCounter(Device *device, unsigned *count)
{
    return ask_unsigned(device, "replays", count);
}

#ifndef WITHOUT_EVENT_REASONS
int nvmlDeviceGetCurrentClocksEventReasons(Device *device, Number *reasons)
{
    return ask(device, "reasons", reasons);
}
#endif

int nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, Number *reasons)
{
    return ask(device, "old_reasons", reasons);
}

int nvmlDeviceGetTotalEnergyConsumption(Device *device, Number *millijoules)
{
    return ask(device, "old_energy", millijoules);
}

int nvmlDeviceGetViolationStatus(Device *device, int policy, Violation *status)
{
    return ask(device, policy ? "old_thermal_violation" : "old_power_violation", &status->violation);
}

#ifndef WITHOUT_FIELDS
static void put(FieldValue *field, Number number)
{
    switch (field->type) {
    case 0: field->value.d = (double)number; break;
    case 1: field->value.ui = (unsigned)number; break;
    case 5: field->value.si = (int)number; break;
    case 6: field->value.us = (unsigned short)number; break;
    default: field->value.ull = number;
    }
}

int nvmlDeviceGetFieldValues(Device *device, int count, FieldValue *fields)
{
    for (FieldValue *field = fields; field < fields + count; field++) {
        int needs_link = field->id == 138 || field->id == 139;
        char what[32];
        Number number = 0, type = 3;
        memset(&field->value, 0xAA, sizeof field->value); /* so that reading the wrong member shows */
        snprintf(what, sizeof what, "field%u.type", field->id);
        ask(device, what, &type);
        field->type = (int)type;
        snprintf(what, sizeof what, "field%u", field->id);
        field->result = needs_link != (field->scope == UINT_MAX) ? INVALID_ARGUMENT : ask(device, what, &number);
        put(field, number);
    }
    return failing(device, "fields");
}
#endif

static int list(Device *device, unsigned *count, Process *processes)
{
    Number listed = 0, pid = 0;
    int result = ask(device, "processes", &listed);
    if (result || (!processes && listed == 0)) {
        *count = 0;
        return result;
    }
    if (*count < listed || !processes) {
        *count = (unsigned)listed;
        return INSUFFICIENT_SIZE;
    }
    *count = (unsigned)listed;
    for (unsigned place = 0; place < listed; place++) {
        char what[32];
        snprintf(what, sizeof what, "process%u.pid", place);
        ask(device, what, &pid);
        processes[place].pid = (unsigned)pid;
        snprintf(what, sizeof what, "process%u.memory", place);
        if (ask(device, what, &processes[place].memory))
            processes[place].memory = ULLONG_MAX; /* what drivers say for "not available" */
    }
    return SUCCESS;
}

#ifndef WITHOUT_PROCESSES_V3
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *count, Process *processes)
{
    return list(device, count, processes);
}
#endif

int nvmlDeviceGetComputeRunningProcesses_v2(Device *device, unsigned *count, Process *processes)
{
    return list(device, count, processes);
}

int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending)
{
    int result = ask_unsigned(device, "mig", current);
    *pending = *current;
    return result;
}

int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *count)
{
    return ask_unsigned(device, "migs", count);
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **found)
{
    Device *part = &parts[device->gpu][index];
    Number exists = 0;
    snprintf(part->name, sizeof part->name, "gpu%d.mig%u", device->gpu, index);
    part->gpu = device->gpu;
    part->part = (int)index;
    *found = part;
    return ask(part, "exists", &exists) == SUCCESS && exists ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(Device *device, unsigned *id)
{
    *id = (unsigned)device->part + FIRST_INSTANCE;
    return SUCCESS;
}

int nvmlDeviceGetComputeInstanceId(Device *device, unsigned *id)
{
    (void)device;
    *id = 0;
    return SUCCESS;
}

#ifndef WITHOUT_GPM
int nvmlGpmQueryDeviceSupport(Device *device, unsigned *support)
{
    int result = ask_unsigned(device, "gpm", &support[1]);
    return result == NOT_SUPPORTED ? SUCCESS : result; /* an older GPU answers: not supported */
}

int nvmlGpmSampleAlloc(Sample **sample)
{
    *sample = calloc(1, sizeof **sample);
    return SUCCESS;
}

int nvmlGpmSampleFree(Sample *sample)
{
    free(sample);
    return SUCCESS;
}

int nvmlGpmSampleGet(Device *device, Sample *sample)
{
    sample->device = device;
    return ask(device, "gpm.at", &sample->at);
}

int nvmlGpmMigSampleGet(Device *device, unsigned gpu_instance, Sample *sample)
{
    sample->device = &parts[device->gpu][gpu_instance - FIRST_INSTANCE];
    return ask(sample->device, "gpm.at", &sample->at);
}

/* Wants the later sample second, as the real one does. */
int nvmlGpmMetricsGet(Metrics *wanted)
{
    if (wanted->version != 1 || wanted->second->device != wanted->first->device || wanted->second->at <= wanted->first->at)
        return INVALID_ARGUMENT;
    for (Metric *metric = wanted->metrics; metric < wanted->metrics + wanted->count; metric++) {
        char what[32];
        Number thousandths = 0;
        snprintf(what, sizeof what, "gpm%u", metric->id);
        metric->result = ask(wanted->second->device, what, &thousandths);
        metric->value = (double)thousandths / 1000;
    }
    return SUCCESS;
}
#endif
