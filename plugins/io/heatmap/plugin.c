/* Writer `heatmap`: what task mutate says of a region as a picture, one SVG that needs nothing else. */
#include "heatmap.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "SVG to write, e.g. mutations.svg"),
    MBS_PARAM_RANGE("wrap", MBS_PARAM_SIZE, "100", 10, 1e5, "positions",
                    "positions side by side before a new line, e.g. 60"),
    MBS_PARAM_RANGE("scale", MBS_PARAM_FLOAT, NULL, 1e-6, 1e6, "nats",
                    "value of the strongest colour; left out: the largest that there is, e.g. 5"),
    MBS_PARAM_RANGE("max_positions", MBS_PARAM_SIZE, "5000", 1, 1e6, "positions",
                    "more than this is no picture any more: an error, e.g. 20000"),
};

static const mbs_descriptor heatmap = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "heatmap",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "every substitution of a region as a picture (SVG)",
    .accepts = "mutate/f32",
    .suffixes = ".svg",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &hm_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&heatmap};

MBS_PLUGIN_DEFINE(heatmap, descriptors, (const char *)0);
