/* Library `mbz`: the container of task compress, written and read. */
#include "frame.h"

static const mbs_param reader_params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATH, NULL, "container to read, - for standard input, e.g. genome.mbz"),
};
static const mbs_param writer_params[] = {
    MBS_PARAM_OUTPUT("path", "container to write, - for standard output, e.g. genome.mbz"),
};

static const mbs_descriptor reader = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "mbz",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "what task compress made, for task decompress",
    .produces = "code/u8",
    .suffixes = ".mbz",
    .n_params = (uint32_t)(sizeof(reader_params) / sizeof(reader_params[0])),
    .params = reader_params,
    .vt = &mz_reader_vt,
};
static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "mbz",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "container of task compress: names the model and checks what it holds",
    .accepts = "code/u8",
    .suffixes = ".mbz",
    .n_params = (uint32_t)(sizeof(writer_params) / sizeof(writer_params[0])),
    .params = writer_params,
    .vt = &mz_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&reader, &writer};

MBS_PLUGIN_DEFINE(mbz, descriptors, (const char *)0);
