/* Codec `frames`: pieces of a recording that overlap, for a model with a learned front end. */
#include "mambaseq/plugin.h"

extern const mbs_codec_vt fr_codec_vt;

static const mbs_param params[] = {
    MBS_PARAM_RANGE("width", MBS_PARAM_INT, "64", 1, 65536, "samples", "samples of a frame, e.g. 256"),
    MBS_PARAM_RANGE("hop", MBS_PARAM_INT, "32", 1, 65536, "samples", "samples from one frame to the next, e.g. 128"),
    MBS_PARAM_RANGE("gain", MBS_PARAM_FLOAT, "1", 1e-6, 1e6, NULL, "what every sample is multiplied by, e.g. 0.5"),
};

static const mbs_descriptor frames = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "frames",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "overlapping pieces of a recording, for a model that learns its own filters",
    .accepts = "pcm/f32",
    .produces = "frames/f32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &fr_codec_vt,
};
static const mbs_descriptor *const descriptors[] = {&frames};

MBS_PLUGIN_DEFINE(frames, descriptors, (const char *)0);
