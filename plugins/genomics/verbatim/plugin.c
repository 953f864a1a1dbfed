/* Library `verbatim`: every byte of a FASTA, so that it can be given back: reader, codec, writer. */
#include "verbatim.h"

static const mbs_param reader_params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATH, NULL,
                       "FASTA to read (plain, gzip, bgzip), - for standard input, e.g. genome.fa.gz"),
};
static const mbs_param codec_params[] = {
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_PATH, 0u, 0u, "vocab", "auto", 0, 0, "auto|caduceus|songlab",
     (const char *)0, "auto (the model's own, else caduceus), caduceus, songlab, or a file with one token a line"},
};
static const mbs_param writer_params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, - for standard output, e.g. genome.fa"),
};

static const mbs_descriptor reader = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "verbatim",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "all bytes of a file as one record",
    .produces = VB_TYPE,
    .n_params = (uint32_t)(sizeof(reader_params) / sizeof(reader_params[0])),
    .params = reader_params,
    .vt = &vb_reader_vt,
};
static const mbs_descriptor codec = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_CODEC,
    .id = "verbatim",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "bases of a FASTA to tokens, with all that is needed to write the same bytes again",
    .accepts = VB_TYPE,
    .produces = "tokens/i32",
    .decodes = VB_TYPE,
    .flags = MBS_DESC_NAMED,
    .n_params = (uint32_t)(sizeof(codec_params) / sizeof(codec_params[0])),
    .params = codec_params,
    .vt = &vb_codec_vt,
};
static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "verbatim",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "writes the bytes as they come",
    .accepts = VB_TYPE,
    .n_params = (uint32_t)(sizeof(writer_params) / sizeof(writer_params[0])),
    .params = writer_params,
    .vt = &vb_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&reader, &codec, &writer};

MBS_PLUGIN_DEFINE(verbatim, descriptors, "htslib");
