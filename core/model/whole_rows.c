/* whole_rows.c - what a call gives: rows, logits and log-probabilities; and how rows come and go. */
#include <math.h>
#include <string.h>

#include "model/whole_impl.h"

static mbk_mat rows_of(mbk_buf *buf, int64_t from, int64_t n, int64_t cols) {
    return (mbk_mat){buf, from * cols, n, cols, cols};
}

static void turn_row(const float *from, float *to, int64_t d) {
    for (int64_t c = 0; c < d; c++) {
        to[c] = from[d - 1 - c];
    }
}

/* Where logical row `at + i` lies. */
static float *place(const mbs_whole *w, const whole_store *s, int back, int64_t row) {
    return s->rows + (back ? w->rows - 1 - row : row) * w->m->cfg.d_model;
}

mbk_status mbs_whole_get(mbs_whole *w, const whole_store *s, int turned, int backward, int64_t at, int64_t n,
                         mbk_buf *to, int64_t to_row) {
    int64_t d = w->m->cfg.d_model;
    size_t bytes = (size_t)d * sizeof(float);
    const float *from = w->stage;
    if (!turned && !backward) {
        from = place(w, s, 0, at);
    } else {
        for (int64_t i = 0; i < n; i++) {
            const float *row = place(w, s, turned != backward, at + i);
            if (turned) {
                turn_row(row, w->stage + i * d, d);
            } else {
                memcpy(w->stage + i * d, row, bytes);
            }
        }
    }
    return w->m->ctx->ops->upload(w->m->ctx, to, (size_t)to_row * bytes, from, (size_t)n * bytes);
}

mbk_status mbs_whole_put(mbs_whole *w, whole_store *s, int turned, int backward, int64_t at, int64_t n, mbk_buf *from,
                         int64_t from_row) {
    int64_t d = w->m->cfg.d_model;
    size_t bytes = (size_t)d * sizeof(float);
    float *to = !turned && !backward ? place(w, s, 0, at) : w->stage;
    mbk_status st = w->m->ctx->ops->download(w->m->ctx, to, from, (size_t)from_row * bytes, (size_t)n * bytes);
    for (int64_t i = 0; st >= 0 && to == w->stage && i < n; i++) {
        float *row = place(w, s, turned != backward, at + i);
        if (turned) {
            turn_row(w->stage + i * d, row, d);
        } else {
            memcpy(row, w->stage + i * d, bytes);
        }
    }
    return st;
}

/* --- what is given --------------------------------------------------------------------------------------------------
 */

/* Rows [from, from + n) of one stream, as they are wanted, in `normed`: of the second those that belong to them, its
 * own reading turned back. */
static mbk_status give(mbs_whole *w, int second, int64_t from, int64_t n) {
    const mbs_model *m = w->m;
    int64_t d = m->cfg.d_model;
    mbk_status st = mbs_whole_get(w, &w->resid, w->turned, second, from, n, w->x, 0);
    if (st >= 0 && w->final) {
        return mbs_model_norm(m, rows_of(w->normed, 0, n, d), rows_of(w->x, 0, n, d), m->norm_w, m->norm_b);
    }
    return st < 0 ? st : m->ctx->ops->copy(m->ctx, rows_of(w->normed, 0, n, d), rows_of(w->x, 0, n, d));
}

static mbs_status check(const mbs_whole *w, int64_t from, int64_t n, mbs_err *err) {
    if (w->pass != WHOLE_DONE || from < 0 || n < 1 || from > w->n - n) {
        return mbs_fail(err, MBS_ERR_INTERNAL, w->m->folder, "rows that have not been gone through");
    }
    return MBS_OK;
}

mbs_status mbs_whole_hidden(mbs_whole *w, int64_t from, int64_t n, float *out, mbs_err *err) {
    const mbs_model *m = w->m;
    int64_t d = m->cfg.d_model;
    int64_t width = mbs_whole_width(m);
    mbs_status ok = check(w, from, n, err);
    mbk_status st = MBS_OK;
    for (int64_t at = 0; ok >= 0 && st >= 0 && at < n; at += w->tile) {
        int64_t rows = n - at < w->tile ? n - at : w->tile;
        for (int second = 0; second <= m->cfg.rcps && st >= 0; second++) {
            st = give(w, second, from + at, rows);
            st =
                st < 0 ? st : m->ctx->ops->download(m->ctx, w->stage, w->normed, 0, (size_t)(rows * d) * sizeof(float));
            for (int64_t i = 0; i < rows && st >= 0; i++) {
                float *to = out + (at + i) * width + (second ? d : 0);
                if (second) {
                    turn_row(w->stage + i * d, to, d);
                } else {
                    memcpy(to, w->stage + i * d, (size_t)d * sizeof(float));
                }
            }
        }
    }
    return ok < 0 ? ok : st < 0 ? mbs_backend_fail(m->ctx, err, st, m->folder, "giving rows") : MBS_OK;
}

/* Logits of at most head_tile rows, into `logits`. */
static mbk_status make_logits(mbs_whole *w, int64_t from, int64_t n) {
    const mbs_model *m = w->m;
    const mbk_mat none = {0};
    mbk_mat x = rows_of(w->normed, 0, n, m->cfg.d_model);
    mbk_mat y = rows_of(w->logits, 0, n, m->cfg.vocab_rows);
    mbk_status st = give(w, 0, from, n);
    st = st < 0 ? st : m->ctx->ops->gemm(m->ctx, y, x, m->head, none, 0);
    if (st >= 0 && m->cfg.rcps) {
        st = give(w, 1, from, n);
        st = st < 0 ? st : m->ctx->ops->gemm(m->ctx, y, x, m->head_rc, none, 1);
    }
    return st;
}

static mbs_status check_head(const mbs_whole *w, mbs_err *err) {
    if (w->m->head && w->final) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_CONFIG, w->m->folder,
             "the model is a classifier without a language head: it predicts no "
             "tokens");
    mbs_err_fix(err, "use task classify or embed, or a model with a language head");
    return MBS_ERR_CONFIG;
}

mbs_status mbs_whole_logits(mbs_whole *w, int64_t from, int64_t n, float *out, mbs_err *err) {
    const mbs_model *m = w->m;
    int64_t v = m->cfg.vocab_rows;
    mbs_status ok = check(w, from, n, err);
    ok = ok < 0 ? ok : check_head(w, err);
    mbk_status st = MBS_OK;
    for (int64_t at = 0; ok >= 0 && st >= 0 && at < n; at += w->head_tile) {
        int64_t rows = n - at < w->head_tile ? n - at : w->head_tile;
        st = make_logits(w, from + at, rows);
        st = st < 0 ? st : m->ctx->ops->download(m->ctx, out + at * v, w->logits, 0, (size_t)(rows * v) * sizeof *out);
    }
    return ok < 0 ? ok : st < 0 ? mbs_backend_fail(m->ctx, err, st, m->folder, "giving logits") : MBS_OK;
}

/* Whether a sequence begins with row r. */
static int is_start(const mbs_whole *w, int64_t r) {
    int64_t low = 0;
    int64_t high = w->n_edges;
    while (low < high) {
        int64_t mid = (low + high) / 2;
        if (w->edges[mid] < r) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return w->edges[low] == r;
}

/* Log-probabilities of at most head_tile rows of targets that are in `ints`, from the rows that predict them. */
static mbk_status score(mbs_whole *w, int64_t from, int64_t n, float *out) {
    mbk_ctx *ctx = w->m->ctx;
    mbk_mat lp = {w->logprob, 0, n, 1, 1};
    mbk_mat logits = rows_of(w->logits, 0, n, w->m->cfg.vocab_rows);
    mbk_status st = make_logits(w, from, n);
    st = st < 0 ? st : ctx->ops->upload(ctx, w->ids, 0, w->ints, (size_t)n * sizeof *w->ints);
    st = st < 0 ? st : ctx->ops->logprob(ctx, lp, logits, w->ids, 0);
    return st < 0 ? st : ctx->ops->download(ctx, out, w->logprob, 0, (size_t)n * sizeof *out);
}

mbs_status mbs_whole_logprob(mbs_whole *w, int64_t from, int64_t n, const int32_t *targets, float *out, mbs_err *err) {
    const mbs_model *m = w->m;
    int64_t behind = !m->cfg.masked;
    mbs_status ok = check(w, from, n, err);
    ok = ok < 0 ? ok : check_head(w, err);
    mbk_status st = MBS_OK;
    int64_t first = behind && from == 0 && ok >= 0; /* nothing predicts row 0 */
    if (first) {
        out[0] = NAN;
    }
    for (int64_t at = first; ok >= 0 && st >= 0 && at < n; at += w->head_tile) {
        int64_t rows = n - at < w->head_tile ? n - at : w->head_tile;
        for (int64_t i = 0; i < rows; i++) {
            int64_t r = from + at + i;
            w->ints[i] = behind && is_start(w, r) ? -1 : targets ? targets[at + i] : w->tokens[r];
        }
        st = score(w, from + at - behind, rows, out + at);
        for (int64_t i = 0; i < rows && st >= 0 && ok >= 0; i++) {
            ok = isnan(out[at + i]) && w->ints[i] >= 0 ? mbs_model_no_number(m, from + at + i, err) : MBS_OK;
        }
    }
    return ok < 0 ? ok : st < 0 ? mbs_backend_fail(m->ctx, err, st, m->folder, "giving scores") : MBS_OK;
}
