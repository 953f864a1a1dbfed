/* Faults of the constant tables: everything here must be refused before a function is called. */
#include "zoo/zoo.h"

#ifndef ZOO_MAJOR
#define ZOO_MAJOR MBS_ABI_MAJOR
#endif
#ifndef ZOO_MINOR
#define ZOO_MINOR MBS_ABI_MINOR
#endif
#ifndef ZOO_MIN_HOST
#define ZOO_MIN_HOST 0u
#endif
#ifndef ZOO_SIZE
#define ZOO_SIZE (uint32_t)sizeof(mbs_plugin_entry_table)
#endif

static const mbs_reader_vt vt = {
    .struct_size = sizeof vt,
    .create = zoo_create,
    .open = zoo_open,
#ifndef ZOO_NO_READ
    .read = zoo_read,
#endif
    .close = zoo_close,
    .destroy = zoo_destroy,
};

#ifdef ZOO_BAD_DEFAULT
static const mbs_param bad[] = {MBS_PARAM_RANGE("flank", MBS_PARAM_SIZE, "many", 0, 5, NULL, "its default is no size")};
#endif

static const mbs_descriptor descriptor = {
    .struct_size = sizeof descriptor,
    .kind = MBS_KIND_READER,
    .id = ZOO_ID,
    .version = "1.0.0",
    .licence = "MIT",
    .summary = "an animal of the zoo",
    .produces = "bases/u8",
#ifdef ZOO_BAD_DEFAULT
    .n_params = 1,
    .params = bad,
#else
    .n_params = 2,
    .params = zoo_params,
#endif
#ifndef ZOO_NO_VT
    .vt = &vt,
#endif
};

static const mbs_descriptor *const list[] = {
    &descriptor,
#ifdef ZOO_TWICE
    &descriptor,
#endif
};

MBS_EXTERN_C MBS_EXPORT const mbs_plugin_entry_table mbs_plugin_entry;
const mbs_plugin_entry_table mbs_plugin_entry = {
    .struct_size = ZOO_SIZE,
    .abi_major = ZOO_MAJOR,
    .abi_minor = ZOO_MINOR,
    .min_host_minor = ZOO_MIN_HOST,
#ifndef ZOO_NOTHING
    .n_descriptors = sizeof list / sizeof list[0],
#endif
    .descriptors = list,
};

#ifdef ZOO_HOST_SYMBOL
void *mbs_alloc(size_t bytes);
void *zoo_of_the_host(void);
void *zoo_of_the_host(void) {
    return mbs_alloc(1);
}
#endif

/* Where a table leaves a function out, the function is still used. */
const void *zoo_unused(int i);
const void *zoo_unused(int i) {
    const void *const all[] = {&vt, list, (const void *)zoo_params};
    (void)zoo_read;
    return all[i];
}
