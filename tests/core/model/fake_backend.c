/* fake_backend.c - a backend module for test_device.c, in several ways. */
#include <stdio.h>

#include "mbk/module.h"

#ifndef FAKE_ABI
#define FAKE_ABI MBK_ABI
#endif
#ifndef FAKE_MORE
#define FAKE_MORE 0
#endif

static mbk_status count(int32_t *n, char *why, size_t room) {
    *n = FAKE_DEVICES;
    (void)snprintf(why, room, "no NVIDIA driver is installed");
    return FAKE_DEVICES ? 0 : -69;
}

static void describe(int32_t index, char *out, size_t room) {
    (void)snprintf(out, room, "Fake %d, 1.0 GiB", (int)index);
}

static mbk_status open_one(int32_t index, mbk_ctx **out, char *why, size_t room) {
    (void)index;
    *out = NULL;
    (void)snprintf(why, room, "the device has not enough memory");
#ifdef FAKE_FULL
    return -71;
#else
    return mbk_cpu_open(MBK_LEVEL_REF, NULL, out);
#endif
}

extern const mbk_module mbk_module_entry;
__attribute__((visibility("default"))) const mbk_module mbk_module_entry = {
    .size = sizeof(mbk_module) + FAKE_MORE,
    .abi = FAKE_ABI,
    .ops_size = sizeof(mbk_ops),
    .device = "cuda",
    .count = count,
    .describe = describe,
    .open = open_one,
};
