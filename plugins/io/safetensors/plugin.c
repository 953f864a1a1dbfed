/* Writer `safetensors`: rows as one tensor, and where records begin among them. */
#include "mambaseq/plugin.h"

extern const mbs_writer_vt sw_writer_vt;

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, e.g. rows.safetensors"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_STRING, 0u, 0u, "tensor", (const char *)0, 0, 0, (const char *)0,
     (const char *)0, "name of the tensor (default: what the rows are, as logits), e.g. hidden"},
};

static const mbs_descriptor safetensors = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "safetensors",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "all rows as one tensor of a safetensors file",
    .accepts = "*",
    .suffixes = ".safetensors",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &sw_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&safetensors};

MBS_PLUGIN_DEFINE(safetensors, descriptors, (const char *)0);
