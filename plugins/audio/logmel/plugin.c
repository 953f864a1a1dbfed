/* Codec `logmel`: rows of logarithmic energies of mel bands, each of a window of samples that ends at its place. */
#include "mambaseq/plugin.h"

extern const mbs_codec_vt lm_codec_vt;

static const mbs_param params[] = {
    MBS_PARAM_RANGE("bands", MBS_PARAM_SIZE, "64", 1, 4096, (const char *)0,
                    "mel bands, the numbers of a row, e.g. 80"),
    MBS_PARAM_RANGE("window", MBS_PARAM_DURATION, "25ms", 0.0001, 60, (const char *)0,
                    "sound that a row sees (Hann), e.g. 32ms"),
    MBS_PARAM_RANGE("hop", MBS_PARAM_DURATION, "10ms", 0.0001, 60, (const char *)0,
                    "from a row to the next, e.g. 16ms"),
    MBS_PARAM_RANGE("low", MBS_PARAM_FLOAT, "0", 0, 1e8, "Hz", "where the bands begin, e.g. 20"),
    MBS_PARAM_RANGE("high", MBS_PARAM_FLOAT, (const char *)0, 1, 1e8, "Hz",
                    "where they end; left out: half of the rate, e.g. 7600"),
    MBS_PARAM_RANGE("floor", MBS_PARAM_FLOAT, "0.000001", 1e-30, 1, (const char *)0,
                    "added to an energy before its logarithm: silence is ln of it, e.g. 1e-10"),
};

static const mbs_descriptor logmel = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "logmel",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "rows of logarithmic mel energies, for models that take frames",
    .accepts = "pcm/f32",
    .produces = "frames/f32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &lm_codec_vt,
};
static const mbs_descriptor *const descriptors[] = {&logmel};

MBS_PLUGIN_DEFINE(logmel, descriptors, "kissfft");
