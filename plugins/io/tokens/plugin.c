/* Reader `tokens`: ids from NumPy and safetensors files. */
#include "mambaseq/plugin.h"

extern const mbs_reader_vt tk_reader_vt;

static const mbs_param params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL,
                       "what to read: .npy or .safetensors files of whole numbers, e.g. ids.npy"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_STRING, 0u, 0u, "tensor", (const char *)0, 0, 0, (const char *)0,
     (const char *)0,
     "of .safetensors: the tensors to read, with commas between their names (default: tokens, or the only one of whole "
     "numbers), e.g. input_ids"},
    MBS_PARAM_RANGE("vocab", MBS_PARAM_INT, NULL, 1, 2147483647, "ids",
                    "how many ids there are: an id beyond them is refused, and so is a model with fewer, e.g. 50280"),
};

static const mbs_descriptor tokens = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "tokens",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "ids from NumPy and safetensors files",
    .produces = "tokens/i32",
    .suffixes = ".npy",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &tk_reader_vt,
};
static const mbs_descriptor *const descriptors[] = {&tokens};

MBS_PLUGIN_DEFINE(tokens, descriptors, (const char *)0);
