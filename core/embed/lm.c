/* lm.c - a model of the library: its threads, its kernels, its weights, and one lock around them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "embed/embed.h"

#define MOST_THREADS 1024

static mbs_status start(mbs_lm *lm, const char *folder, const mbs_lm_options *o, mbs_err *e) {
    if (o->threads < 0 || o->threads > MOST_THREADS) {
        return mbs_fail(e, MBS_ERR_USAGE, "mbs_lm_open", "%d threads: 0 to %d can be had", (int)o->threads,
                        MOST_THREADS);
    }
    mbs_status st = mbs_backend_choose(&lm->backend, o->device ? o->device : "cpu", o->level, "level", o->threads, e);
    if (st < 0) {
        return st;
    }
    mbs_model_options options = {.dtype = o->dtype, .math = o->math};
    st = mbs_model_open_as(folder, &options, lm->backend.ctx, &lm->model, e);
    if (st >= 0 && mbs_model_get_config(lm->model)->frame_width > 0) {
        mbs_fail(e, MBS_ERR_UNAVAILABLE, folder, "the model takes frames, and this interface feeds tokens");
        mbs_err_fix(e, "run it with a pipeline: mambaseq run");
        return MBS_ERR_UNAVAILABLE;
    }
    return st;
}

void mbs_lm_unref(mbs_lm *lm) {
    if (!lm || atomic_fetch_sub(&lm->refs, 1) > 1) {
        return;
    }
    mbs_model_close(lm->model);
    mbs_backend_close(&lm->backend);
    pthread_mutex_destroy(&lm->lock);
    mbs_free(lm);
}

static mbs_status open_model(const char *folder, const mbs_lm_options *options, mbs_lm **out, mbs_err *e) {
    mbs_lm_options o = MBS_LM_OPTIONS_INIT;
    if (!folder || !out) {
        return mbs_lm_misuse(e, "mbs_lm_open", folder ? "out is NULL" : "folder is NULL");
    }
    mbs_status st = options ? mbs_lm_take(&o, sizeof o, options, MBS_LM_LEAST_OPTIONS, "mbs_lm_options", e) : MBS_OK;
    if (st < 0) {
        return st;
    }
    mbs_lm *lm = mbs_calloc(1, sizeof *lm);
    if (!lm) {
        return mbs_fail_memory(e, folder, sizeof *lm);
    }
    if (pthread_mutex_init(&lm->lock, NULL) != 0) {
        mbs_free(lm);
        return mbs_fail_memory(e, folder, sizeof lm->lock);
    }
    atomic_init(&lm->refs, 1);
    st = start(lm, folder, &o, e);
    if (st < 0) {
        mbs_lm_unref(lm);
        return st;
    }
    *out = lm;
    return MBS_OK;
}

mbs_status mbs_lm_open(const char *folder, const mbs_lm_options *options, mbs_lm **out, mbs_lm_error *err) {
    mbs_err e = {0};
    if (out) {
        *out = NULL;
    }
    return mbs_lm_answer(err, open_model(folder, options, out, &e), &e);
}

void mbs_lm_close(mbs_lm *lm) {
    mbs_lm_unref(lm);
}

static void fill(const mbs_lm *lm, mbs_lm_facts *f) {
    const mbs_model_config *c = mbs_model_get_config(lm->model);
    f->threads = mbs_pool_threads(lm->backend.pool);
    f->vocab_size = c->vocab_size;
    f->vocab_rows = c->vocab_rows;
    f->d_model = c->d_model;
    f->n_layer = c->n_layer;
    f->parameters = mbs_model_parameters(lm->model);
    f->state_bytes = (int64_t)mbs_model_state_bytes(lm->model);
    f->weight_bytes = mbs_model_weight_bytes(lm->model);
    f->bos = c->bos;
    f->eos = c->eos;
    f->pad = c->pad;
    (void)snprintf(f->model_type, sizeof f->model_type, "%s", c->model_type);
    (void)snprintf(f->arithmetic, sizeof f->arithmetic, "%s", mbs_model_arithmetic(lm->model));
    (void)snprintf(f->dtype, sizeof f->dtype, "%s", mbs_model_dtype(lm->model));
}

static mbs_status get_facts(const mbs_lm *lm, mbs_lm_facts *facts, mbs_err *e) {
    mbs_lm_facts f = {0};
    if (!lm || !facts) {
        return mbs_lm_misuse(e, "mbs_lm_get_facts", lm ? "facts is NULL" : "the model is NULL");
    }
    uint32_t told = facts->struct_size;
    if (told < MBS_LM_LEAST_FACTS) {
        mbs_fail(e, MBS_ERR_USAGE, "mbs_lm_facts", "struct_size is %u, at least %zu was expected", (unsigned)told,
                 MBS_LM_LEAST_FACTS);
        mbs_err_fix(e, "set struct_size to the struct's size");
        return MBS_ERR_USAGE;
    }
    fill(lm, &f);
    f.struct_size = told;
    memcpy(facts, &f, told < sizeof f ? told : sizeof f);
    if (told > sizeof f) {
        memset((char *)facts + sizeof f, 0, told - sizeof f); /* of a younger header: not known here */
    }
    return MBS_OK;
}

mbs_status mbs_lm_get_facts(const mbs_lm *lm, mbs_lm_facts *facts, mbs_lm_error *err) {
    mbs_err e = {0};
    return mbs_lm_answer(err, get_facts(lm, facts, &e), &e);
}

mbs_status mbs_lm_sha256(mbs_lm *lm, char out[65], mbs_lm_error *err) {
    mbs_err e = {0};
    if (!lm || !out) {
        return mbs_lm_answer(err, mbs_lm_misuse(&e, "mbs_lm_sha256", lm ? "out is NULL" : "the model is NULL"), &e);
    }
    pthread_mutex_lock(&lm->lock);
    const char *sha = mbs_model_sha256(lm->model, &e);
    if (sha) {
        memcpy(out, sha, 65);
    }
    pthread_mutex_unlock(&lm->lock);
    return mbs_lm_answer(err, sha ? MBS_OK : e.status, &e);
}
