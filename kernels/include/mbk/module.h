/*
 * module.h - a backend in a library of its own, loaded only where it is wanted: mambaseq-cuda.so. It belongs to the
 * very build of the program that loads it: the table of operations has no versions. core/model/device.c finds and
 * checks it.
 */
#ifndef MBK_MODULE_H
#define MBK_MODULE_H

#include "mbk/abi.h" /* generated: MBK_ABI, "0.1.0-" and a sum over mbk.h and this file */
#include "mbk/mbk.h"

#define MBK_CUDA_MODULE "mambaseq-cuda.so"
#define MBK_MODULE_SYMBOL "mbk_module_entry"

/* What the symbol names. The first two members never move. Functions return 0 or a negative mbs_status with its reason
 * in `why`, words for a person without a line end. Nothing is printed, and nothing but `count` and `open` starts the
 * driver. */
typedef struct mbk_module {
    uint32_t size;      /* of this struct */
    const char *abi;    /* MBK_ABI of its build */
    uint32_t ops_size;  /* sizeof(mbk_ops) */
    const char *device; /* "cuda" */
    /* Devices that can be used, at least one: -69 where there is no driver, one too old, or no device. */
    mbk_status (*count)(int32_t *n, char *why, size_t room);
    /* "NVIDIA H100 80GB HBM3, sm_90, 79.1 GiB" */
    void (*describe)(int32_t index, char *out, size_t room);
    /* A context on device `index`, 0 <= index < n; -69 where it cannot be used, -71 without memory. */
    mbk_status (*open)(int32_t index, mbk_ctx **out, char *why, size_t room);
} mbk_module;

#endif
