/* A driver library for tests: it answers what a small text file says, one "key value" a line.

   driver.init 0            result of nvmlInit
   driver.count 2           number of GPUs
   gpu0.power 250500        what the power call returns, in the driver's unit
   gpu0.power.error 3       or the error that it returns instead
   gpu0.error 15            every call about this GPU fails so
   A figure that is not in the file is NVML_ERROR_NOT_SUPPORTED. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3 };

typedef struct { int index; } Device;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned sensor; int temperature; } TemperatureV1;

static Device devices[8] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};

static int find(const char *key, unsigned long long *value)
{
    const char *path = getenv("TORCHGLASS_STUB_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256], name[128];
    unsigned long long number;
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

static int ask(Device *device, const char *what, unsigned long long *value)
{
    char key[128];
    unsigned long long error;
    snprintf(key, sizeof key, "gpu%d.error", device->index);
    if (find(key, &error))
        return (int)error;
    snprintf(key, sizeof key, "gpu%d.%s.error", device->index, what);
    if (find(key, &error))
        return (int)error;
    snprintf(key, sizeof key, "gpu%d.%s", device->index, what);
    return find(key, value) ? SUCCESS : NOT_SUPPORTED;
}

static int ask_unsigned(Device *device, const char *what, unsigned *value)
{
    unsigned long long found = 0;
    int result = ask(device, what, &found);
    *value = (unsigned)found;
    return result;
}

int nvmlInitWithFlags(unsigned flags)
{
    unsigned long long result = 0;
    (void)flags;
    find("driver.init", &result);
    return (int)result;
}

int nvmlShutdown(void) { return SUCCESS; }

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
    unsigned long long found = 0;
    find("driver.count", &found);
    *count = (unsigned)found;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device)
{
    char key[64];
    unsigned long long error;
    snprintf(key, sizeof key, "gpu%u.handle.error", index);
    *device = &devices[index];
    return find(key, &error) ? (int)error : SUCCESS;
}

int nvmlDeviceGetName(Device *device, char *name, unsigned length)
{
    snprintf(name, length, "Stub GPU %d", device->index);
    return SUCCESS;
}

int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned length)
{
    snprintf(uuid, length, "GPU-0000-%d", device->index);
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device *device, Utilization *rates)
{
    int result = ask_unsigned(device, "utilization", &rates->gpu);
    return result ? result : ask_unsigned(device, "memory_utilization", &rates->memory);
}

int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory)
{
    int result = ask(device, "memory_total", &memory->total);
    result = result ? result : ask(device, "memory_used", &memory->used);
    memory->free = memory->total - memory->used;
    return result;
}

#ifndef WITHOUT_POWER
int nvmlDeviceGetPowerUsage(Device *device, unsigned *milliwatts)
{
    return ask_unsigned(device, "power", milliwatts);
}
#endif

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
