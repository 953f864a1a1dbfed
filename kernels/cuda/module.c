/* module.c - mambaseq-cuda.so: the one table that the program looks for, and what it can know before a context. */
#include <stdio.h>

#include "cuda/context.h"
#include "cuda/module.h"

/* "13.0" of 13000. */
static void put_version(int version, char out[16]) {
    (void)snprintf(out, 16, "%d.%d", version / 1000 % 1000, version % 1000 / 10);
}

/* The runtime has one error for no driver and an old one. */
static void say_driver(char *why, size_t room) {
    char driver[16];
    char built[16];
    int has = 0;
    int wants = 0;
    if (cudaDriverGetVersion(&has) != cudaSuccess || has == 0) {
        (void)snprintf(why, room, "no NVIDIA driver is installed");
        return;
    }
    (void)cudaRuntimeGetVersion(&wants);
    put_version(has, driver);
    put_version(wants, built);
    (void)snprintf(why, room, "the NVIDIA driver is too old: it knows CUDA %s, and %s is needed", driver, built);
}

static mbk_status count(int32_t *n, char *why, size_t room) {
    int devices = 0;
    *n = 0;
    cudaError_t e = cudaGetDeviceCount(&devices);
    if (e == cudaSuccess && devices > 0) {
        *n = devices;
        return MBS_OK;
    }
    (void)cudaGetLastError();
    if (e == cudaErrorInsufficientDriver) {
        say_driver(why, room);
    } else if (e == cudaSuccess || e == cudaErrorNoDevice) {
        (void)snprintf(why, room, "no CUDA device can be seen here");
    } else {
        (void)snprintf(why, room, "%s (CUDA error %d)", cudaGetErrorString(e), (int)e);
    }
    return MBS_ERR_UNAVAILABLE;
}

static void describe(int32_t index, char *out, size_t room) {
    struct cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, index) != cudaSuccess) {
        (void)cudaGetLastError();
        (void)snprintf(out, room, "a device that cannot be asked");
        return;
    }
    (void)snprintf(out, room, "%s, sm_%d%d, %.1f GiB", p.name, p.major, p.minor,
                   (double)p.totalGlobalMem / (1024.0 * 1024 * 1024));
}

const mbk_module mbk_module_entry = {
    .size = sizeof(mbk_module),
    .abi = MBK_ABI,
    .ops_size = sizeof(mbk_ops),
    .device = "cuda",
    .count = count,
    .describe = describe,
    .open = mbk_cuda_open,
};
