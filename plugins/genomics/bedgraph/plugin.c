/* Writer `bedgraph`: a value for every base, as text. */
#include "bedgraph.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path",
                     "file to write, - for standard output; .gz is written with bgzip, e.g. scores.bedgraph.gz"),
    MBS_PARAM_WORDS("unit", "nats", "nats|bits", "of the values: natural or binary logarithm of the probability"),
    MBS_PARAM("write_index", MBS_PARAM_BOOL, "true",
              "whether a .gz gets its tabix index (.tbi, .csi for long contigs)"),
};

static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "bedgraph",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "bedGraph track: the log-probability of every base as text",
    .accepts = "score/f32",
    .suffixes = ".bedgraph.gz .bedgraph .bg.gz .bg .bedGraph .bedGraph.gz",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &bg_writer_vt,
};

static const mbs_descriptor *const descriptors[] = {&writer};

MBS_PLUGIN_DEFINE(bedgraph, descriptors, "htslib");
