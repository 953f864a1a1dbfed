/* Reader `bed`: windows of a genome. */
#include "reader.h"

static const mbs_param params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL,
                       "the .bed (plain, gzip or bgzip); - for standard input, e.g. peaks.bed"),
    MBS_PARAM_REQUIRED("reference", MBS_PARAM_PATH, NULL,
                       "FASTA that the windows lie on, plain or bgzip, e.g. ref.fa.gz"),
    {(uint32_t)sizeof(mbs_param), MBS_PARAM_SIZE, MBS_PARAM_F_RANGE, 0u, "flank", "0", 0, 1e12, "all", "bases",
     "bases in front of a window that the model sees and no output has"},
    MBS_PARAM_RANGE("label_column", MBS_PARAM_INT, NULL, 4, 1000, NULL,
                    "column of the .bed, counted from 1, that holds the class of each window, e.g. 4"),
};

static const mbs_descriptor bed = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "bed",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "windows of a genome, on either strand",
    .produces = "bases/u8",
    .suffixes = ".bed .bed.gz",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &bd_reader_vt,
};
static const mbs_descriptor *const descriptors[] = {&bed};

MBS_PLUGIN_DEFINE(bed, descriptors, "htslib");
