/* Writer `npy`: rows as one NumPy array. */
#include "mambaseq/plugin.h"

extern const mbs_writer_vt np_writer_vt;

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, e.g. rows.npy"),
};

static const mbs_descriptor npy = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "npy",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "all rows as one NumPy array",
    .accepts = "*",
    .suffixes = ".npy",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &np_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&npy};

MBS_PLUGIN_DEFINE(npy, descriptors, (const char *)0);
