/* Writer `acgt`: what a model expects at every base, as four tracks. */
#include "acgt.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path",
                     "name of the four files: p.bw stands for p.A.bw, p.C.bw, p.G.bw and p.T.bw, e.g. letters.bw"),
    MBS_PARAM_WORDS("value", "ln", "ln|probability", "of a letter: natural logarithm of its probability, or that"),
};

static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "acgt",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "four bigWig tracks: the probability of A, C, G and T at every base",
    .accepts = "logits/f32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &ac_writer_vt,
};

static const mbs_descriptor *const descriptors[] = {&writer};

MBS_PLUGIN_DEFINE(acgt, descriptors, "zlib");
