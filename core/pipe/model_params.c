#include "pipe/model_params.h"

#include <string.h>

#include "opt/value.h"
#include "pipe/plan.h"

/* In the order of mbs_task. */
#define TASKS "score|logits|embed|generate|classify|variant|compress|decompress|mutate|impute"

#define ROW(TYPE, FLAGS, KEY, DEF, MIN, MAX, WORDS, UNIT, HELP)                                                        \
    { (uint32_t)sizeof(mbs_param), TYPE, FLAGS, 0u, KEY, DEF, MIN, MAX, WORDS, UNIT, HELP }
#define RANGE MBS_PARAM_F_RANGE

const mbs_param mbs_model_params[] = {
    ROW(MBS_PARAM_PATH, MBS_PARAM_F_REQUIRED, "path", NULL, 0, 0, NULL, NULL,
        "folder with config.json and weights (safetensors or pytorch_model.bin), or hf:ORG/NAME of the local cache, "
        "e.g. share:models/ecoli-ref"),
    ROW(MBS_PARAM_ENUM, MBS_PARAM_F_REQUIRED, "task", NULL, 0, 0, TASKS, NULL,
        "what the model is asked for: score, logits, embed, generate, classify, variant, compress, decompress, mutate "
        "or impute"),
    ROW(MBS_PARAM_STRING, 0u, "name", NULL, 0, 0, NULL, NULL,
        "of two models in one run, model: [{name: coli, ...}, {name: human, ...}]: what columns and tags call this "
        "one, "
        "e.g. coli"),
    ROW(MBS_PARAM_SIZE, RANGE | MBS_PARAM_F_NO_RESULT, "chunk", "65536", 1, 1073741824, NULL, "tokens",
        "tokens that go through the model at once, e.g. 16384"),
    ROW(MBS_PARAM_INT, RANGE, "layer", "final", 0, 10000, "final", NULL,
        "rows to embed: after so many blocks, 0 = embedding, final = behind the last norm, e.g. 12"),
    ROW(MBS_PARAM_ENUM, 0u, "pool", "none", 0, 0, "none|mean|last", NULL, "one row a token, or one a record"),
    ROW(MBS_PARAM_DURATION, RANGE, "every", NULL, 0.001, 1e9, NULL, "seconds",
        "classify long recordings: a row for each such piece, the state goes on; left out: a row a record, e.g. 10s"),
    ROW(MBS_PARAM_SIZE, RANGE, "max_new_tokens", "1000", 1, 1e12, NULL, "tokens",
        "tokens to generate at most, e.g. 2000"),
    ROW(MBS_PARAM_DURATION, RANGE, "duration", NULL, 0.001, 1e9, NULL, "seconds",
        "of sound to generate, in the place of max_new_tokens, e.g. 5s"),
    ROW(MBS_PARAM_LIST, 0u, "class", NULL, 0, 0, NULL, NULL,
        "what to generate: a class that the model begins records with; several: one after the other in turn, e.g. dog"),
    ROW(MBS_PARAM_SIZE, RANGE, "num_samples", "1", 1, 1e6, NULL, NULL, "samples for each prompt, e.g. 4"),
    ROW(MBS_PARAM_FLOAT, RANGE, "temperature", "1.0", 0, 1000, NULL, NULL,
        "0 takes the most likely token each time, e.g. 0.8"),
    ROW(MBS_PARAM_SIZE, 0u, "top_k", "0", 0, 0, NULL, NULL,
        "draw among so many of the most likely tokens, 0 = all, e.g. 4"),
    ROW(MBS_PARAM_FLOAT, RANGE, "top_p", "1.0", 0, 1, NULL, NULL,
        "draw among the most likely tokens that have this much of the probability, e.g. 0.95"),
    ROW(MBS_PARAM_SIZE, 0u, "seed", "0", 0, 0, NULL, NULL,
        "tasks generate and impute: the same seed gives the same draws, e.g. 7"),
    ROW(MBS_PARAM_LIST, 0u, "stop", NULL, 0, 0, NULL, NULL, "tokens that end a sample, e.g. [\"\\n\"]"),
    ROW(MBS_PARAM_ENUM, 0u, "fill", "unknown", 0, 0, "unknown|mask|both", NULL,
        "task impute: letters that may be anything (N), those that the side channel mask marks (soft_mask of the "
        "codec, mask of the reader), or both"),
    ROW(MBS_PARAM_SIZE, RANGE, "max_gap", "100", 1, 1e6, NULL, "tokens",
        "task impute: longer gaps stay as they are, e.g. 500"),
    ROW(MBS_PARAM_ENUM, 0u, "search", "beam", 0, 0, "beam|sample", NULL,
        "task impute, causal models: fills by the most likely beginnings, or drawn from what stands before the gap"),
    ROW(MBS_PARAM_SIZE, RANGE, "candidates", "8", 1, 1024, NULL, NULL,
        "task impute, causal models: fills that what follows the gap decides between, e.g. 16"),
    ROW(MBS_PARAM_DURATION, RANGE, "guard", NULL, 0.001, 3600, NULL, "seconds",
        "of sound in which the model may neither be stuck (silence, one note) nor lose itself in noise: else it goes "
        "back by so much and draws again; left out: nobody looks, e.g. 1s"),
    ROW(MBS_PARAM_LIST, 0u, "guard_bits", NULL, 2, 2, NULL, NULL,
        "surprise of the model in such a window, in bits a token: below the first it is stuck, above the second it is "
        "noise; not said: [0.02, 7], e.g. [0.05, 6]"),
    ROW(MBS_PARAM_PATH, 0u, "state", NULL, 0, 0, NULL, NULL,
        "begin where the stream stood that save_state wrote, in the place of a record's beginning, e.g. prompt.state"),
    ROW(MBS_PARAM_PATH, MBS_PARAM_F_OUTPUT | MBS_PARAM_F_NO_RESULT, "save_state", NULL, 0, 0, NULL, NULL,
        "file for the state of the stream behind the prompt, to begin with again and again, e.g. prompt.state"),
    ROW(MBS_PARAM_SIZE, RANGE, "count", "1", 1, 1e9, NULL, "records",
        "records from an empty prompt, without a reader, e.g. 10"),
    ROW(MBS_PARAM_ENUM, 0u, "dtype", "auto", 0, 0, "auto|f32|bf16|int8", NULL,
        "how weights are held; auto: bf16 where the file holds its matrices so, else f32"),
    ROW(MBS_PARAM_ENUM, 0u, "math", "f32", 0, 0, "f32|bf16|int16|int8", NULL,
        "what the inputs of matrix products are rounded to; sums are f32 always, but with int16 and int8, for int8 "
        "weights on the CPU: whole numbers of a scale for each 512 and 128 columns of a row, whose sums are exact"),
    ROW(MBS_PARAM_FLOAT, RANGE, "rate_scale", NULL, 0.01, 100, NULL, NULL,
        "sound at another rate without resampling: time steps so many times as long, for the model's rate divided by "
        "it; layers of s4, s4d and mamba1, e.g. 2"),
    ROW(MBS_PARAM_STRING, 0u, "device", "auto", 0, 0, NULL, NULL,
        "where to compute: auto, cpu, cuda or cuda:N, e.g. cuda:0"),
    ROW(MBS_PARAM_ENUM, 0u, "strand", NULL, 0, 0, "+|-|both", NULL,
        "strand that the model reads: +, and of task variant both unless told; - and both need random access, or a "
        "model "
        "of whole records, which gives the mean of both"),
    ROW(MBS_PARAM_SIZE, RANGE, "window", NULL, 0, 1e9, NULL, "tokens",
        "tasks variant and mutate: tokens behind an edit whose likelihood counts with it, 1000 where not said; task "
        "impute: tokens behind a gap that decide about it, 250 where not said; models of whole records: cut them into "
        "windows of so many tokens, e.g. 2000"),
    ROW(MBS_PARAM_SIZE, RANGE, "halo", NULL, 0, 1e9, NULL, "tokens",
        "tokens of its neighbours that a window has on both sides, 1024 where not said; what that does is measured, "
        "e.g. 512"),
    ROW(MBS_PARAM_ENUM, 0u, "mode", NULL, 0, 0, "masked|unmasked", NULL,
        "score with a masked model: each token masked once, or all of them seen in one pass; task variant: masked "
        "refuses models that are not"),
    ROW(MBS_PARAM_SIZE, RANGE, "mask_every", NULL, 1, 1e9, NULL, "tokens",
        "mode masked: so many passes, each with every so many'th token masked; not said: one token alone in each, e.g. "
        "7"),
    ROW(MBS_PARAM_SIZE, RANGE | MBS_PARAM_F_NO_RESULT, "max_memory", NULL, 1, 1e15, NULL, "bytes",
        "models of whole records: rows that take more lie in a file in TMPDIR; not said: half of the machine's. Long "
        "filters (mixer hyena; s4 and s4d with convolve): room for shorter records alone, where the model's longest "
        "take more, e.g. 4G"),
};
const uint32_t mbs_n_model_params = (uint32_t)(sizeof mbs_model_params / sizeof mbs_model_params[0]);

/* Parts of the grammar to come. */
static const char later_keys[] = "init|train";
mbs_task mbs_model_task(const mbs_params *params) {
    const char *word = mbs_params_string(params, "task");
    return word ? (mbs_task)(mbs_words_find(TASKS, word) + 1) : MBS_TASK_NONE;
}

double mbs_model_rate_scale(const mbs_params *model) {
    const double scale = model && mbs_params_told(model, "rate_scale") ? mbs_params_float(model, "rate_scale") : 0;
    return scale == 1 ? 0 : scale;
}

static int owns(int task, const char *key) {
    const char *own = mbs_task_facts_of((mbs_task)task)->own;
    return own && mbs_words_find(own, key) >= 0;
}

/* The first task whose own a parameter is; MBS_TASK_NONE: it is everybody's. */
static mbs_task task_of(const char *key) {
    for (int task = 0; task < MBS_TASK_COUNT; task++) {
        if (owns(task, key)) {
            return (mbs_task)task;
        }
    }
    return MBS_TASK_NONE;
}

const char *mbs_model_default(const char *key, mbs_task task) {
    return strcmp(key, "strand") == 0   ? (task == MBS_TASK_VARIANT ? "both" : "+")
           : strcmp(key, "window") == 0 ? mbs_task_facts_of(task)->window
                                        : NULL;
}

int mbs_model_belongs(const char *key, mbs_task task) {
    return task_of(key) == MBS_TASK_NONE || owns((int)task, key);
}

int mbs_model_refuse(mbs_diags *d, const mbs_yaml_node *value) {
    const char *key = value->key->text;
    if (mbs_words_find(later_keys, key) >= 0) {
        mbs_diag_error(d, value->key->at, "model: '%s' is not available in this version", key);
        return 1;
    }
    return 0;
}

int mbs_model_is_device(const char *s) {
    if (mbs_words_find("auto|cpu|cuda", s) >= 0) {
        return 1;
    }
    size_t n = strncmp(s, "cuda:", 5) == 0 ? strspn(s + 5, "0123456789") : 0;
    return n >= 1 && n <= 3 && s[5 + n] == '\0';
}

void mbs_model_check(mbs_diags *d, const mbs_yaml_node *map, const mbs_params *params, mbs_task task, int has_reader) {
    for (const mbs_yaml_node *n = map->first; n; n = n->next) {
        const char *key = n->key->text;
        if (mbs_yaml_is_null(n) || (task_of(key) == MBS_TASK_NONE && !mbs_params_told(params, key))) {
            continue;
        }
        if (task != MBS_TASK_NONE && !mbs_model_belongs(key, task)) {
            mbs_diag_error(d, n->key->at, "model: '%s' belongs to task %s, and the task is %s", key,
                           mbs_task_name(task_of(key)), mbs_task_name(task));
        } else if (has_reader && strcmp(key, "count") == 0) {
            mbs_diag_error(d, n->key->at,
                           "model: 'count' is for empty prompts, and here the reader gives the prompts: "
                           "delete one of them, or use num_samples");
        } else if (strcmp(key, "duration") == 0 && mbs_params_told(params, "max_new_tokens")) {
            mbs_diag_error(d, n->key->at, "model: 'duration' and 'max_new_tokens' say the same thing: delete one");
        } else if (strcmp(key, "class") == 0 && mbs_params_is_set(params, "state")) {
            mbs_diag_error(d, n->key->at,
                           "model: 'class' is what a record begins with, and a 'state' has begun already");
        } else if (strcmp(key, "guard_bits") == 0 && !mbs_params_is_set(params, "guard")) {
            mbs_diag_error(d, n->key->at, "model: 'guard_bits' belongs to 'guard', which is not there");
        } else if (strcmp(key, "device") == 0 && !mbs_model_is_device(n->text)) {
            mbs_diag_error(d, n->at, "model: 'device' is '%s', must be auto, cpu, cuda or cuda:N", n->text);
        }
    }
}
