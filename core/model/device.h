/*
 * device.h - finds the CUDA backend, a library that is loaded only when a device is asked for, and opens a device of
 * it.
 *
 * It lies where plugins lie (base/places.h, the same order and the same rules of trust) and belongs to this very build.
 */
#ifndef MBS_MODEL_DEVICE_H
#define MBS_MODEL_DEVICE_H

#include "base/err.h"
#include "mbk/module.h"

typedef enum mbs_device_kind { MBS_DEVICE_AUTO, MBS_DEVICE_CPU, MBS_DEVICE_CUDA } mbs_device_kind;

typedef struct mbs_device_choice {
    mbs_device_kind kind;
    int32_t index; /* of cuda; -1: not told */
} mbs_device_choice;

/* "auto", "cpu", "cuda", "cuda:N"; NULL is auto. MBS_ERR_USAGE for anything else. */
mbs_status mbs_device_parse(const char *word, mbs_device_choice *out, mbs_err *err);

typedef struct mbs_device_module {
    char path[4096]; /* empty: there is none */
    const mbk_module *table;
} mbs_device_module;

/* The first mambaseq-cuda.so in the order of search, without loading it. MBS_ERR_UNAVAILABLE where none is there (path
 * stays empty, the error tells the places) or the one that is there may not be trusted (path says which). */
mbs_status mbs_device_find(mbs_device_module *m, mbs_err *err);
/* Loads and checks what was found; it stays loaded until the process ends. */
mbs_status mbs_device_load(mbs_device_module *m, mbs_err *err);
/* How a message of mbs_device_open begins where the device is not to be had. */
#define MBS_DEVICE_NOT "CUDA cannot be used: "
/* A context on the device that is wanted (-1: the first one), and what it is in words. Every way in which there is none
 * is MBS_ERR_UNAVAILABLE with words of its own, but for one without memory: MBS_ERR_MEMORY. */
mbs_status mbs_device_open(const mbs_device_module *m, int32_t index, mbk_ctx **out, char *name, size_t room,
                           mbs_err *err);

#endif
