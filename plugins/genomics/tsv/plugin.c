/* Reader `tsv`: sequences with names and classes from the columns of a TSV or CSV file. */
#include "reader.h"

static const mbs_param params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL, "what to read; - for standard input, e.g. sequences.tsv"),
    MBS_PARAM_WORDS("format", "auto", "auto|tsv|csv",
                    "what stands between columns; auto: a tab where the first line has one, else a comma"),
    MBS_PARAM("header", MBS_PARAM_BOOL, "true", "whether the first line names the columns"),
    MBS_PARAM("sequence", MBS_PARAM_STRING, "sequence",
              "column of the letters: a name, or a number from 1 on, e.g. seq"),
    MBS_PARAM("label", MBS_PARAM_STRING, "label",
              "column of the class of a record: a name, a number, or none, e.g. class"),
    MBS_PARAM("name", MBS_PARAM_STRING, NULL,
              "column of the names of records; left out: the column 'name' where there is one, else row1, row2, ..., "
              "e.g. id"),
};

static const mbs_descriptor tsv = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "tsv",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "labelled sequences from the columns of TSV and CSV files, plain or gzip",
    .produces = "bases/u8",
    .suffixes = ".tsv .csv .tsv.gz .csv.gz",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &tv_reader_vt,
};
static const mbs_descriptor *const descriptors[] = {&tsv};

MBS_PLUGIN_DEFINE(tsv, descriptors, "htslib");
