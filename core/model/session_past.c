/*
 * session_past.c - what the positions of a sequence leave behind for later ones (attention: keys and values). It grows
 * with the sequence: room doubles when it is full, up to what a window needs, and stays until the session goes. A
 * model without such blocks never comes here.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "model/session_impl.h"

#define ROWS_LEAST 256

mbs_status mbs_session_past_new(mbs_session *s, mbs_err *err) {
    const int64_t n = s->m->n_blocks;
    if (s->m->past_floats == 0) {
        return MBS_OK;
    }
    s->past = mbs_calloc((size_t)n, sizeof *s->past);
    s->past_rows = mbs_calloc((size_t)n, sizeof *s->past_rows);
    return s->past && s->past_rows ? MBS_OK : mbs_fail_memory(err, s->m->folder, (size_t)n * sizeof *s->past);
}

void mbs_session_past_free(mbs_session *s) {
    for (int64_t i = 0; s->past && i < s->m->n_blocks; i++) {
        s->m->ctx->ops->buf_free(s->m->ctx, s->past[i]);
    }
    mbs_free(s->past);
    mbs_free(s->past_rows);
}

int64_t mbs_past_used(const mbs_layer *layer, int64_t tokens) {
    return layer->past_floats == 0 ? 0 : layer->past_most > 0 && tokens > layer->past_most ? layer->past_most : tokens;
}

int64_t mbs_model_past_bytes(const mbs_model *m, int64_t tokens) {
    int64_t floats = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        floats += mbs_past_used(&m->layers[i], tokens) * m->layers[i].past_floats;
    }
    return floats * (int64_t)sizeof(float);
}

int64_t mbs_config_grows(const mbs_model_config *c, int64_t *most) {
    int64_t floats = 0;
    int64_t longest = 0;
    int all = 0;
    for (int64_t i = 0; i < c->n_layer; i++) {
        const mbs_mixer *mixer = mbs_mixer_of_layer(c, i);
        if (mixer->past_floats) {
            int64_t window = mixer->past_most(c, i);
            floats += mixer->past_floats(c, i);
            longest = window > longest ? window : longest;
            all |= window == 0;
        }
    }
    *most = all ? 0 : longest;
    return floats * (int64_t)sizeof(float);
}

static mbs_status no_room(const mbs_session *s, mbk_status st, int64_t tokens, mbs_err *err) {
    if (st != MBS_ERR_MEMORY) {
        return mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "making room for what attention looks back at");
    }
    mbs_fail(err, MBS_ERR_MEMORY, s->m->folder,
             "the attention of this model keeps %" PRId64 " bytes a token: %" PRId64 " tokens take %.1f GiB",
             s->m->past_floats * (int64_t)sizeof(float), tokens,
             (double)mbs_model_past_bytes(s->m, tokens) / (1024.0 * 1024 * 1024));
    mbs_err_fix(err, "take shorter records or regions, or a model with a window or without attention");
    return MBS_ERR_MEMORY;
}

static mbk_mat rows_of(mbk_buf *buf, int64_t n, int64_t cols) {
    return (mbk_mat){buf, 0, n, cols, cols};
}

/* One block's room for `need` rows; `used` rows of it count. */
static mbk_status grow(mbs_session *s, int64_t i, int64_t need, int64_t used) {
    const mbk_ops *ops = s->m->ctx->ops;
    const mbs_layer *layer = &s->m->layers[i];
    int64_t rows = 2 * s->past_rows[i] > ROWS_LEAST ? 2 * s->past_rows[i] : ROWS_LEAST;
    size_t bytes;
    mbk_buf *room = NULL;
    rows = rows > need ? rows : need;
    rows = layer->past_most > 0 && rows > layer->past_most ? layer->past_most : rows;
    if (mbs_mul_overflow((size_t)rows, (size_t)layer->past_floats * sizeof(float), &bytes)) {
        return MBS_ERR_MEMORY;
    }
    mbk_status st = ops->buf_new(s->m->ctx, bytes, &room);
    if (st >= 0 && used > 0) {
        st = ops->copy(s->m->ctx, rows_of(room, used, layer->past_floats),
                       rows_of(s->past[i], used, layer->past_floats));
    }
    if (st < 0) {
        ops->buf_free(s->m->ctx, room);
        return st;
    }
    ops->buf_free(s->m->ctx, s->past[i]);
    s->past[i] = room;
    s->past_rows[i] = rows;
    return MBS_OK;
}

mbs_status mbs_session_past_reserve(mbs_session *s, int64_t tokens, mbs_err *err) {
    for (int64_t i = 0; s->past && i < s->m->n_blocks; i++) {
        int64_t need = mbs_past_used(&s->m->layers[i], tokens);
        if (need > s->past_rows[i]) {
            /* Room that is short of `past_most` was never gone round: row x is position x. */
            mbk_status st = grow(s, i, need, mbs_past_used(&s->m->layers[i], s->tokens));
            if (st < 0) {
                return no_room(s, st, tokens, err);
            }
        }
    }
    return MBS_OK;
}

mbs_status mbs_session_past_copy(mbs_session *dst, const mbs_session *src, mbs_err *err) {
    mbk_ctx *ctx = dst->m->ctx;
    mbk_status st = MBS_OK;
    dst->tokens = 0; /* nothing of its own past is wanted any more */
    mbs_status room = mbs_session_past_reserve(dst, src->tokens, err);
    for (int64_t i = 0; dst->past && i < dst->m->n_blocks && room >= 0 && st >= 0; i++) {
        int64_t used = mbs_past_used(&dst->m->layers[i], src->tokens);
        int64_t cols = dst->m->layers[i].past_floats;
        st = used ? ctx->ops->copy(ctx, rows_of(dst->past[i], used, cols), rows_of(src->past[i], used, cols)) : st;
    }
    return room < 0 ? room : st < 0 ? mbs_backend_fail(ctx, err, st, dst->m->folder, "copying a stream") : MBS_OK;
}

mbs_status mbs_session_past_save(mbs_session *s, mbs_buf *out, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    mbk_status st = MBS_OK;
    for (int64_t i = 0; s->past && i < s->m->n_blocks && st >= 0; i++) {
        size_t bytes =
            (size_t)(mbs_past_used(&s->m->layers[i], s->tokens) * s->m->layers[i].past_floats) * sizeof(float);
        void *rows = bytes ? mbs_alloc(bytes) : NULL;
        if (bytes && !rows) {
            return mbs_fail_memory(err, s->m->folder, bytes);
        }
        st = bytes ? ctx->ops->download(ctx, rows, s->past[i], 0, bytes) : st;
        if (bytes && st >= 0) {
            mbs_buf_append(out, rows, bytes);
        }
        mbs_free(rows);
    }
    return st < 0 ? mbs_backend_fail(ctx, err, st, s->m->folder, "saving the stream") : MBS_OK;
}

mbs_status mbs_session_past_restore(mbs_session *s, const unsigned char *bytes, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    const int64_t tokens = s->tokens;
    s->tokens = 0;
    mbs_status room = mbs_session_past_reserve(s, tokens, err);
    mbk_status st = MBS_OK;
    s->tokens = tokens;
    for (int64_t i = 0; s->past && i < s->m->n_blocks && room >= 0 && st >= 0; i++) {
        size_t n = (size_t)(mbs_past_used(&s->m->layers[i], tokens) * s->m->layers[i].past_floats) * sizeof(float);
        st = n ? ctx->ops->upload(ctx, s->past[i], 0, bytes, n) : st;
        bytes += n;
    }
    return room < 0 ? room : st < 0 ? mbs_backend_fail(ctx, err, st, s->m->folder, "restoring the stream") : MBS_OK;
}
