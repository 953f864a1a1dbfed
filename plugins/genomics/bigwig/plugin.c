/* Writer `bigwig`: a value for every base, as genome browsers read it. */
#include "bigwig.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, e.g. scores.bw"),
    MBS_PARAM_WORDS("unit", "nats", "nats|bits", "of the values: natural or binary logarithm of the probability"),
};

static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "bigwig",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "bigWig track: the log-probability of every base",
    .accepts = "score/f32",
    .suffixes = ".bw .bigwig .bigWig",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &bw_writer_vt,
};

static const mbs_descriptor *const descriptors[] = {&writer};

MBS_PLUGIN_DEFINE(bigwig, descriptors, "zlib");
