/* writer 'table': rows as tab-separated text or JSON lines. */
#include "writer.h"

static const mbs_param params[] = {
    MBS_PARAM_OUTPUT("path", "file to write, - for standard output, e.g. rows.tsv"),
    MBS_PARAM_WORDS("format", "auto", "auto|tsv|jsonl",
                    "layout; auto takes jsonl for a path that ends in .jsonl, .ndjson or .json, else tsv"),
    MBS_PARAM("every", MBS_PARAM_DURATION, (const char *)0,
              "of task score: a line for each such piece of a recording; left out: a line a record, e.g. 500ms"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_BOOL, MBS_PARAM_F_NO_RESULT, 0u, "header", "true", 0, 0, (const char *)0,
     (const char *)0, "whether a tsv file begins with a line of column names"},
};

static const mbs_descriptor writer = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_WRITER,
    .id = "table",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "writes TSV or JSON lines: a line for each record or row",
    .accepts = "*",
    .suffixes = ".tsv .txt .jsonl .ndjson .json",
    .n_params = (uint32_t)(sizeof params / sizeof params[0]),
    .params = params,
    .vt = &mbs_table_writer,
};

static const mbs_descriptor *const descriptors[] = {&writer};

/* Not "table" alone: with MBS_PLUGIN_STATIC that would be the name of the type mbs_plugin_entry_table. */
MBS_PLUGIN_DEFINE(table_writer, descriptors, NULL);
