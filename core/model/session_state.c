/* session_state.c - a stream's state as a value: saved, restored, looked at. */
#include <string.h>

#include "base/mem.h"
#include "model/session_impl.h"

/*
 * The blob: "MBSSTATE", u32 version, i64 fingerprint of the model, i64 tokens, i64 rows of the sum, the sum (f64), the
 * newest token's row after the last norm (f32), each block's state in the canonical layout (f32) as far as it means
 * something after so many tokens, of each block what the tokens left behind that later ones look at (f32), i64
 * fingerprint of all bytes before it.
 */
#define BLOB_MAGIC "MBSSTATE"
#define BLOB_VERSION 2u
#define BLOB_WHOLE 1u /* the version that held all of each block's state, whatever of it means something */

size_t mbs_model_state_bytes(const mbs_model *m) {
    int64_t d = m->cfg.d_model;
    return 8 + 4 + 3 * 8 + (size_t)d * 8 + (size_t)(d + m->state_floats) * 4 + 8;
}

/* Run i of a block's canonical state that means something after so many tokens. */
static int run_of(const mbs_model *m, const mbs_layer *layer, int64_t tokens, int i, int64_t *at, int64_t *floats) {
    *at = 0;
    *floats = layer->state_floats;
    return layer->mixer->used ? layer->mixer->used(&m->cfg, layer->index, tokens, i, at, floats) : i == 0;
}

/* But for what the tokens left behind. */
static size_t fixed_bytes(const mbs_model *m, int64_t tokens) {
    size_t bytes = mbs_model_state_bytes(m) - (size_t)m->state_floats * sizeof(float);
    for (int64_t i = 0; i < m->n_blocks; i++) {
        int64_t at, floats;
        for (int k = 0; run_of(m, &m->layers[i], tokens, k, &at, &floats); k++) {
            bytes += (size_t)floats * sizeof(float);
        }
    }
    return bytes;
}

size_t mbs_session_state_bytes(const mbs_session *s) {
    return fixed_bytes(s->m, s->tokens) + (size_t)mbs_model_past_bytes(s->m, s->tokens);
}

/* Of a state after so many tokens, which nobody has checked yet; 0: there is none such. */
static size_t blob_bytes(const mbs_model *m, int64_t tokens) {
    if (tokens < 0) {
        return 0;
    }
    int64_t bytes = (int64_t)fixed_bytes(m, tokens);
    for (int64_t i = 0; i < m->n_blocks && m->past_floats > 0; i++) {
        int64_t past;
        if (mbs_mul_i64_overflow(mbs_past_used(&m->layers[i], tokens), m->layers[i].past_floats, &past) ||
            mbs_mul_i64_overflow(past, (int64_t)sizeof(float), &past) || mbs_add_i64_overflow(bytes, past, &bytes)) {
            return 0;
        }
    }
    return (size_t)bytes;
}

mbs_status mbs_session_save(mbs_session *s, mbs_buf *out, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    int64_t d = s->m->cfg.d_model;
    float *row = s->host + session_floats(s);
    if (s->broken) {
        return mbs_fail(err, MBS_ERR_INTERNAL, s->m->folder, "the stream failed before: its state cannot be saved");
    }
    size_t begin = out->len;
    mbs_buf_append(out, BLOB_MAGIC, 8);
    mbs_buf_put_u32(out, BLOB_VERSION);
    mbs_buf_put_i64(out, (int64_t)s->m->fingerprint);
    mbs_buf_put_i64(out, s->tokens);
    mbs_buf_put_i64(out, s->sum_rows);
    mbk_status st = mbs_later_settle(s->later);
    st = st < 0 ? st : ctx->ops->download(ctx, s->host, s->sum, 0, (size_t)d * sizeof(double));
    mbs_buf_append(out, s->host, (size_t)d * sizeof(double));
    st = st < 0 ? st : ctx->ops->download(ctx, s->host, s->state, 0, (size_t)session_floats(s) * sizeof(float));
    st = st < 0 ? st : ctx->ops->download(ctx, row, s->normed, 0, (size_t)d * sizeof(float));
    mbs_buf_append(out, row, (size_t)d * sizeof(float));
    for (int64_t i = 0; i < s->m->n_blocks && st >= 0; i++) {
        const mbs_layer *layer = &s->m->layers[i];
        layer->mixer->save(&s->m->cfg, layer->index, s->host + layer->state_at, row);
        int64_t at, floats;
        for (int k = 0; run_of(s->m, layer, s->tokens, k, &at, &floats); k++) {
            mbs_buf_append(out, row + at, (size_t)floats * sizeof(float));
        }
    }
    if (st < 0) {
        return mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "saving the stream");
    }
    mbs_status past = mbs_session_past_save(s, out, err);
    if (past < 0) {
        return past;
    }
    if (!out->failed) {
        mbs_buf_put_i64(out, (int64_t)mbs_fingerprint(0, out->data + begin, out->len - begin));
    }
    return out->failed ? mbs_fail_memory(err, s->m->folder, mbs_session_state_bytes(s)) : MBS_OK;
}

static mbs_status of_another(const mbs_session *s, uint32_t version, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, s->m->folder,
             "the saved state was made by another version of this program: its format is %u, this one reads %u",
             (unsigned)version, BLOB_VERSION);
    mbs_err_fix(err, "start again without the saved state, or go on with the version that made it");
    return MBS_ERR_DATA;
}

/* Whole, of this version (or of the one before, where both say the same) and of this model. What fills it up to
 * mbs_model_state_bytes is passed over. */
static mbs_status check_blob(const mbs_session *s, const char *bytes, size_t n, mbs_err *err) {
    const char *folder = s->m->folder;
    mbs_cursor c = {(const unsigned char *)bytes, n, 0};
    if (n < 28 || memcmp(bytes, BLOB_MAGIC, 8) != 0) {
        return mbs_fail(err, MBS_ERR_DATA, folder, "the saved state is not one");
    }
    c.p += 8;
    c.left -= 8;
    const uint32_t version = mbs_cursor_u32(&c);
    if (version != BLOB_VERSION && version != BLOB_WHOLE) {
        return of_another(s, version, err);
    }
    if ((uint64_t)mbs_cursor_i64(&c) != s->m->fingerprint) {
        mbs_fail(err, MBS_ERR_DATA, folder, "the saved state belongs to another model");
        mbs_err_fix(err, "start again without the saved state, or with the model that it was made with");
        return MBS_ERR_DATA;
    }
    const int64_t tokens = mbs_cursor_i64(&c);
    mbs_status st = tokens > 0 ? mbs_mixers_reach(&s->m->cfg, tokens, folder, err) : MBS_OK;
    if (st < 0) {
        return st;
    }
    if (version == BLOB_WHOLE && tokens >= 0 && fixed_bytes(s->m, tokens) != mbs_model_state_bytes(s->m)) {
        return of_another(s, version, err);
    }
    size_t wanted = blob_bytes(s->m, tokens);
    n = wanted > 0 && n > wanted && n == mbs_model_state_bytes(s->m) ? wanted : n;
    if (n != wanted) {
        return mbs_fail(err, MBS_ERR_DATA, folder, "the saved state has %zu bytes, %zu were expected", n, wanted);
    }
    mbs_cursor tail = {(const unsigned char *)bytes + n - 8, 8, 0};
    if ((uint64_t)mbs_cursor_i64(&tail) != mbs_fingerprint(0, bytes, n - 8)) {
        return mbs_fail(err, MBS_ERR_DATA, folder, "the saved state is damaged");
    }
    return MBS_OK;
}

mbs_status mbs_session_restore(mbs_session *s, const void *bytes, size_t n, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    int64_t d = s->m->cfg.d_model;
    float *canonical = s->host + session_floats(s);
    mbs_status st = check_blob(s, bytes, n, err);
    if (st < 0) {
        return st;
    }
    mbs_later_forget(s->later);
    mbs_cursor c = {(const unsigned char *)bytes + 20, n - 20, 0};
    s->tokens = mbs_cursor_i64(&c);
    s->sum_rows = mbs_cursor_i64(&c);
    const unsigned char *sum = c.p;
    const unsigned char *row = sum + (size_t)d * sizeof(double);
    const unsigned char *state = row + (size_t)d * sizeof(float);
    for (int64_t i = 0; i < s->m->n_blocks; i++) {
        const mbs_layer *layer = &s->m->layers[i];
        int64_t at, floats;
        memset(canonical, 0, (size_t)layer->state_floats * sizeof *canonical);
        for (int k = 0; run_of(s->m, layer, s->tokens, k, &at, &floats); k++) {
            memcpy(canonical + at, state, (size_t)floats * sizeof *canonical);
            state += (size_t)floats * sizeof *canonical;
        }
        layer->mixer->restore(&s->m->cfg, layer->index, canonical, s->host + layer->state_at);
    }
    st = mbs_session_past_restore(s, state, err);
    if (st < 0) {
        s->broken = 1;
        return st;
    }
    mbk_status up = ctx->ops->upload(ctx, s->sum, 0, sum, (size_t)d * sizeof(double));
    up = up < 0 ? up : ctx->ops->upload(ctx, s->normed, 0, row, (size_t)d * sizeof(float));
    up = up < 0 ? up : ctx->ops->upload(ctx, s->state, 0, s->host, (size_t)session_floats(s) * sizeof(float));
    s->broken = up < 0;
    return up < 0 ? mbs_backend_fail(s->m->ctx, err, up, s->m->folder, "restoring the stream") : MBS_OK;
}

int64_t mbs_model_layer_floats(const mbs_model *m, int64_t layer) {
    return m->layers[layer * mbs_config_blocks(&m->cfg)].state_floats;
}

mbs_status mbs_session_layer_state(mbs_session *s, int64_t layer, float *out, size_t size, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    const mbs_layer *l = &s->m->layers[layer * mbs_config_blocks(&s->m->cfg)];
    const size_t each = sizeof *s->host;
    size_t n = (size_t)l->state_floats;
    if (s->broken) {
        return mbs_fail(err, MBS_ERR_INTERNAL, s->m->folder, "the stream failed before: its state means nothing");
    }
    float *canonical = s->host + session_floats(s);
    mbk_status st = mbs_later_settle(s->later);
    st = st < 0 ? st : ctx->ops->download(ctx, s->host, s->state, (size_t)l->state_at * each, n * each);
    if (st < 0) {
        return mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "reading the state");
    }
    l->mixer->save(&s->m->cfg, layer, s->host, canonical);
    memcpy(out, canonical, (size < n ? size : n) * each);
    return MBS_OK;
}
