/* Reader `synthetic`: records that are made, not read: the tasks on which models of long sequences are tried. */
#include "mambaseq/plugin.h"

#define VOCAB_MAX 65536

extern const mbs_reader_vt sy_reader_vt;

static const mbs_param params[] = {
    MBS_PARAM_WORDS("task", "selective-copying", "selective-copying|induction-heads|associative-recall|mqar",
                    "what the records ask for"),
    MBS_PARAM_RANGE("length", MBS_PARAM_SIZE, NULL, 4, 0x1p40, "tokens",
                    "tokens of a record; without it selective-copying 4128, induction-heads 256, associative-recall "
                    "22, mqar 64, e.g. 4096"),
    MBS_PARAM_RANGE("vocab", MBS_PARAM_INT, NULL, 4, VOCAB_MAX, "ids",
                    "ids in use; without it selective-copying 16, induction-heads 16, associative-recall 10, mqar "
                    "8192, e.g. 32"),
    MBS_PARAM_RANGE("copy", MBS_PARAM_SIZE, NULL, 1, 0x1p39, "tokens",
                    "selective-copying: tokens to copy, else 16, e.g. 32"),
    MBS_PARAM_RANGE("pairs", MBS_PARAM_INT, NULL, 1, VOCAB_MAX / 2, "pairs",
                    "mqar: keys with their values, else 4, e.g. 8"),
    MBS_PARAM_WORDS("filler", NULL, "zero|random",
                    "mqar: what stands where nothing is asked, without it zero (token 0)"),
    MBS_PARAM("seed", MBS_PARAM_INT, "1", "other seeds, other records, e.g. 7"),
    MBS_PARAM_RANGE("count", MBS_PARAM_SIZE, "1000", 1, 0x1p40, "records", "how many records, e.g. 64"),
    MBS_PARAM_RANGE("first", MBS_PARAM_SIZE, "0", 0, 0x1p40, "records",
                    "number of the first record: records of one seed and other numbers are fresh ones, e.g. 1M"),
};

static const mbs_descriptor synthetic = {
    .struct_size = (uint32_t)sizeof(mbs_descriptor),
    .kind = MBS_KIND_READER,
    .id = "synthetic",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "selective copying, induction heads, associative recall and MQAR, made from a seed",
    .produces = "tokens/i32",
    .n_params = (uint32_t)(sizeof(params) / sizeof(params[0])),
    .params = params,
    .vt = &sy_reader_vt,
};
static const mbs_descriptor *const descriptors[] = {&synthetic};

MBS_PLUGIN_DEFINE(synthetic, descriptors, (const char *)0);
