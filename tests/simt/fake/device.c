/* The device: one H100 with less memory; and the emulator's launches, queued. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "simt/runtime.h"

enum { MULTIPROCESSORS = 132, MAJOR = 9, MINOR = 0, L2_BYTES = 50 << 20, DRIVER = CUDART_VERSION };

static int current;

static int devices(void) {
    const char *n = getenv("FAKE_DEVICES");
    return n ? atoi(n) : 1;
}

/* What CUDA the driver knows, 0: there is none. */
static int driver(void) {
    const char *version = getenv("FAKE_DRIVER");
    return devices() < 0 ? 0 : version ? atoi(version) : DRIVER;
}

/* Why there is no device to use, 0: there is one. Of a driver, the part before the point is what counts. */
static cudaError_t missing(void) {
    return driver() / 1000 < CUDART_VERSION / 1000 ? cudaErrorInsufficientDriver
           : devices() == 0                        ? cudaErrorNoDevice
                                                   : cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
    FAKE_CALL(cudaErrorInsufficientDriver)
    *count = missing() ? 0 : devices();
    return fake_leave(missing());
}

cudaError_t cudaSetDevice(int device) {
    FAKE_CALL(cudaErrorDevicesUnavailable)
    cudaError_t e = missing();
    if (!e && (device < 0 || device >= devices())) {
        e = cudaErrorInvalidDevice;
    }
    current = e ? current : device;
    return fake_leave(e);
}

cudaError_t cudaGetDevice(int *device) {
    FAKE_CALL(cudaErrorDevicesUnavailable)
    *device = current;
    return fake_leave(missing());
}

cudaError_t cudaInitDevice(int device, unsigned device_flags, unsigned flags) {
    FAKE_CALL(cudaErrorDevicesUnavailable)
    (void)device;
    (void)device_flags;
    (void)flags;
    return fake_leave(missing());
}

cudaError_t cudaSetDeviceFlags(unsigned flags) {
    FAKE_CALL(cudaErrorDevicesUnavailable)
    (void)flags;
    return fake_leave(missing());
}

cudaError_t cudaDeviceReset(void) {
    FAKE_CALL(cudaErrorLaunchFailure)
    fake_abuse("cudaDeviceReset takes the device from everybody else in the process");
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device) {
    FAKE_CALL(cudaErrorDevicesUnavailable)
    if (missing() || device < 0 || device >= devices()) {
        return fake_leave(missing() ? missing() : cudaErrorInvalidDevice);
    }
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated device");
    p->totalGlobalMem = fake_memory_limit_now();
    p->sharedMemPerBlock = SIMT_SHARED_STATIC;
    p->sharedMemPerBlockOptin = SIMT_SHARED_MAX;
    p->sharedMemPerMultiprocessor = SIMT_SHARED_MAX + 1024;
    p->reservedSharedMemPerBlock = 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = SIMT_WARP;
    p->maxThreadsPerBlock = SIMT_MAX_THREADS;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxBlocksPerMultiProcessor = 32;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 2147483647;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->multiProcessorCount = MULTIPROCESSORS;
    p->major = MAJOR;
    p->minor = MINOR;
    p->l2CacheSize = L2_BYTES;
    p->memoryBusWidth = 5120;
    p->asyncEngineCount = 3;
    p->concurrentKernels = p->unifiedAddressing = 1;
    return fake_leave(cudaSuccess);
}

typedef struct attribute {
    enum cudaDeviceAttr attr;
    int value;
} attribute;

static const attribute attributes[] = {
    {cudaDevAttrMultiProcessorCount, MULTIPROCESSORS},
    {cudaDevAttrComputeCapabilityMajor, MAJOR},
    {cudaDevAttrComputeCapabilityMinor, MINOR},
    {cudaDevAttrMaxThreadsPerBlock, SIMT_MAX_THREADS},
    {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
    {cudaDevAttrMaxBlocksPerMultiprocessor, 32},
    {cudaDevAttrMaxBlockDimX, 1024},
    {cudaDevAttrMaxBlockDimY, 1024},
    {cudaDevAttrMaxBlockDimZ, 64},
    {cudaDevAttrMaxGridDimX, 2147483647},
    {cudaDevAttrMaxGridDimY, 65535},
    {cudaDevAttrMaxGridDimZ, 65535},
    {cudaDevAttrMaxSharedMemoryPerBlock, SIMT_SHARED_STATIC},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, SIMT_SHARED_MAX},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, SIMT_SHARED_MAX + 1024},
    {cudaDevAttrReservedSharedMemoryPerBlock, 1024},
    {cudaDevAttrMaxRegistersPerBlock, 65536},
    {cudaDevAttrMaxRegistersPerMultiprocessor, 65536},
    {cudaDevAttrWarpSize, SIMT_WARP},
    {cudaDevAttrL2CacheSize, L2_BYTES},
    {cudaDevAttrMemoryClockRate, 2619000},
    {cudaDevAttrClockRate, 1980000},
    {cudaDevAttrGlobalMemoryBusWidth, 5120},
    {cudaDevAttrAsyncEngineCount, 3},
    {cudaDevAttrUnifiedAddressing, 1},
    {cudaDevAttrConcurrentKernels, 1},
    {cudaDevAttrMemoryPoolsSupported, 1},
    {cudaDevAttrIntegrated, 0},
    {cudaDevAttrComputeMode, 0},
};

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device) {
    FAKE_CALL(cudaErrorDevicesUnavailable)
    if (missing() || device < 0 || device >= devices()) {
        return fake_leave(missing() ? missing() : cudaErrorInvalidDevice);
    }
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (attributes[i].attr == attr) {
            *value = attributes[i].value;
            return fake_leave(cudaSuccess);
        }
    }
    fake_abuse("%s: attribute %d is not in the table of device.c", __func__, (int)attr);
}

cudaError_t cudaDriverGetVersion(int *version) {
    FAKE_CALL(cudaErrorInvalidValue)
    *version = driver();
    return fake_leave(cudaSuccess);
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    FAKE_CALL(cudaErrorInvalidValue)
    *version = CUDART_VERSION;
    return fake_leave(cudaSuccess);
}

typedef struct error_text {
    cudaError_t e;
    const char *name, *text;
} error_text;

static const error_text texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable", "CUDA-capable device(s) is/are busy or unavailable"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
};

static const error_text *text_of(cudaError_t e) {
    static const error_text other = {cudaErrorUnknown, "cudaErrorUnknown", "unrecognized error code"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].e == e) {
            return &texts[i];
        }
    }
    return &other;
}

const char *cudaGetErrorString(cudaError_t e) {
    return text_of(e)->text;
}

const char *cudaGetErrorName(cudaError_t e) {
    return text_of(e)->name;
}

/* --- kernels ------------------------------------------------------------------------------------------------------ */
cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attr, int value) {
    FAKE_CALL(cudaErrorInvalidDeviceFunction)
    if (attr == cudaFuncAttributePreferredSharedMemoryCarveout) {
        return fake_leave(cudaSuccess);
    }
    if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0) {
        return fake_leave(cudaErrorInvalidValue);
    }
    return fake_leave((cudaError_t)simt_shared_limit(kernel, (size_t)value));
}

static void run_launch(void *arg) {
    fake_count_executed();
    simt_run(arg);
}

static int launch(void *user, const simt_call *call) {
    (void)user;
    fake_lock();
    int asked = fake_enter("cudaLaunchKernelEx", cudaErrorLaunchFailure);
    if (!asked && !fake_sticky()) {
        size_t head = offsetof(simt_call, args);
        simt_call *kept = NULL;
        void *p = NULL;
        if (posix_memalign(&p, 16, sizeof *kept)) {
            fake_abuse("the host has no memory");
        }
        kept = p;
        memcpy(kept, call, head + call->signature->args_bytes);
        fake_issue(fake_stream("cudaLaunchKernelEx", call->stream), run_launch, free, kept);
    }
    return (int)fake_leave((cudaError_t)asked);
}

__attribute__((constructor)) static void take_launches(void) {
    simt_hook_set(launch, NULL);
}
