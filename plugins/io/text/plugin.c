/* Reader and writer `text`: bytes of text files, of standard input, or of the pipeline itself; and back. */
#include "mambaseq/plugin.h"

extern const mbs_reader_vt tx_reader_vt;
extern const mbs_writer_vt tx_writer_vt;

static const mbs_param reader_params[] = {
    MBS_PARAM("path", MBS_PARAM_PATHS, NULL, "what to read; - for standard input, e.g. book.txt"),
    MBS_PARAM("text", MBS_PARAM_STRING, NULL, "the text itself, in the place of a path, e.g. \"Once upon a time\""),
    MBS_PARAM_WORDS("split", "file", "file|line", "what a record is: a whole file, or each of its lines"),
};
static const mbs_param writer_params[] = {
    MBS_PARAM_OUTPUT("path", "file to write; - for standard output, e.g. out.txt"),
    MBS_PARAM_WORDS("separator", "newline", "newline|blank|none",
                    "what stands behind each record that does not end with it: a newline, a blank line, nothing"),
};

static const mbs_descriptor reader = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "text",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "text: files, standard input, or a line in the pipeline",
    .produces = "text/u8",
    .suffixes = ".txt .md",
    .n_params = (uint32_t)(sizeof(reader_params) / sizeof(reader_params[0])),
    .params = reader_params,
    .vt = &tx_reader_vt,
};
static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "text",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "text as it is: what was read or generated",
    .accepts = "text/u8 bases/u8",
    .suffixes = ".txt",
    .n_params = (uint32_t)(sizeof(writer_params) / sizeof(writer_params[0])),
    .params = writer_params,
    .vt = &tx_writer_vt,
};
static const mbs_descriptor *const descriptors[] = {&reader, &writer};

MBS_PLUGIN_DEFINE(text, descriptors, (const char *)0);
