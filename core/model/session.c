/*
 * session.c - one stream through a model: its state, its scratch, and the way of a chunk.
 *
 * A call of any length is worked off in tiles of at most `tile` rows; everything a tile needs was allocated by
 * mbs_session_new. The row after the last norm of the newest token is kept (row 0 of `normed`), because it is what
 * predicts the next token: one head computation a token, wherever a sequence is cut.
 */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/front.h"
#include "model/session_impl.h"
#include "model/whole.h"

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

/* Floats of scratch that serve every layer. */
static int64_t scratch_floats(const mbs_model *m, int64_t rows) {
    int64_t most = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        int64_t n = m->layers[i].mixer->scratch_floats(&m->cfg, m->layers[i].index, rows);
        most = n > most ? n : most;
    }
    return most;
}

/* Columns of the widest matrix that is made. */
static int64_t widest(const mbs_model *m) {
    int64_t most = m->cfg.vocab_rows > m->cfg.d_model ? m->cfg.vocab_rows : m->cfg.d_model;
    most = m->cfg.frame_width > most ? m->cfg.frame_width : most;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        int64_t n = m->layers[i].mixer->widest(&m->cfg, m->layers[i].index);
        most = n > most ? n : most;
    }
    return most;
}

/* Of a row of logits; one where nothing predicts tokens. */
static int64_t logit_columns(const mbs_model_config *c) {
    return c->vocab_rows > 0 ? c->vocab_rows : 1;
}

/* As the backend wants them, halved so many times. */
static void plan(mbs_session *s, int halved) {
    const mbs_model_config *c = &s->m->cfg;
    const mbk_pace *p = &s->m->ctx->ops->pace;
    int64_t row = scratch_floats(s->m, 16) / 16 + 2 * c->d_model;
    int64_t most = s->max_rows;
    s->tile = clamp(p->floats / row / p->unit * p->unit, p->least, p->most);
    s->tile = halved > 0 && most < s->tile ? most : s->tile; /* half of what would have been called with */
    s->tile = clamp((s->tile >> halved) / p->unit * p->unit, p->unit, s->tile);
    s->head_tile = clamp((p->floats >> halved) / logit_columns(c) / p->unit * p->unit, p->least, s->tile + 1);
    s->tile = s->tile < most ? s->tile : most;
    s->head_tile = s->head_tile < s->tile + 1 ? s->head_tile : s->tile + 1;
}

static mbs_status allocate(mbs_session *s, mbs_err *err) {
    const mbs_model_config *c = &s->m->cfg;
    mbk_ctx *ctx = s->m->ctx;
    const struct {
        mbk_buf **buf;
        int64_t count;
        int64_t size;
    } wanted[] = {
        {&s->state, session_floats(s) + 1, 4},
        {&s->resid, s->tile * c->d_model, 4},
        {&s->normed, (s->tile + 1) * c->d_model, 4},
        {&s->scratch, scratch_floats(s->m, s->tile), 4},
        {&s->logits, s->head_tile * logit_columns(c), 4},
        {&s->logprob, s->tile, 4},
        {&s->ids, 2 * s->tile, 4},
        {&s->frames, c->frame_width > 0 ? 2 * s->tile * c->frame_width : 1, 4},
        {&s->targets, 2 * s->tile, 4},
        {&s->starts, 2 * s->tile, 4},
        {&s->sum, c->d_model, 8},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        mbk_status st = ctx->ops->buf_new(ctx, (size_t)(wanted[i].count * wanted[i].size), wanted[i].buf);
        if (st < 0) {
            return mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "making room for a stream");
        }
    }
    mbk_status st = ctx->ops->reserve(ctx, s->tile + 1, widest(s->m));
    if (st < 0) {
        return mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "making room for a stream");
    }
    size_t host = (size_t)(session_floats(s) + s->m->state_most + 2 * c->d_model) * sizeof *s->host;
    mbs_status past = mbs_session_past_new(s, err);
    if (past < 0) {
        return past;
    }
    s->host = mbs_alloc(host);
    s->row_ids = mbs_calloc((size_t)s->tile, sizeof *s->row_ids);
    return s->host && s->row_ids ? MBS_OK : mbs_fail_memory(err, s->m->folder, host);
}

void mbs_session_free(mbs_session *s) {
    if (!s) {
        return;
    }
    mbk_ctx *ctx = s->m->ctx;
    (void)mbs_later_settle(s->later);
    mbs_later_free(s->later);
    mbs_session_drop_sampler(s);
    mbs_session_drop_steps(s);
    mbs_session_past_free(s);
    mbk_buf *bufs[] = {s->state, s->resid,   s->normed, s->scratch, s->logits, s->logprob,
                       s->ids,   s->targets, s->starts, s->sum,     s->frames};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        ctx->ops->buf_free(ctx, bufs[i]);
    }
    mbs_free(s->host);
    mbs_free(s->row_ids);
    mbs_free(s);
}

int64_t mbs_session_tokens(const mbs_session *s) {
    return s->tokens;
}

/* --- running --------------------------------------------------------------------------------------------------------
 */

/* What one tile has to give. */
typedef struct tile {
    mbs_feed feed; /* n rows */
    int64_t n;
    int64_t at;   /* row of the call that the tile begins with */
    int64_t slot; /* of ids, targets and starts: where its own begin */
    int last;     /* the call ends with it */
    const mbs_run_out *out;
    const int32_t *starts; /* rows of the call at which sequences begin, those of this tile */
    int64_t n_starts;
} tile;

/* One row after which the next token is wanted: decoding, where steps can be recorded. */
static int is_step(const mbs_session *s, const tile *t) {
    const mbs_run_out *o = t->out;
    return s->period > 0 && t->n == 1 && t->last && t->slot == 0 && t->n_starts == 0 && (o->last_logits || o->next) &&
           !o->logits && !o->logprob && !o->hidden && !o->last_hidden && !o->sum;
}

static mbk_status upload_frames(mbs_session *s, const tile *t) {
    size_t row = (size_t)s->m->cfg.frame_width * sizeof *t->feed.frames;
    return s->m->ctx->ops->upload(s->m->ctx, s->frames, (size_t)t->slot * row, t->feed.frames, (size_t)t->n * row);
}

/* `fresh`: its first row begins a sequence. */
static mbk_status upload_ids(mbs_session *s, const tile *t, int fresh) {
    mbk_ctx *ctx = s->m->ctx;
    size_t bytes = (size_t)t->n * sizeof *t->feed.ids;
    size_t slot = (size_t)t->slot * sizeof *t->feed.ids;
    mbk_status st = ctx->ops->upload(ctx, s->ids, slot, t->feed.ids, bytes);
    if (is_step(s, t)) {
        return st; /* of whose tokens nobody asks how likely they were */
    }
    memmove(s->row_ids, t->feed.ids, bytes); /* which may be those */
    if (fresh) {
        s->row_ids[0] = -1;
    }
    for (int64_t i = 0; i < t->n_starts; i++) {
        s->row_ids[t->starts[i] - t->at] = -1;
    }
    return st < 0 ? st : ctx->ops->upload(ctx, s->targets, slot, s->row_ids, bytes);
}

static mbk_status upload_rows(mbs_session *s, const tile *t, int fresh) {
    mbk_ctx *ctx = s->m->ctx;
    size_t slot = (size_t)t->slot * sizeof *s->row_ids;
    mbk_status st = s->m->front ? upload_frames(s, t) : upload_ids(s, t, fresh);
    if (st >= 0 && t->n_starts > 0) {
        for (int64_t i = 0; i < t->n_starts; i++) {
            s->row_ids[i] = (int32_t)(t->starts[i] - t->at);
        }
        st = ctx->ops->upload(ctx, s->starts, slot, s->row_ids, (size_t)t->n_starts * sizeof *s->row_ids);
    }
    return st;
}

/* Gives what is wanted of the rows of the chosen layer, which are in `x`. */
static mbk_status give_rows(mbs_session *s, const tile *t, mbk_buf *x, int64_t from) {
    mbk_ctx *ctx = s->m->ctx;
    int64_t d = s->m->cfg.d_model;
    size_t row = (size_t)d * sizeof(float);
    mbk_status st = MBS_OK;
    if (t->out->sum) {
        st = ctx->ops->row_sum(ctx, s->sum, 0, session_rows(x, from, t->n, d));
        s->sum_rows += t->n;
    }
    if (st >= 0 && t->out->hidden) {
        st = ctx->ops->download(ctx, t->out->hidden + t->at * d, x, (size_t)from * row, (size_t)t->n * row);
    }
    if (st >= 0 && t->out->last_hidden && t->last) {
        st = ctx->ops->download(ctx, t->out->last_hidden, x, (size_t)(from + t->n - 1) * row, row);
    }
    return st;
}

/* What comes in as rows of the residual stream. */
static mbk_status first_rows(mbs_session *s, const tile *t, mbk_mat resid) {
    const mbs_model *m = s->m;
    if (!m->front) {
        return m->ctx->ops->embed(m->ctx, resid, m->table, s->ids, t->slot);
    }
    mbk_mat bias = {m->front_bias, 0, 1, m->cfg.d_model, m->cfg.d_model};
    return m->ctx->ops->gemm(m->ctx, resid, session_rows(s->frames, t->slot, t->n, m->cfg.frame_width), m->front, bias,
                             0);
}

static mbk_status run_layers(mbs_session *s, const tile *t) {
    const mbs_model *m = s->m;
    int64_t d = m->cfg.d_model;
    mbk_mat resid = session_rows(s->resid, 0, t->n, d);
    mbk_mat normed = session_rows(s->normed, 1, t->n, d);
    mbk_status st = first_rows(s, t, resid);
    const int64_t each = mbs_config_blocks(&m->cfg);
    for (int64_t i = 0; i < m->n_blocks && st >= 0; i++) {
        const mbs_layer *layer = &m->layers[i];
        mbs_mixer_call call = {
            .ctx = m->ctx,
            .out = resid,
            .in = normed,
            .state = s->state,
            .state_at = layer->state_at,
            .scratch = s->scratch,
            .scratch_rows = s->tile,
            .position = s->tokens,
            .starts = {s->starts, t->slot, t->n_starts},
            .past = s->past ? s->past[i] : NULL,
            .past_rows = s->past ? s->past_rows[i] : 0,
            .later = s->later,
        };
        if (t->out->layer * each == i) {
            st = give_rows(s, t, s->resid, 0);
        }
        st = st < 0 ? st : mbs_layer_input(m, layer, resid, &call.in);
        st = st < 0 ? st : layer->mixer->forward(layer->weights, &call);
    }
    if (st >= 0 && t->out->layer == m->cfg.n_layer) {
        st = give_rows(s, t, s->resid, 0);
    }
    return st;
}

/* Logits of the rows [from, from + n) of `normed`, and what is wanted of them. Row r predicts the token r of the tile.
 */
static mbk_status give_logits(mbs_session *s, const tile *t, int64_t from, int64_t n) {
    mbk_ctx *ctx = s->m->ctx;
    int64_t v = s->m->cfg.vocab_rows;
    size_t row = (size_t)v * sizeof(float);
    mbk_mat none = {0};
    mbk_mat logits = session_rows(s->logits, 0, n, v);
    mbk_status st =
        ctx->ops->gemm(ctx, logits, session_rows(s->normed, from, n, s->m->cfg.d_model), s->m->head, none, 0);
    int64_t scored = from + n <= t->n ? n : t->n - from;
    if (st >= 0 && t->out->logprob && scored > 0) {
        logits.rows = scored;
        st = ctx->ops->logprob(ctx, session_rows(s->logprob, from, scored, 1), logits, s->targets, t->slot + from);
    }
    int64_t first = from == 0; /* row 0 belongs to the tile before */
    if (st >= 0 && t->out->logits && n > first) {
        st = ctx->ops->download(ctx, t->out->logits + (t->at + from + first - 1) * v, s->logits, (size_t)first * row,
                                (size_t)(n - first) * row);
    }
    if (st >= 0 && t->out->last_logits && t->last && from + n == t->n + 1) {
        st = ctx->ops->download(ctx, t->out->last_logits, s->logits, (size_t)(n - 1) * row, row);
    }
    if (st >= 0 && t->out->next && t->last && from + n == t->n + 1) {
        st = mbs_session_draw_rows(s, t->out->next, n - 1, 1);
    }
    return st;
}

static mbk_status run_head(mbs_session *s, const tile *t) {
    const mbs_run_out *out = t->out;
    int to_end = out->logits != NULL || ((out->last_logits || out->next) && t->last);
    int64_t begin = out->logprob ? 0 : out->logits ? 1 : t->n;
    int64_t end = to_end ? t->n + 1 : t->n; /* rows of `normed` */
    mbk_status st = MBS_OK;
    for (int64_t r = begin; r < end && st >= 0; r += s->head_tile) {
        st = give_logits(s, t, r, end - r < s->head_tile ? end - r : s->head_tile);
    }
    if (st >= 0 && out->logprob) {
        st = s->m->ctx->ops->download(s->m->ctx, out->logprob + t->at, s->logprob, 0, (size_t)t->n * sizeof(float));
    }
    return st;
}

/* The operations of a call of one row that predicts the next token. */
static mbk_status queue_step(mbs_session *s) {
    const mbs_model *m = s->m;
    const mbs_run_out out = {.layer = -1};
    const mbk_mat none = {0};
    int64_t d = m->cfg.d_model;
    tile t = {.n = 1, .last = 1, .out = &out};
    mbk_mat row = session_rows(s->normed, 1, 1, d);
    mbk_status st = run_layers(s, &t);
    st = st < 0 ? st : mbs_model_norm(m, row, session_rows(s->resid, 0, 1, d), m->norm_w, m->norm_b);
    if (st >= 0) {
        st = m->ctx->ops->gemm(m->ctx, session_rows(s->logits, 0, 1, m->cfg.vocab_rows), row, m->head, none, 0);
    }
    if (st >= 0 && mbs_session_draws(s)) {
        st = mbs_session_queue_draw(s, 0, 1);
    }
    return st < 0 ? st : m->ctx->ops->copy(m->ctx, session_rows(s->normed, 0, 1, d), row);
}

static mbk_status run_step(mbs_session *s, const tile *t) {
    mbk_ctx *ctx = s->m->ctx;
    size_t bytes = (size_t)s->m->cfg.vocab_rows * sizeof(float);
    mbk_status st = t->out->next ? mbs_session_put_places(s, t->out->next, 1) : MBS_OK;
    st = st < 0 ? st : mbs_session_step(s, queue_step);
    if (st >= 0 && t->out->last_logits) {
        st = ctx->ops->download(ctx, t->out->last_logits, s->logits, 0, bytes);
    }
    if (st >= 0 && t->out->next) {
        st = mbs_session_take_draws(s, t->out->next, 1);
    }
    s->tokens++;
    return st;
}

/* The ids of `t` are on the device; those of `next` (NULL: there is none) go there while it is computed. */
static mbk_status run_tile(mbs_session *s, const tile *t, const tile *next) {
    const mbs_model *m = s->m;
    const mbs_run_out *out = t->out;
    int64_t d = m->cfg.d_model;
    int all = out->logits || out->logprob || (out->layer < 0 && (out->hidden || out->sum));
    int64_t first = all ? 0 : t->n - 1;
    if (t->n == 1 && !s->stepped) {
        s->stepped = 1;
        mbs_later_new(m, s->scratch, &s->later);
    }
    mbk_status st = run_layers(s, t);
    st = st < 0 || !next ? st : upload_rows(s, next, 0);
    if (st >= 0) {
        st = mbs_model_norm(m, session_rows(s->normed, 1 + first, t->n - first, d),
                            session_rows(s->resid, first, t->n - first, d), m->norm_w, m->norm_b);
    }
    if (st >= 0 && out->layer < 0) {
        st = give_rows(s, t, s->normed, 1);
    }
    st = st < 0 ? st : run_head(s, t);
    st = st < 0 ? st : m->ctx->ops->copy(m->ctx, session_rows(s->normed, 0, 1, d), session_rows(s->normed, t->n, 1, d));
    s->tokens = t->n_starts ? t->at + t->n - t->starts[t->n_starts - 1] : s->tokens + t->n;
    return st;
}

/* The largest call that there will be, so that a device has reserved what it needs. */
static mbs_status try_out(mbs_session *s, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    const mbs_run_out none = {.layer = -1};
    tile t = {.feed = {.ids = s->row_ids}, .n = s->tile, .last = 1, .out = &none};
    mbs_status room = mbs_session_past_reserve(s, s->tile, err);
    if (room < 0) {
        return room;
    }
    mbk_status st = ctx->ops->zero(ctx, session_rows(s->state, 0, 1, session_floats(s)));
    st = st < 0 ? st : upload_rows(s, &t, 1);
    memset(s->row_ids, 0, (size_t)s->tile * sizeof *s->row_ids);
    st = st < 0 ? st : run_layers(s, &t);
    for (int64_t rows = s->head_tile; st >= 0 && s->m->head && rows > 0; rows = rows > 1) {
        st = give_logits(s, &t, s->tile + 1 - rows, rows); /* many rows, then one */
    }
    st = st < 0 ? st : ctx->ops->sync(ctx);
    return st < 0 ? mbs_backend_fail(ctx, err, st, s->m->folder, "making room for a stream")
                  : mbs_session_reset(s, err);
}

mbs_status mbs_session_new(mbs_model *m, int64_t max_rows, mbs_session **out, mbs_err *err) {
    const int most = m->ctx->ops->pace.halvings;
    *out = NULL;
    if (mbs_model_takes_whole(m)) {
        mbs_fail(err, MBS_ERR_CONFIG, m->folder, "the model takes whole records: it does not read row by row");
        mbs_err_fix(err, "use task score, logits, embed or classify");
        return MBS_ERR_CONFIG;
    }
    if (max_rows < 1) {
        return mbs_fail(err, MBS_ERR_INTERNAL, m->folder, "a session of %lld rows", (long long)max_rows);
    }
    for (int halved = 0;; halved++) {
        mbs_err why = {0};
        mbs_session *s = mbs_calloc(1, sizeof *s);
        if (!s) {
            return mbs_fail_memory(err, m->folder, sizeof *s);
        }
        s->m = m;
        s->max_rows = max_rows;
        plan(s, halved);
        mbs_status st = allocate(s, &why);
        st = st < 0 || most == 0 ? st : try_out(s, &why);
        if (st >= 0) {
            mbs_session_plan_steps(s);
            *out = s;
            return MBS_OK;
        }
        int64_t rows = s->tile;
        mbs_session_free(s);
        if (st != MBS_ERR_MEMORY || halved == most || rows <= m->ctx->ops->pace.unit) {
            if (err && err->status == MBS_OK) {
                *err = why;
            }
            return st;
        }
        mbs_log(MBS_LOG_INFO, "the device has no room for %lld rows at once: trying half as many", (long long)rows);
    }
}

static mbs_status no_lm_head(const mbs_model *m, mbs_err *err) {
    mbs_fail(err, MBS_ERR_CONFIG, m->folder, "the model %s without a language head: it predicts no tokens",
             m->front ? "takes frames and is" : "is a classifier");
    mbs_err_fix(err, "use task classify or embed, or a model with a language head");
    return MBS_ERR_CONFIG;
}

static mbs_status no_sampler(const mbs_session *s, mbs_err *err) {
    return mbs_fail(err, MBS_ERR_INTERNAL, s->m->folder, "no sampler was given to the stream");
}

static mbs_status check_run(const mbs_session *s, const mbs_feed *feed, int64_t n, const mbs_run_out *out,
                            mbs_err *err) {
    const mbs_model *m = s->m;
    if (s->broken) {
        return mbs_fail(err, MBS_ERR_INTERNAL, m->folder, "the stream failed before and was not reset");
    }
    if (n < 1 || n > s->max_rows) {
        return mbs_fail(err, MBS_ERR_INTERNAL, m->folder, "%lld tokens at once, 1 to %lld were agreed", (long long)n,
                        (long long)s->max_rows);
    }
    if (out->layer < -1 || out->layer > m->cfg.n_layer) {
        mbs_fail(err, MBS_ERR_CONFIG, m->folder, "there is no layer %d", out->layer);
        mbs_err_fix(err, "take a layer from 0 (the embedding) to %lld", (long long)m->cfg.n_layer);
        return MBS_ERR_CONFIG;
    }
    if (!m->head && (out->logprob || out->logits || out->last_logits || out->next)) {
        return no_lm_head(m, err);
    }
    if (out->next && !mbs_session_draws(s)) {
        return no_sampler(s, err);
    }
    if (m->front ? !feed->frames : !feed->ids) {
        mbs_fail(err, MBS_ERR_CONFIG, m->folder, "the model takes %s",
                 m->front ? "frames, not tokens" : "tokens, not frames");
        mbs_err_fix(err, m->front ? "take the codec that it was trained with" : "take a codec that gives tokens");
        return MBS_ERR_CONFIG;
    }
    if (m->front) {
        return mbs_front_check(feed->frames, n, m->cfg.frame_width, s->tokens, m->folder, err);
    }
    const int32_t *ids = feed->ids;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= m->cfg.vocab_rows) {
            mbs_fail(err, MBS_ERR_DATA, m->folder, "token %lld of the sequence has id %d, the model knows 0 to %lld",
                     (long long)(s->tokens + i), (int)ids[i], (long long)m->cfg.vocab_rows - 1);
            mbs_err_fix(err, "use the vocabulary that belongs to the model");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

/* The tile at row `at` of a call of n rows; `starts` are those from there on, n_starts of them. */
static tile cut_tile(const mbs_session *s, const mbs_feed *feed, int64_t n, int64_t at, const int32_t *starts,
                     int64_t n_starts, const mbs_run_out *out) {
    int64_t rows = n - at < s->tile ? n - at : s->tile;
    tile t = {.n = rows, .at = at, .last = at + rows == n, .out = out, .starts = starts};
    t.feed.ids = feed->ids ? feed->ids + at : NULL;
    t.feed.frames = feed->frames ? feed->frames + at * s->m->cfg.frame_width : NULL;
    t.slot = at / s->tile % 2 * s->tile;
    while (t.n_starts < n_starts && starts[t.n_starts] < at + rows) {
        t.n_starts++;
    }
    return t;
}

/* Only what begins a sequence has no probability: elsewhere NaN would pass for a letter that is not scored. */
static mbs_status check_scores(mbs_session *s, const float *logprob, int64_t n, const int32_t *starts, int64_t n_starts,
                               mbs_err *err) {
    int64_t first = n_starts > 0 ? 0 : n - s->tokens; /* the row at which its sequence begins */
    for (int64_t i = 0, k = 0; i < n; i++) {
        if (k < n_starts && starts[k] == i) {
            first = starts[k++];
        }
        if (isnan(logprob[i]) && i != first) {
            s->broken = 1;
            return mbs_model_no_number(s->m, i - first, err);
        }
    }
    return MBS_OK;
}

/* Works off a checked call. `starts` has n_starts rows. */
static mbs_status run_tiles(mbs_session *s, const mbs_feed *feed, int64_t n, const int32_t *starts, int64_t n_starts,
                            const mbs_run_out *out, mbs_err *err) {
    mbs_status room = mbs_session_past_reserve(s, s->tokens + n, err);
    if (room < 0) {
        return room;
    }
    const int64_t n_all = n_starts;
    tile t = cut_tile(s, feed, n, 0, starts, n_starts, out);
    mbk_status ran = upload_rows(s, &t, s->tokens == 0);
    for (int more = 1; more && ran >= 0;) {
        tile next = t;
        more = !t.last;
        if (more) {
            n_starts -= t.n_starts;
            next = cut_tile(s, feed, n, t.at + t.n, t.starts + t.n_starts, n_starts, out);
        }
        ran = is_step(s, &t) ? run_step(s, &t) : run_tile(s, &t, more ? &next : NULL);
        t = next;
    }
    if (ran < 0) {
        s->broken = 1;
        return mbs_backend_fail(s->m->ctx, err, ran, s->m->folder, "running the model");
    }
    return out->logprob ? check_scores(s, out->logprob, n, starts, n_all, err) : MBS_OK;
}

mbs_status mbs_session_feed(mbs_session *s, const mbs_feed *feed, int64_t n, const mbs_run_out *out, mbs_err *err) {
    mbs_status st = check_run(s, feed, n, out, err);
    st = st < 0 ? st : mbs_mixers_reach(&s->m->cfg, s->tokens + n, s->m->folder, err);
    return st < 0 ? st : run_tiles(s, feed, n, NULL, 0, out, err);
}

mbs_status mbs_session_run(mbs_session *s, const int32_t *ids, int64_t n, const mbs_run_out *out, mbs_err *err) {
    return mbs_session_feed(s, &(mbs_feed){.ids = ids}, n, out, err);
}

int mbs_model_takes_many(const mbs_model *m) {
    for (int64_t i = 0; i < m->n_blocks; i++) {
        if (!m->layers[i].mixer->many) {
            return 0;
        }
    }
    return 1;
}

mbs_status mbs_session_run_many(mbs_session *s, const int32_t *ids, const int32_t *starts, int64_t n_seq,
                                const mbs_run_out *out, mbs_err *err) {
    return mbs_session_feed_many(s, &(mbs_feed){.ids = ids}, starts, n_seq, out, err);
}

mbs_status mbs_session_feed_many(mbs_session *s, const mbs_feed *feed, const int32_t *starts, int64_t n_seq,
                                 const mbs_run_out *out, mbs_err *err) {
    int sound = n_seq > 0 && starts[0] == 0 && !out->sum && !out->last_hidden && !out->last_logits && !out->next;
    for (int64_t k = 0; sound && k < n_seq; k++) {
        sound = starts[k] < starts[k + 1];
    }
    if (!sound || !mbs_model_takes_many(s->m)) {
        return mbs_fail(err, MBS_ERR_INTERNAL, s->m->folder, "these sequences cannot run together");
    }
    mbs_status st = mbs_session_reset(s, err);
    st = st < 0 ? st : check_run(s, feed, starts[n_seq], out, err);
    for (int64_t k = 0; k < n_seq && st >= 0; k++) {
        st = mbs_mixers_reach(&s->m->cfg, starts[k + 1] - starts[k], s->m->folder, err);
    }
    return st < 0 ? st : run_tiles(s, feed, starts[n_seq], starts, n_seq, out, err);
}

/* --- the state as a value -------------------------------------------------------------------------------------------
 */

mbs_status mbs_session_reset(mbs_session *s, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    int64_t d = s->m->cfg.d_model;
    mbs_later_forget(s->later);
    mbk_status st = ctx->ops->zero(ctx, session_rows(s->state, 0, 1, session_floats(s)));
    st = st < 0 ? st : ctx->ops->zero(ctx, session_rows(s->normed, 0, 1, d));
    st = st < 0 ? st : ctx->ops->zero(ctx, session_rows(s->sum, 0, 1, 2 * d)); /* a double is two floats of zeros */
    s->tokens = 0;
    s->sum_rows = 0;
    s->broken = st < 0;
    return st < 0 ? mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "resetting the stream") : MBS_OK;
}

mbs_status mbs_session_sum(mbs_session *s, double *sum, int64_t *rows, mbs_err *err) {
    mbk_status st = s->m->ctx->ops->download(s->m->ctx, sum, s->sum, 0, (size_t)s->m->cfg.d_model * sizeof *sum);
    *rows = s->sum_rows;
    return st < 0 ? mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "reading the sum") : MBS_OK;
}

mbs_status mbs_session_copy(mbs_session *dst, const mbs_session *src, mbs_err *err) {
    mbk_ctx *ctx = dst->m->ctx;
    int64_t d = dst->m->cfg.d_model;
    int64_t n = session_floats(dst);
    if (dst->m != src->m || src->broken) {
        return mbs_fail(err, MBS_ERR_INTERNAL, dst->m->folder, "a stream cannot continue one of another model");
    }
    if (dst == src) {
        return MBS_OK;
    }
    mbs_status past = mbs_session_past_copy(dst, src, err);
    if (past < 0) {
        dst->broken = 1;
        return past;
    }
    mbs_later_forget(dst->later);
    mbk_status st = mbs_later_settle(src->later);
    st = st < 0 ? st : ctx->ops->copy(ctx, session_rows(dst->state, 0, 1, n), session_rows(src->state, 0, 1, n));
    st = st < 0 ? st : ctx->ops->copy(ctx, session_rows(dst->normed, 0, 1, d), session_rows(src->normed, 0, 1, d));
    size_t bytes = (size_t)d * sizeof(double);
    st = st < 0 ? st : ctx->ops->download(ctx, dst->host, src->sum, 0, bytes);
    st = st < 0 ? st : ctx->ops->upload(ctx, dst->sum, 0, dst->host, bytes);
    dst->tokens = src->tokens;
    dst->sum_rows = src->sum_rows;
    dst->broken = st < 0;
    return st < 0 ? mbs_backend_fail(ctx, err, st, dst->m->folder, "copying a stream") : MBS_OK;
}

/* --- looking at a stream --------------------------------------------------------------------------------------------
 */

/* logits and next: NULL where it is not wanted. */
static mbs_status predict(mbs_session *s, float *logits, mbs_next *next, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    mbk_mat none = {0};
    int64_t v = s->m->cfg.vocab_rows;
    if (s->broken || s->tokens == 0) {
        return mbs_fail(err, MBS_ERR_INTERNAL, s->m->folder, "a stream that %s predicts nothing",
                        s->broken ? "failed before" : "has seen nothing");
    }
    if (!s->m->head) {
        return no_lm_head(s->m, err);
    }
    mbk_mat newest = session_rows(s->normed, 0, 1, s->m->cfg.d_model);
    mbk_status st = ctx->ops->gemm(ctx, session_rows(s->logits, 0, 1, v), newest, s->m->head, none, 0);
    if (st >= 0 && logits) {
        st = ctx->ops->download(ctx, logits, s->logits, 0, (size_t)v * sizeof *logits);
    }
    if (st >= 0 && next) {
        st = mbs_session_draw_rows(s, next, 0, 1);
    }
    return st < 0 ? mbs_backend_fail(s->m->ctx, err, st, s->m->folder, "predicting the next token") : MBS_OK;
}

mbs_status mbs_session_predict(mbs_session *s, float *logits, mbs_err *err) {
    return predict(s, logits, NULL, err);
}

mbs_status mbs_session_draw_newest(mbs_session *s, mbs_next *next, mbs_err *err) {
    return mbs_session_draws(s) ? predict(s, NULL, next, err) : no_sampler(s, err);
}
