#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/sha256.h"
#include "mambaseq/version.h"
#include "model/mlp.h"
#include "opt/value.h"
#include "run/train_impl.h"
#include "train/schedule.h"

#define START_UNKNOWN 0.1 /* where a recipe does not say */
#define BED_LIMIT ((size_t)256 << 20)

static const mbs_params *part(const training *t, mbs_recipe_part which) {
    return t->plan->recipe->part[which];
}

static int64_t whole(const training *t, mbs_recipe_part which, const char *key) {
    return mbs_params_int(part(t, which), key);
}

static double real(const training *t, mbs_recipe_part which, const char *key) {
    return mbs_params_float(part(t, which), key);
}

/* Which of the words "a|b" a key has: the order of the words is that of the enum. */
static int word(const training *t, mbs_recipe_part which, const char *key, const char *words) {
    return mbs_words_find(words, mbs_params_string(part(t, which), key));
}

int mbs_training_classifies(const training *t) {
    return t->job.recipe.loss == MBS_LOSS_CLASSIFY;
}

static void take_train(const training *t, mbs_train_recipe *r) {
    const mbs_recipe *from = t->plan->recipe;
    _Static_assert(MBS_RECIPE_MAX_WINDOWS <= MBS_RECIPE_WINDOWS, "the windows of a recipe fit");
    r->loss = (mbs_loss)word(t, MBS_RECIPE_TRAIN, "loss", "causal|masked|classify");
    r->order = (mbs_order)word(t, MBS_RECIPE_TRAIN, "order", "random|stream|records");
    r->n_windows = from->n_windows;
    for (int i = 0; i < from->n_windows; i++) {
        r->window[i] = from->window[i];
        r->window_from[i] = from->window_from[i];
    }
    r->batch_tokens = whole(t, MBS_RECIPE_TRAIN, "batch_tokens");
    r->steps = whole(t, MBS_RECIPE_TRAIN, "steps");
    r->seed = (uint64_t)whole(t, MBS_RECIPE_TRAIN, "seed");
    r->rows = whole(t, MBS_RECIPE_TRAIN, "rows");
    r->truncate = whole(t, MBS_RECIPE_TRAIN, "truncate");
    r->reverse_complement = real(t, MBS_RECIPE_TRAIN, "reverse_complement");
    r->unknown = real(t, MBS_RECIPE_TRAIN, "unknown");
    r->soft_mask = real(t, MBS_RECIPE_TRAIN, "soft_mask");
    r->start_unknown = mbs_params_is_set(part(t, MBS_RECIPE_TRAIN), "start_unknown")
                           ? real(t, MBS_RECIPE_TRAIN, "start_unknown")
                           : START_UNKNOWN;
    r->mask_rate = real(t, MBS_RECIPE_TRAIN, "mask_rate");
}

static void take_rest(const training *t, mbs_train_recipe *r) {
    const mbs_recipe *from = t->plan->recipe;
    r->held_out_bed = mbs_params_string(part(t, MBS_RECIPE_SPLIT), "held_out_bed");
    r->train_bed = mbs_params_string(part(t, MBS_RECIPE_SPLIT), "train_bed");
    r->held_out = mbs_recipe_share(from);
    r->by = (mbs_split_by)word(t, MBS_RECIPE_SPLIT, "by", "record|file|speaker");
    r->lr = real(t, MBS_RECIPE_OPTIMIZER, "lr");
    r->beta1 = from->betas[0];
    r->beta2 = from->betas[1];
    r->eps = real(t, MBS_RECIPE_OPTIMIZER, "eps");
    r->weight_decay = real(t, MBS_RECIPE_OPTIMIZER, "weight_decay");
    r->clip = real(t, MBS_RECIPE_OPTIMIZER, "clip");
    r->warmup = real(t, MBS_RECIPE_SCHEDULE, "warmup");
    r->decay = (mbs_decay)word(t, MBS_RECIPE_SCHEDULE, "decay", "cosine|linear|constant");
    r->min_lr = real(t, MBS_RECIPE_SCHEDULE, "min_lr");
    r->eval_every = mbs_recipe_holds_out(from) ? whole(t, MBS_RECIPE_EVAL, "every") : 0;
    r->eval_tokens = whole(t, MBS_RECIPE_EVAL, "tokens");
    r->patience = whole(t, MBS_RECIPE_EVAL, "patience");
    r->checkpoint_every = whole(t, MBS_RECIPE_CHECKPOINT, "every");
    r->checkpoint_seconds = real(t, MBS_RECIPE_CHECKPOINT, "seconds");
}

mbs_status mbs_training_values(training *t, mbs_err *err) {
    mbs_train_job *job = &t->job;
    memset(job, 0, sizeof *job);
    take_train(t, &job->recipe);
    take_rest(t, &job->recipe);
    job->output = mbs_params_string(part(t, MBS_RECIPE_OUTPUT), "path");
    job->write_dtype =
        strcmp(mbs_params_string(part(t, MBS_RECIPE_OUTPUT), "dtype"), "bf16") == 0 ? MBS_DT_BF16 : MBS_DT_F32;
    job->unk = job->mask = -1;
    job->write_rest = mbs_training_write_rest;
    job->write_rest_ctx = t;
    job->force = t->o->force;
    job->resume = t->o->resume;
    job->progress = t->o->progress;
    mbs_buf_puts(&t->yaml, "# How this model was trained, with mambaseq " MBS_VERSION ".\n"
                           "# Again: mambaseq train recipe.yaml -o FOLDER\n");
    mbs_recipe_yaml(t->plan, &t->yaml);
    job->recipe_text = mbs_buf_str(&t->yaml);
    return t->yaml.failed ? mbs_fail_memory(err, t->plan->file, t->yaml.len) : MBS_OK;
}

static mbs_status put_regions(training *t, const char *key, mbs_err *err) {
    const char *path = mbs_params_string(part(t, MBS_RECIPE_SPLIT), key);
    char *data = NULL;
    size_t len = 0;
    char sha[65];
    if (!path) {
        return MBS_OK;
    }
    mbs_status st = mbs_path_read(path, BED_LIMIT, &data, &len, err);
    if (st == MBS_OK) {
        mbs_sha256_of(data, len, sha);
        mbs_buf_printf(&t->identity, "regions of %s: %s\n", key, sha);
    }
    mbs_free(data);
    return st;
}

mbs_status mbs_training_identity(training *t, mbs_err *err) {
    char sha[65];
    mbs_status st = mbs_training_model_sha256(t, sha, err);
    mbs_buf_printf(&t->identity, "version: %s\narithmetic: %s\norder of the sums of gradients: %d\n", MBS_VERSION,
                   mbs_net_arithmetic(t->net), MBS_NET_SUMS_ORDER);
    mbs_recipe_lines(t->plan, &t->identity);
    if (st == MBS_OK) {
        mbs_buf_printf(&t->identity, "%s: %s\n", t->fresh ? "shape of the model" : "model", sha);
        st = put_regions(t, "held_out_bed", err);
    }
    st = st == MBS_OK ? put_regions(t, "train_bed", err) : st;
    for (int64_t i = 0; i < t->classes.n; i++) {
        mbs_buf_printf(&t->identity, "class %" PRId64 ": %s\n", i, t->classes.names[i]);
    }
    t->job.identity = mbs_buf_str(&t->identity);
    return st == MBS_OK && t->identity.failed ? mbs_fail_memory(err, t->plan->file, t->identity.len) : st;
}

/* --- dry run ------------------------------------------------------------------------------------------------ */

/* 468,608 */
static const char *grouped(int64_t v, char out[32]) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRId64, v);
    int at = 0;
    for (int i = 0; i < n; i++) {
        out[at++] = digits[i];
        if (i < n - 1 && (n - 1 - i) % 3 == 0) {
            out[at++] = ',';
        }
    }
    out[at] = '\0';
    return out;
}

static void put_windows(const mbs_train_recipe *r, mbs_buf *out) {
    for (int64_t i = 0; i < r->n_windows; i++) {
        mbs_buf_printf(out, "%s%" PRId64, i ? ", " : "", r->window[i]);
        if (r->n_windows > 1) {
            mbs_buf_printf(out, " from step %" PRId64, mbs_schedule_first(r, i));
        }
    }
}

/* How many of the last layers change. */
static int64_t trained_layers(const training *t, int64_t n_layer) {
    const char *word = mbs_params_string(t->plan->models[0], "train");
    int64_t k = strncmp(word, "last_", 5) == 0 ? strtoll(word + 5, NULL, 10) : strcmp(word, "head") == 0 ? 0 : n_layer;
    return k < n_layer ? k : n_layer;
}

/* Rows of the largest pass: where sequences are taken whole, the longest may be more than the recipe's. */
static int64_t pass_rows(const training *t) {
    const mbs_model_config *c = mbs_net_config(t->net);
    const mbs_train_recipe *r = &t->job.recipe;
    int64_t streams = c->rcps ? 2 : 1;
    int64_t rows = r->rows < streams * r->batch_tokens ? r->rows : streams * r->batch_tokens;
    for (int64_t i = 0; c->layout == MBS_LAYOUT_CADUCEUS && i < r->n_windows; i++) {
        rows = streams * r->window[i] > rows ? streams * r->window[i] : rows;
    }
    return rows;
}

/* Floats of a pass: what its layers keep, their scratch, and the rows between them. */
static double pass_floats(const training *t) {
    const mbs_model_config *c = mbs_net_config(t->net);
    const mbs_train_recipe *r = &t->job.recipe;
    int64_t rows = pass_rows(t);
    int lean = rows > r->rows; /* what a block keeps is made again, for one after the other */
    int both = c->both != MBS_ONE_WAY ? 2 : 1;
    int64_t trained = trained_layers(t, c->n_layer);
    int64_t scratch = 0;
    double floats = 0;
    double most = 0;
    const int64_t each = mbs_config_blocks(c);
    for (int64_t b = 0; b < c->n_layer * each; b++) {
        const mbs_mixer *mixer = mbs_mixer_of_block(c, b);
        const int64_t i = b / each;
        int64_t forward = mixer->scratch_floats(c, i, rows);
        int64_t back = mixer->train && i >= c->n_layer - trained ? mixer->train->scratch_floats(c, i, rows) : 0;
        scratch = forward > scratch ? forward : scratch;
        scratch = back > scratch ? back : scratch;
        double kept = back ? both * (double)mixer->train->keep_floats(c, i, rows) : 0;
        floats += lean ? 0 : kept;
        most = kept > most ? kept : most;
    }
    floats += lean ? most : 0;
    if (c->layout == MBS_LAYOUT_CADUCEUS) { /* rows read backward, and what both directions find */
        double halves = c->both == MBS_BOTH_MULTIPLY ? 2 * (double)(lean ? 1 : trained) : 0;
        floats += (3 + halves) * (double)rows * (double)c->d_model;
    }
    return floats + (double)scratch + (double)(trained * each + 4) * (double)rows * (double)c->d_model;
}

/* Whether steps have sequences for both halves of a net. */
static int is_halved(const training *t) {
    const mbs_train_recipe *r = &t->job.recipe;
    int64_t least = r->window[0];
    for (int64_t i = 1; i < r->n_windows; i++) {
        least = r->window[i] < least ? r->window[i] : least;
    }
    return mbs_net_is_halved(t->net) && 2 * least <= r->batch_tokens;
}

/* Bytes that a training takes, by the sizes of its large parts: weights, two moments and both before an update,
 * gradients, what is packed for products, and a pass; of the last three two, where halves go at the same time. */
static double memory(const training *t) {
    const double all = (double)mbs_net_parameters(t->net);
    const double trained = (double)mbs_net_trained(t->net);
    const int halves = mbs_net_is_halved(t->net) ? 2 : 1;
    const double floats = all + 5 * trained + halves * (trained + 2 * all) + (is_halved(t) ? 2 : 1) * pass_floats(t);
    return floats * sizeof(float);
}

void mbs_training_plan(const training *t, mbs_buf *out) {
    const mbs_train_recipe *r = &t->job.recipe;
    const mbs_model_config *c = mbs_net_config(t->net);
    char a[32];
    char b[32];
    mbs_plan_print(t->plan, out);
    mbs_buf_printf(out, "\nmodel       %s, %" PRId64 " layers of width %" PRId64 ", %s parameters",
                   t->fresh ? "fresh" : t->folder, c->n_layer, c->d_model, grouped(mbs_net_parameters(t->net), a));
    if (mbs_net_trained(t->net) != mbs_net_parameters(t->net)) {
        mbs_buf_printf(out, ", of which %s change", grouped(mbs_net_trained(t->net), b));
    }
    mbs_buf_printf(out, "\narithmetic  %s\nwindows     ", mbs_net_arithmetic(t->net));
    put_windows(r, out);
    mbs_buf_printf(out, "\nsteps       %s of %s tokens: ", grouped(r->steps, a), grouped(r->batch_tokens, b));
    mbs_buf_printf(out, "%s tokens\n", grouped(r->steps * r->batch_tokens, a));
    mbs_buf_printf(out, "memory      about %.0f MB\noutput      %s\n", 8 + memory(t) / 1e6, t->job.output);
}
