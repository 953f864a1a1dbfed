/* recipe_params.c - the tables of a recipe. */
#include "pipe/recipe.h"

#define ROW(TYPE, FLAGS, KEY, DEF, MIN, MAX, WORDS, UNIT, HELP)                                                        \
    { (uint32_t)sizeof(mbs_param), TYPE, FLAGS, 0u, KEY, DEF, MIN, MAX, WORDS, UNIT, HELP }
#define RANGE MBS_PARAM_F_RANGE
#define SHARE(KEY, DEF, HELP) ROW(MBS_PARAM_FLOAT, RANGE, KEY, DEF, 0, 1, NULL, NULL, HELP)
#define MOST 1e12

const mbs_param mbs_recipe_model_params[] = {
    ROW(MBS_PARAM_PATH, 0u, "init", NULL, 0, 0, NULL, NULL,
        "begin with a fresh model of this shape: a YAML file, or a name in share:configs/model, e.g. dna-4x128"),
    ROW(MBS_PARAM_PATH, 0u, "path", NULL, 0, 0, NULL, NULL,
        "begin with the model of this folder, e.g. share:models/ecoli-small"),
    ROW(MBS_PARAM_STRING, 0u, "train", "all", 0, 0, NULL, NULL,
        "what of a model that is there changes: all, head, or last_K for the last K layers, norm and head, e.g. "
        "last_2"),
    ROW(MBS_PARAM_ENUM, 0u, "pool", "mean", 0, 0, "mean|last", NULL, "with loss classify: the row that is classified"),
    ROW(MBS_PARAM_ENUM, 0u, "dtype", "f32", 0, 0, "f32|bf16", NULL,
        "how matrices are held for products; what is learnt is f32 in any case"),
    ROW(MBS_PARAM_ENUM, 0u, "math", "f32", 0, 0, "f32|bf16", NULL,
        "what the inputs of matrix products are rounded to; sums are f32 always"),
    ROW(MBS_PARAM_STRING, MBS_PARAM_F_NO_RESULT, "device", "auto", 0, 0, NULL, NULL,
        "where to compute: auto, cpu, cuda or cuda:N, e.g. cuda:0"),
};
const uint32_t mbs_n_recipe_model_params = sizeof mbs_recipe_model_params / sizeof mbs_recipe_model_params[0];

static const mbs_param train[] = {
    ROW(MBS_PARAM_ENUM, 0u, "loss", "causal", 0, 0, "causal|masked|classify", NULL,
        "what is learnt: the next token, a masked token, or the label of a record"),
    ROW(MBS_PARAM_LIST, RANGE, "window", "1024", 1, MBS_RECIPE_MAX_WINDOWS, NULL, "tokens",
        "length of the pieces that are learnt from; a list: lengths one after the other, e.g. [1024, 8192]"),
    ROW(MBS_PARAM_LIST, RANGE, "window_from", NULL, 1, MBS_RECIPE_MAX_WINDOWS, NULL, NULL,
        "with a list of windows: the share of the steps from which on each holds, e.g. [0, 0.6]"),
    ROW(MBS_PARAM_SIZE, RANGE, "batch_tokens", "16384", 1, 1e9, NULL, "tokens", "tokens of one step, e.g. 65536"),
    ROW(MBS_PARAM_SIZE, RANGE | MBS_PARAM_F_REQUIRED, "steps", NULL, 1, 1e9, NULL, NULL,
        "steps to train for, e.g. 10000"),
    ROW(MBS_PARAM_SIZE, 0u, "seed", "1", 0, 0, NULL, NULL, "the same seed gives the same model, e.g. 7"),
    ROW(MBS_PARAM_ENUM, 0u, "order", "random", 0, 0, "random|stream|records", NULL,
        "windows anywhere, or whole records: one after the other as the reader gives them (stream), or in an order "
        "that "
        "is drawn, each cut to the window (records); then whole records are held out, too"),
    ROW(MBS_PARAM_ENUM, 0u, "start", "auto", 0, 0, "auto|none|record|class", NULL,
        "an id of its own before a record's first token, with order stream or records: the same for all, or one for "
        "each label; auto: as the model has it that is begun with, else none"),
    SHARE("start_unknown", NULL,
          "with start: class: the share of the records that begin without saying theirs; not said: 0.1, e.g. 0.2"),
    ROW(MBS_PARAM_SIZE, RANGE, "rows", "2048", 64, 1048576, NULL, "tokens",
        "tokens whose way through the model is kept at once, a multiple of 64; memory grows with it, e.g. 4096"),
    ROW(MBS_PARAM_SIZE, RANGE, "truncate", "0", 0, MOST, NULL, "tokens",
        "cut the gradient's way back after so many tokens, a multiple of rows; 0: never, e.g. 8192"),
    SHARE("reverse_complement", "0", "chance that a window is read from the other strand, e.g. 0.5"),
    SHARE("unknown", "0", "share of the windows in which letters and runs are hidden from the model, e.g. 0.02"),
    SHARE("soft_mask", "1", "weight of soft-masked (lower-case) tokens in the loss, e.g. 0.1"),
    ROW(MBS_PARAM_FLOAT, RANGE, "mask_rate", "0.15", 1e-3, 1, NULL, NULL,
        "with loss masked: the share of tokens that are masked, e.g. 0.2"),
    ROW(MBS_PARAM_LIST, 0u, "classes", NULL, 0, 0, NULL, NULL,
        "with loss classify: the labels, in the order of the outputs (default: those of the model or the input), e.g. "
        "[coli, human]"),
};

static const mbs_param split[] = {
    ROW(MBS_PARAM_FLOAT, RANGE, "held_out", "0.1", 0, 0.99, NULL, NULL,
        "share that is not learnt from but scored: the last tokens; with loss classify drawn records, e.g. 0.05"),
    ROW(MBS_PARAM_ENUM, 0u, "by", "record", 0, 0, "record|file|speaker", NULL,
        "with loss classify: what is held out whole; speaker: what the reader says of a record"),
    ROW(MBS_PARAM_PATH, 0u, "held_out_bed", NULL, 0, 0, NULL, NULL,
        "score the regions of this BED file instead, e.g. test.bed"),
    ROW(MBS_PARAM_PATH, 0u, "train_bed", NULL, 0, 0, NULL, NULL,
        "learn from the regions of this BED file only, e.g. train.bed"),
};

static const mbs_param optimizer[] = {
    ROW(MBS_PARAM_FLOAT, RANGE, "lr", "1e-3", 0, 100, NULL, NULL,
        "largest learning rate of AdamW; time steps, rates and inputs of s4, s4d and h3 take 1e-3 at most, e.g. 3e-4"),
    ROW(MBS_PARAM_LIST, RANGE, "betas", "[0.9, 0.95]", 2, 2, NULL, NULL,
        "how long its two means remember, e.g. [0.9, 0.99]"),
    ROW(MBS_PARAM_FLOAT, RANGE, "eps", "1e-8", 1e-30, 1, NULL, NULL, "added to the root of the second mean, e.g. 1e-6"),
    ROW(MBS_PARAM_FLOAT, RANGE, "weight_decay", "0.1", 0, 100, NULL, NULL,
        "decay of the matrices; biases, norms, A and D have none, e.g. 0.01"),
    ROW(MBS_PARAM_FLOAT, RANGE, "clip", "1", 0, 1e9, NULL, NULL, "largest norm of a gradient, 0: no limit, e.g. 0.5"),
};

static const mbs_param schedule[] = {
    ROW(MBS_PARAM_FLOAT, RANGE, "warmup", "0.03", 0, 1e9, NULL, NULL,
        "steps in which the rate rises from 0; below 1 a share of the steps, e.g. 0.02"),
    ROW(MBS_PARAM_ENUM, 0u, "decay", "cosine", 0, 0, "cosine|linear|constant", NULL, "how the rate falls then"),
    ROW(MBS_PARAM_FLOAT, RANGE, "min_lr", "0", 0, 100, NULL, NULL, "the rate that it falls to, e.g. 1e-5"),
};

static const mbs_param eval[] = {
    ROW(MBS_PARAM_SIZE, MBS_PARAM_F_NO_RESULT, "every", "500", 0, 0, NULL, "steps",
        "score what is held out after so many steps, 0: at the end alone, e.g. 1000"),
    ROW(MBS_PARAM_SIZE, 0u, "tokens", "200000", 0, 0, NULL, "tokens",
        "how much of it then, 0: all; at the end it is all in any case, e.g. 0"),
    ROW(MBS_PARAM_SIZE, 0u, "patience", "0", 0, 0, NULL, NULL,
        "end after so many evaluations without a better one and keep the best model, 0: never, e.g. 3"),
};

static const mbs_param checkpoint[] = {
    ROW(MBS_PARAM_SIZE, MBS_PARAM_F_NO_RESULT, "every", "0", 0, 0, NULL, "steps",
        "keep what --resume needs after so many steps, 0: by time, e.g. 1000"),
    ROW(MBS_PARAM_DURATION, RANGE | MBS_PARAM_F_NO_RESULT, "seconds", "60", 0.001, 1e6, NULL, "seconds",
        "or after so much time, e.g. 10min"),
};

static const mbs_param output[] = {
    MBS_PARAM_OUTPUT("path", "folder to make, e.g. my-model"),
    ROW(MBS_PARAM_ENUM, 0u, "dtype", "f32", 0, 0, "f32|bf16", NULL, "how the weights are written"),
};

#define TABLE(PATH, KEY, ROWS, ABOUT)                                                                                  \
    { PATH, KEY, ROWS, sizeof(ROWS) / sizeof((ROWS)[0]), ABOUT }

const mbs_recipe_table mbs_recipe_tables[MBS_RECIPE_PARTS] = {
    [MBS_RECIPE_TRAIN] = TABLE("train", "train", train, "how a model is trained"),
    [MBS_RECIPE_SPLIT] = TABLE("train.split", "split", split, "what is learnt from and what is scored"),
    [MBS_RECIPE_OPTIMIZER] = TABLE("train.optimizer", "optimizer", optimizer, "AdamW"),
    [MBS_RECIPE_SCHEDULE] = TABLE("train.schedule", "schedule", schedule, "the learning rate over the steps"),
    [MBS_RECIPE_EVAL] = TABLE("train.eval", "eval", eval, "scoring during the training"),
    [MBS_RECIPE_CHECKPOINT] = TABLE("train.checkpoint", "checkpoint", checkpoint, "what --resume goes on from"),
    [MBS_RECIPE_OUTPUT] = TABLE("output", "output", output, "the model that comes out"),
};
