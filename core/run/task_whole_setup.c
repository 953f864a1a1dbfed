/* task_whole_setup.c - what a pipeline may ask of models that take whole records. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/caduceus.h"
#include "model/mixer.h"
#include "plug/params.h"
#include "run/task_whole.h"

/* Tokens of its neighbours that a window has where nothing is said. */
#define HALO 1024

static mbs_status refuse(mbs_err *err, const char *what, const char *fix) {
    mbs_fail(err, MBS_ERR_CONFIG, "model", "%s", what);
    mbs_err_fix(err, "%s", fix);
    return MBS_ERR_CONFIG;
}

static mbs_status read_mode(task_rows *t, whole_task *w, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(t->env.models->model);
    const char *mode = mbs_params_string(t->env.models->params, "mode");
    if (t->env.task == MBS_TASK_SCORE && c->masked && !mode) {
        return refuse(err, "task score with a masked model needs 'mode': this model guesses a token from both sides",
                      "say mode: masked (each token is masked once and guessed from the others: exact, and as many "
                      "passes as tokens, or 'mask_every: k' passes with every k-th masked), or mode: unmasked (one "
                      "pass, in which the model sees the token that it is asked for)");
    }
    if (mode && !c->masked) {
        return refuse(err, "'mode' is for masked models, and this one predicts the next token", "leave 'mode' out");
    }
    w->masked = mode && strcmp(mode, "masked") == 0;
    w->every =
        mbs_params_told(t->env.models->params, "mask_every") ? mbs_params_int(t->env.models->params, "mask_every") : 0;
    if (w->every > 0 && !w->masked) {
        return refuse(err, "'mask_every' belongs to mode masked", "leave 'mask_every' out, or say mode: masked");
    }
    const mbs_preset *preset = mbs_caduceus_preset(c);
    w->mask = t->env.vocab && t->env.vocab->mask >= 0 ? t->env.vocab->mask : preset ? mbs_preset_mask(preset) : -1;
    if (w->masked && (w->mask < 0 || w->mask >= c->vocab_rows)) {
        return refuse(err, "mode masked: the vocabulary has no token for masking", "take mode: unmasked");
    }
    return MBS_OK;
}

static mbs_status read_strand(task_rows *t, whole_task *w, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(t->env.models->model);
    const char *strand = mbs_params_string(t->env.models->params, "strand");
    w->strands = !strand || strcmp(strand, "+") == 0 ? 1 : strcmp(strand, "-") == 0 ? 2 : 3;
    w->vocab = t->env.vocab;
    if (w->strands != 1 && c->rcps) {
        return refuse(err, "this model reads both strands at once: 'strand' changes nothing", "leave 'strand' out");
    }
    if (w->strands != 1 && (!w->vocab || !w->vocab->complement)) {
        return refuse(err, "these tokens have no complement, so there is no other strand", "leave 'strand' out");
    }
    return MBS_OK;
}

static mbs_status read_window(task_rows *t, whole_task *w, mbs_err *err) {
    const mbs_params *p = t->env.models->params;
    w->window = mbs_params_told(p, "window") ? mbs_params_int(p, "window") : 0;
    w->halo = mbs_params_told(p, "halo") ? mbs_params_int(p, "halo") : HALO;
    if (mbs_params_told(p, "halo") && w->window == 0) {
        return refuse(err, "'halo' belongs to 'window'", "say window too, or leave 'halo' out");
    }
    if (mbs_params_told(p, "chunk")) {
        return refuse(err, "this model takes whole records: 'chunk' has no meaning for it",
                      "leave 'chunk' out; long records can be cut with 'window' and 'halo', which changes the numbers");
    }
    return MBS_OK;
}

static mbs_status make_room(task_rows *t, whole_task *w, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(t->env.models->model);
    int64_t cols = t->width > c->vocab_rows ? t->width : c->vocab_rows;
    w->piece = t->pace.max;
    size_t bytes = (size_t)(w->piece * cols) * sizeof(float);
    w->a = mbs_alloc(bytes);
    w->b = mbs_alloc(4 * bytes);
    if (!w->a || !w->b) {
        return mbs_fail_memory(err, "model", 5 * bytes);
    }
    if (t->pooled) { /* of both streams, before they become one */
        mbs_free(t->pooled);
        t->pooled = mbs_calloc((size_t)t->width, sizeof *t->pooled);
        return t->pooled ? MBS_OK : mbs_fail_memory(err, "model", (size_t)t->width * sizeof *t->pooled);
    }
    return MBS_OK;
}

mbs_status mbs_task_whole_setup(task_rows *t, mbs_carry *out, mbs_err *err) {
    whole_task *w = mbs_calloc(1, sizeof *w);
    if (!w) {
        return mbs_fail_memory(err, "model", sizeof *w);
    }
    t->whole = w;
    if (t->env.watch) {
        return refuse(err, "eval does not know models that take whole records yet", "run task score, with its mode");
    }
    if (mbs_model_get_config(t->env.models->model)->frame_width > 0) {
        return refuse(err, "frames cannot go through a model that takes whole records yet",
                      "take a model whose layers all read one way");
    }
    if (mbs_params_is_set(t->env.models->params, "every")) {
        return refuse(err, "'every' is for models that carry their state along a record, and this one takes it whole",
                      "leave 'every' out: a row for each record");
    }
    mbs_status st = read_mode(t, w, err);
    st = st < 0 ? st : read_strand(t, w, err);
    st = st < 0 ? st : read_window(t, w, err);
    st = st < 0 ? st : make_room(t, w, err);
    int64_t memory =
        mbs_params_told(t->env.models->params, "max_memory") ? mbs_params_int(t->env.models->params, "max_memory") : 0;
    st = st < 0 ? st : mbs_whole_new(t->env.models->model, memory, &w->run, err);
    mbs_whole_carry(t, out);
    return st;
}

/* Whether a limit of memory means something for a model of the run. */
static int limited(const mbs_task_env *env) {
    int any = 0;
    for (int i = 0; i < env->n_models; i++) {
        any |= mbs_mixers_limited(mbs_model_get_config(env->models[i].model));
    }
    return any;
}

mbs_status mbs_task_whole_only(const mbs_task_env *env, int i, mbs_err *err) {
    const mbs_params *params = env->models[i].params;
    static const char *const keys[] = {"mode", "mask_every", "window", "halo", "max_memory"};
    const char *strand = mbs_params_string(params, "strand");
    const int edits = mbs_task_facts_of(env->task)->window != NULL;
    if (mbs_model_takes_whole(env->models[i].model)) {
        return MBS_OK;
    }
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const int means =
            (edits && strcmp(keys[k], "window") == 0) || (strcmp(keys[k], "max_memory") == 0 && limited(env));
        if (mbs_params_told(params, keys[k]) && strcmp(keys[k], "mode") == 0) {
            mbs_fail(err, MBS_ERR_CONFIG, env->models[i].lender.folder,
                     "'mode' is for masked models, and this one predicts the next token from those before it");
            mbs_err_fix(err, "take a masked model, or leave 'mode' out: this one reads a record of any length from its "
                             "start");
            return MBS_ERR_CONFIG;
        }
        if (mbs_params_told(params, keys[k]) && !means) {
            mbs_fail(err, MBS_ERR_CONFIG, "model",
                     "'%s' is for models that take whole records%s, and this one does not", keys[k],
                     strcmp(keys[k], "window") == 0 ? " and for tasks variant, mutate and impute" : "");
            mbs_err_fix(err, "leave '%s' out: this model reads a record of any length from its start", keys[k]);
            return MBS_ERR_CONFIG;
        }
    }
    if (strand && strcmp(strand, "+") != 0 && env->task != MBS_TASK_VARIANT) {
        mbs_fail(err, MBS_ERR_CONFIG, "model", "strand '%s' is for task variant and for models of whole records",
                 strand);
        mbs_err_fix(err, "leave 'strand' out");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

static void tell_halo(const whole_task *w) {
    if (w->halo_rows > 0) {
        mbs_log(MBS_LOG_INFO,
                "halo of %lld tokens: against twice as many, values differ by at most %.3g (mean %.3g, largest value "
                "%.3g), measured on every 16th window",
                (long long)w->halo, w->halo_most, w->halo_sum / (double)w->halo_rows, w->halo_ref);
    }
}

void mbs_task_whole_drop(task_rows *t) {
    whole_task *w = t->whole;
    if (!w) {
        return;
    }
    tell_halo(w);
    mbs_whole_free(w->run);
    mbs_free(w->a);
    mbs_free(w->b);
    mbs_free(w->ids);
    mbs_free(w->scored);
    mbs_free(w->interval);
    mbs_free(w->fed);
    mbs_free(w->units);
    mbs_free(w->lp);
    mbs_free(w->call_ids);
    mbs_free(w->call_starts);
    mbs_free(w);
    t->whole = NULL;
}
