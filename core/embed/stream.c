/* stream.c - a sequence on its way: who may use it when, feeding, and its state as a value. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "embed/embed.h"

#define ROWS_DEFAULT 4096

mbs_status mbs_lm_claim(mbs_lm_stream *s, const char *function, mbs_err *e) {
    if (!s) {
        return mbs_lm_misuse(e, function, "the stream is NULL");
    }
    if (atomic_exchange(&s->busy, 1)) {
        mbs_lm_misuse(e, function, "the stream is in a call already: of another thread, or of a generation");
        mbs_err_fix(e, "use one stream from one thread at a time; mbs_lm_fork gives a second one");
        return MBS_ERR_USAGE;
    }
    return MBS_OK;
}

void mbs_lm_release(mbs_lm_stream *s) {
    atomic_store(&s->busy, 0);
}

mbs_status mbs_lm_enter(mbs_lm_stream *s, const char *function, mbs_err *e) {
    mbs_status st = mbs_lm_claim(s, function, e);
    if (st == MBS_OK) {
        pthread_mutex_lock(&s->lm->lock);
    }
    return st;
}

void mbs_lm_leave(mbs_lm_stream *s) {
    pthread_mutex_unlock(&s->lm->lock);
    mbs_lm_release(s);
}

static mbs_status new_stream(mbs_lm *lm, int64_t rows, mbs_lm_stream **out, mbs_err *e) {
    if (!lm || !out || rows < 0) {
        return mbs_lm_misuse(e, "mbs_lm_stream_new",
                             !lm    ? "the model is NULL"
                             : !out ? "out is NULL"
                                    : "rows is negative");
    }
    mbs_lm_stream *s = mbs_calloc(1, sizeof *s);
    if (!s) {
        return mbs_fail_memory(e, "mbs_lm_stream_new", sizeof *s);
    }
    s->lm = lm;
    s->rows = rows == 0 || rows > ROWS_DEFAULT ? ROWS_DEFAULT : rows;
    atomic_init(&s->busy, 0);
    pthread_mutex_lock(&lm->lock);
    mbs_status st = mbs_session_new(lm->model, s->rows, &s->session, e);
    pthread_mutex_unlock(&lm->lock);
    if (st < 0) {
        mbs_free(s);
        return st;
    }
    atomic_fetch_add(&lm->refs, 1);
    *out = s;
    return MBS_OK;
}

mbs_status mbs_lm_stream_new(mbs_lm *lm, int64_t rows, mbs_lm_stream **out, mbs_lm_error *err) {
    mbs_err e = {0};
    if (out) {
        *out = NULL;
    }
    return mbs_lm_answer(err, new_stream(lm, rows, out, &e), &e);
}

void mbs_lm_stream_free(mbs_lm_stream *s) {
    if (!s) {
        return;
    }
    mbs_lm *lm = s->lm;
    pthread_mutex_lock(&lm->lock);
    mbs_session_free(s->session);
    pthread_mutex_unlock(&lm->lock);
    mbs_free(s);
    mbs_lm_unref(lm);
}

mbs_status mbs_lm_reset(mbs_lm_stream *s, mbs_lm_error *err) {
    mbs_err e = {0};
    mbs_status st = mbs_lm_enter(s, "mbs_lm_reset", &e);
    if (st == MBS_OK) {
        st = mbs_session_reset(s->session, &e);
        mbs_lm_leave(s);
    }
    return mbs_lm_answer(err, st, &e);
}

int64_t mbs_lm_tokens(const mbs_lm_stream *s) {
    return s ? mbs_session_tokens(s->session) : -1;
}

/* --- feeding ------------------------------------------------------------------------------------------------------ */

/* All that can be wrong is found before the state moves. */
static mbs_status check_feed(const mbs_lm_stream *s, const int32_t *ids, int64_t n, const mbs_lm_out *o, mbs_err *e) {
    const mbs_model_config *c = mbs_model_get_config(s->lm->model);
    if (n < 0 || (n > 0 && !ids)) {
        return mbs_lm_misuse(e, "mbs_lm_feed", n < 0 ? "n is negative" : "ids is NULL");
    }
    if (n == 0 && (o->last_logits || o->last_hidden)) {
        return mbs_lm_misuse(e, "mbs_lm_feed", "no tokens: there is no last row, mbs_lm_predict gives what comes next");
    }
    if (o->layer < -1 || o->layer > c->n_layer) {
        mbs_fail(e, MBS_ERR_USAGE, "mbs_lm_feed", "there is no layer %d", (int)o->layer);
        mbs_err_fix(e, "take a layer from 0 (the embedding) to %lld, or -1", (long long)c->n_layer);
        return MBS_ERR_USAGE;
    }
    long long seen = mbs_session_tokens(s->session);
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= c->vocab_rows) {
            mbs_fail(e, MBS_ERR_DATA, "mbs_lm_feed", "token %lld of the sequence has id %d, the model knows 0 to %lld",
                     seen + i, (int)ids[i], (long long)c->vocab_rows - 1);
            mbs_err_fix(e, "use the vocabulary that belongs to the model");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

static float *behind(float *p, int64_t rows, int64_t cols) {
    return p ? p + rows * cols : NULL;
}

static mbs_status run_pieces(mbs_lm_stream *s, const int32_t *ids, int64_t n, const mbs_lm_out *o, mbs_err *e) {
    const mbs_model_config *c = mbs_model_get_config(s->lm->model);
    mbs_status st = MBS_OK;
    for (int64_t at = 0; at < n && st == MBS_OK; at += s->rows) {
        int64_t rows = n - at < s->rows ? n - at : s->rows;
        int last = at + rows == n;
        mbs_run_out out = {
            .logprob = behind(o->logprob, at, 1),
            .logits = behind(o->logits, at, c->vocab_rows),
            .hidden = behind(o->hidden, at, c->d_model),
            .layer = o->layer,
            .last_hidden = last ? o->last_hidden : NULL,
            .last_logits = last ? o->last_logits : NULL,
        };
        pthread_mutex_lock(&s->lm->lock); /* for a piece: other streams get their turn during a long feed */
        st = mbs_session_run(s->session, ids + at, rows, &out, e);
        pthread_mutex_unlock(&s->lm->lock);
    }
    return st;
}

mbs_status mbs_lm_feed(mbs_lm_stream *s, const int32_t *ids, int64_t n, const mbs_lm_out *out, mbs_lm_error *err) {
    mbs_err e = {0};
    mbs_lm_out o = MBS_LM_OUT_INIT;
    mbs_status st = out ? mbs_lm_take(&o, sizeof o, out, MBS_LM_LEAST_OUT, "mbs_lm_out", &e) : MBS_OK;
    st = st < 0 ? st : mbs_lm_claim(s, "mbs_lm_feed", &e);
    if (st == MBS_OK) {
        st = check_feed(s, ids, n, &o, &e);
        st = st < 0 ? st : run_pieces(s, ids, n, &o, &e);
        mbs_lm_release(s);
    }
    return mbs_lm_answer(err, st, &e);
}

mbs_status mbs_lm_predict(mbs_lm_stream *s, float *logits, mbs_lm_error *err) {
    mbs_err e = {0};
    mbs_status st =
        logits ? mbs_lm_enter(s, "mbs_lm_predict", &e) : mbs_lm_misuse(&e, "mbs_lm_predict", "logits is NULL");
    if (st == MBS_OK) {
        st = mbs_session_tokens(s->session) > 0
                 ? mbs_session_predict(s->session, logits, &e)
                 : mbs_lm_misuse(&e, "mbs_lm_predict", "nothing was fed yet, so that nothing is predicted");
        mbs_lm_leave(s);
    }
    return mbs_lm_answer(err, st, &e);
}

/* --- the state as a value ----------------------------------------------------------------------------------------- */

static mbs_status copy(mbs_lm_stream *to, mbs_lm_stream *from, const char *function, mbs_err *e) {
    mbs_status st = mbs_lm_claim(from, function, e);
    if (st < 0 || to == from) {
        if (st == MBS_OK) {
            mbs_lm_release(from);
        }
        return st;
    }
    st = mbs_lm_enter(to, function, e);
    if (st == MBS_OK) {
        if (to->lm != from->lm) {
            mbs_lm_misuse(e, function, "the streams belong to two models, and a state means something in its own only");
            mbs_err_fix(e, "open the model once and make both streams of it, or use mbs_lm_save and mbs_lm_restore");
            st = MBS_ERR_USAGE;
        } else {
            st = mbs_session_copy(to->session, from->session, e);
        }
        mbs_lm_leave(to);
    }
    mbs_lm_release(from);
    return st;
}

mbs_status mbs_lm_copy(mbs_lm_stream *to, mbs_lm_stream *from, mbs_lm_error *err) {
    mbs_err e = {0};
    return mbs_lm_answer(err, copy(to, from, "mbs_lm_copy", &e), &e);
}

static mbs_status fork_stream(mbs_lm_stream *from, mbs_lm_stream **out, mbs_err *e) {
    mbs_lm_stream *s = NULL;
    if (!from || !out) {
        return mbs_lm_misuse(e, "mbs_lm_fork", from ? "out is NULL" : "the stream is NULL");
    }
    mbs_status st = new_stream(from->lm, from->rows, &s, e);
    st = st < 0 ? st : copy(s, from, "mbs_lm_fork", e);
    if (st < 0) {
        mbs_lm_stream_free(s);
        return st;
    }
    *out = s;
    return MBS_OK;
}

mbs_status mbs_lm_fork(mbs_lm_stream *from, mbs_lm_stream **out, mbs_lm_error *err) {
    mbs_err e = {0};
    if (out) {
        *out = NULL;
    }
    return mbs_lm_answer(err, fork_stream(from, out, &e), &e);
}

static mbs_status save(mbs_lm_stream *s, void *bytes, size_t size, mbs_err *e) {
    const size_t most = mbs_model_state_bytes(s->lm->model);
    const size_t holds = mbs_session_state_bytes(s->session);
    const size_t wanted = holds > most ? holds : most;
    if (size < wanted) {
        return mbs_fail(e, MBS_ERR_USAGE, "mbs_lm_save", "room for %zu bytes, the state has %zu", size, wanted);
    }
    mbs_buf blob = MBS_BUF_INIT;
    mbs_status st = mbs_session_save(s->session, &blob, e);
    if (st == MBS_OK) {
        memcpy(bytes, blob.data, blob.len);
        memset((char *)bytes + blob.len, 0, wanted - blob.len);
    }
    mbs_buf_free(&blob);
    return st;
}

mbs_status mbs_lm_save(mbs_lm_stream *s, void *bytes, size_t size, mbs_lm_error *err) {
    mbs_err e = {0};
    mbs_status st = bytes ? mbs_lm_enter(s, "mbs_lm_save", &e) : mbs_lm_misuse(&e, "mbs_lm_save", "bytes is NULL");
    if (st == MBS_OK) {
        st = save(s, bytes, size, &e);
        mbs_lm_leave(s);
    }
    return mbs_lm_answer(err, st, &e);
}

mbs_status mbs_lm_restore(mbs_lm_stream *s, const void *bytes, size_t size, mbs_lm_error *err) {
    mbs_err e = {0};
    mbs_status st =
        bytes ? mbs_lm_enter(s, "mbs_lm_restore", &e) : mbs_lm_misuse(&e, "mbs_lm_restore", "bytes is NULL");
    if (st == MBS_OK) {
        st = mbs_session_restore(s->session, bytes, size, &e);
        mbs_lm_leave(s);
    }
    return mbs_lm_answer(err, st, &e);
}

static mbs_status read_state(mbs_lm_stream *s, int64_t layer, float *out, size_t size, size_t *n, mbs_err *e) {
    const mbs_model *m = s->lm->model;
    if (layer < 0 || layer >= mbs_model_get_config(m)->n_layer) {
        mbs_fail(e, MBS_ERR_USAGE, "mbs_lm_read_state", "there is no layer %lld", (long long)layer);
        mbs_err_fix(e, "take a layer from 0 to %lld", (long long)mbs_model_get_config(m)->n_layer - 1);
        return MBS_ERR_USAGE;
    }
    *n = (size_t)mbs_model_layer_floats(m, layer);
    return size > 0 ? mbs_session_layer_state(s->session, layer, out, size, e) : MBS_OK;
}

mbs_status mbs_lm_read_state(mbs_lm_stream *s, int64_t layer, float *out, size_t size, size_t *n, mbs_lm_error *err) {
    mbs_err e = {0};
    mbs_status st = n && (out || size == 0) ? mbs_lm_enter(s, "mbs_lm_read_state", &e)
                                            : mbs_lm_misuse(&e, "mbs_lm_read_state", n ? "out is NULL" : "n is NULL");
    if (st == MBS_OK) {
        st = read_state(s, layer, out, size, n, &e);
        mbs_lm_leave(s);
    }
    return mbs_lm_answer(err, st, &e);
}
