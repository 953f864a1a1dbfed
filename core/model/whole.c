/* whole.c - records layer by layer; see whole.h and, for how rows lie, whole_impl.h. */
#include "model/whole.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/whole_impl.h"

int mbs_model_takes_whole(const mbs_model *m) {
    int whole = m->cfg.layout == MBS_LAYOUT_CADUCEUS;
    for (int64_t i = 0; i < m->n_blocks && !whole; i++) {
        whole = m->layers[i].mixer->whole;
    }
    return whole;
}

int64_t mbs_whole_width(const mbs_model *m) {
    return m->cfg.d_model * (m->cfg.rcps ? 2 : 1);
}

static mbk_mat rows_of(mbk_buf *buf, int64_t from, int64_t n, int64_t cols) {
    return (mbk_mat){buf, from * cols, n, cols, cols};
}

/* --- room -----------------------------------------------------------------------------------------------------------
 */

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

/* Of mixers that work in tiles (whole 0), or of those that want all rows. */
static int64_t scratch_floats(const mbs_model *m, int64_t rows, int whole) {
    int64_t most = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        const mbs_mixer *mixer = m->layers[i].mixer;
        int64_t n = mixer->whole == whole ? mixer->scratch_floats(&m->cfg, m->layers[i].index, rows) : 0;
        most = n > most ? n : most;
    }
    return most;
}

static int64_t widest(const mbs_model *m) {
    int64_t most = m->cfg.vocab_rows > m->cfg.d_model ? m->cfg.vocab_rows : m->cfg.d_model;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        int64_t n = m->layers[i].mixer->widest(&m->cfg, m->layers[i].index);
        most = n > most ? n : most;
    }
    return most;
}

static mbs_status allocate(mbs_whole *w, mbs_err *err) {
    const mbs_model *m = w->m;
    const mbs_model_config *c = &m->cfg;
    const mbk_pace *p = &m->ctx->ops->pace;
    int64_t row = scratch_floats(m, 16, 0) / 16 + 3 * c->d_model;
    w->tile = clamp(p->floats / row / p->unit * p->unit, p->least, p->most);
    w->head_tile = clamp(p->floats / c->vocab_rows / p->unit * p->unit, p->least, w->tile);
    const struct {
        mbk_buf **buf;
        int64_t floats;
    } wanted[] = {
        {&w->x, w->tile * c->d_model},
        {&w->normed, w->tile * c->d_model},
        {&w->found, w->tile * c->d_model},
        {&w->scratch, scratch_floats(m, w->tile, 0) + 1},
        {&w->state, m->state_most + 1},
        {&w->logits, w->head_tile * c->vocab_rows},
        {&w->logprob, w->head_tile},
        {&w->ids, w->tile},
        {&w->starts, w->tile},
    };
    mbk_status st = m->ctx->ops->reserve(m->ctx, w->tile, widest(m));
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && st >= 0; i++) {
        st = m->ctx->ops->buf_new(m->ctx, (size_t)wanted[i].floats * sizeof(float), wanted[i].buf);
    }
    if (st < 0) {
        return mbs_backend_fail(m->ctx, err, st, m->folder, "making room for a record");
    }
    size_t bytes = (size_t)(w->tile * c->d_model) * sizeof *w->stage;
    w->stage = mbs_alloc(bytes);
    w->ints = mbs_calloc((size_t)w->tile, sizeof *w->ints);
    return w->stage && w->ints ? MBS_OK : mbs_fail_memory(err, m->folder, bytes);
}

mbs_status mbs_whole_new(mbs_model *m, int64_t max_memory, mbs_whole **out, mbs_err *err) {
    *out = NULL;
    mbs_whole *w = mbs_calloc(1, sizeof *w);
    if (!w) {
        return mbs_fail_memory(err, m->folder, sizeof *w);
    }
    int64_t machine = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    w->m = m;
    w->max_memory = max_memory > 0 ? max_memory : machine / 2;
    w->pass = WHOLE_DONE;
    mbs_status st = allocate(w, err);
    if (st < 0) {
        mbs_whole_free(w);
        return st;
    }
    *out = w;
    return MBS_OK;
}

void mbs_whole_free(mbs_whole *w) {
    if (!w) {
        return;
    }
    mbk_buf *bufs[] = {w->x,   w->normed, w->found, w->scratch,    w->state,       w->logits, w->logprob,
                       w->ids, w->starts, w->all_x, w->all_normed, w->all_scratch, w->past};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        w->m->ctx->ops->buf_free(w->m->ctx, bufs[i]);
    }
    mbs_whole_store_free(&w->resid);
    mbs_whole_store_free(&w->half);
    mbs_free(w->stage);
    mbs_free(w->ints);
    mbs_free(w->tokens);
    mbs_free(w->edges);
    mbs_free(w);
}

int mbs_whole_spilled(const mbs_whole *w) {
    return w->spilled;
}

int64_t mbs_whole_bytes(const mbs_whole *w) {
    return (w->m->cfg.both ? 2 : 1) * w->rows * w->m->cfg.d_model * (int64_t)sizeof(float);
}

/* What positions of the longest sequence leave behind, for mixers that look back. */
static mbs_status make_past(mbs_whole *w, int64_t longest, mbs_err *err) {
    const mbs_model *m = w->m;
    int64_t most = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        most = m->layers[i].past_floats > most ? m->layers[i].past_floats : most;
    }
    if (most == 0 || longest <= w->past_rows) {
        return MBS_OK;
    }
    int64_t bytes;
    m->ctx->ops->buf_free(m->ctx, w->past);
    w->past = NULL;
    w->past_rows = 0;
    mbk_status st = mbs_mul_i64_overflow(longest, most * 4, &bytes) || bytes + mbs_whole_bytes(w) > w->max_memory
                        ? MBS_ERR_MEMORY
                        : m->ctx->ops->buf_new(m->ctx, (size_t)bytes, &w->past);
    w->past_rows = st < 0 ? 0 : longest;
    return st < 0 ? mbs_backend_fail(m->ctx, err, st, m->folder, "making room for what attention looks back at")
                  : MBS_OK;
}

/* All rows of the longest sequence, for mixers that want them; those cannot lie in a file. */
static mbs_status make_all(mbs_whole *w, int64_t longest, mbs_err *err) {
    const mbs_model *m = w->m;
    int64_t scratch = scratch_floats(m, longest, 1);
    if (scratch == 0) {
        return MBS_OK;
    }
    int64_t bytes = (2 * longest * m->cfg.d_model + scratch) * (int64_t)sizeof(float);
    if (bytes + mbs_whole_bytes(w) > w->max_memory) {
        const double mib = 1024.0 * 1024;
        mbs_fail(err, MBS_ERR_MEMORY, m->folder,
                 "a record of %lld tokens takes %.1f MiB, and model.max_memory is %.1f MiB", (long long)longest,
                 (double)(bytes + mbs_whole_bytes(w)) / mib, (double)w->max_memory / mib);
        mbs_err_fix(err, "raise model.max_memory, or take shorter records");
        return MBS_ERR_MEMORY;
    }
    if (longest <= w->all_rows) {
        return MBS_OK;
    }
    const mbk_ops *ops = m->ctx->ops;
    mbk_buf **bufs[] = {&w->all_x, &w->all_normed, &w->all_scratch};
    int64_t floats[] = {longest * m->cfg.d_model, longest * m->cfg.d_model, scratch};
    w->all_rows = 0;
    mbk_status st = ops->reserve(m->ctx, longest, widest(m));
    for (int k = 0; k < 3 && st >= 0; k++) {
        ops->buf_free(m->ctx, *bufs[k]);
        *bufs[k] = NULL;
        st = ops->buf_new(m->ctx, (size_t)floats[k] * sizeof(float), bufs[k]);
    }
    w->all_rows = st < 0 ? 0 : longest;
    return st < 0 ? mbs_backend_fail(m->ctx, err, st, m->folder, "making room for a record") : MBS_OK;
}

/* --- a call ---------------------------------------------------------------------------------------------------------
 */

static mbs_status check_call(const mbs_whole *w, const int32_t *ids, const int64_t *starts, int64_t n_seq, int layers,
                             mbs_err *err) {
    const mbs_model_config *c = &w->m->cfg;
    int sound = n_seq > 0 && starts[0] == 0;
    for (int64_t k = 0; sound && k < n_seq; k++) {
        sound = starts[k] < starts[k + 1];
    }
    if (!sound || layers < -1) {
        return mbs_fail(err, MBS_ERR_INTERNAL, w->m->folder, "these sequences cannot run");
    }
    if (layers > c->n_layer) {
        mbs_fail(err, MBS_ERR_CONFIG, w->m->folder, "there is no layer %d", layers);
        mbs_err_fix(err, "take a layer from 0 (the embedding) to %lld", (long long)c->n_layer);
        return MBS_ERR_CONFIG;
    }
    for (int64_t i = 0; i < starts[n_seq]; i++) {
        if (ids[i] < 0 || ids[i] >= c->vocab_rows) {
            mbs_fail(err, MBS_ERR_DATA, w->m->folder, "token %lld has id %d, the model knows 0 to %lld", (long long)i,
                     (int)ids[i], (long long)c->vocab_rows - 1);
            mbs_err_fix(err, "use the vocabulary that belongs to the model");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

static mbs_status copy_call(mbs_whole *w, const int32_t *ids, const int64_t *starts, int64_t n_seq, mbs_err *err) {
    int64_t edges = n_seq * (w->m->cfg.rcps ? 2 : 1);
    int32_t *tokens = mbs_grow(w->tokens, &w->cap_tokens, (size_t)w->n, sizeof *tokens);
    w->tokens = tokens ? tokens : w->tokens;
    int64_t *e = mbs_grow(w->edges, &w->cap_edges, (size_t)edges + 1, sizeof *e);
    w->edges = e ? e : w->edges;
    if (!tokens || !e) {
        return mbs_fail_memory(err, w->m->folder, (size_t)w->n * sizeof *tokens);
    }
    memcpy(tokens, ids, (size_t)w->n * sizeof *tokens);
    for (int64_t k = 0; k <= n_seq; k++) {
        e[k] = starts[k];
        if (w->m->cfg.rcps) {
            e[edges - k] = w->rows - starts[k];
        }
    }
    w->n_edges = edges;
    return MBS_OK;
}

mbs_status mbs_whole_begin(mbs_whole *w, const int32_t *ids, const int64_t *starts, int64_t n_seq, int layers,
                           mbs_err *err) {
    mbs_status st = check_call(w, ids, starts, n_seq, layers, err);
    int64_t bytes = 0;
    int64_t longest = 0;
    if (st < 0) {
        return st;
    }
    w->pass = WHOLE_DONE;
    w->n = starts[n_seq];
    w->rows = w->n * (w->m->cfg.rcps ? 2 : 1);
    w->final = layers < 0;
    w->layers = (layers < 0 ? w->m->cfg.n_layer : layers) * mbs_config_blocks(&w->m->cfg);
    if (mbs_mul_i64_overflow(w->rows, w->m->cfg.d_model * 8, &bytes)) {
        return mbs_fail(err, MBS_ERR_MEMORY, w->m->folder, "a record of %lld tokens is too long", (long long)w->n);
    }
    bytes = w->rows * w->m->cfg.d_model * (int64_t)sizeof(float);
    w->spilled = mbs_whole_bytes(w) > w->max_memory;
    for (int64_t k = 0; k < n_seq; k++) {
        longest = starts[k + 1] - starts[k] > longest ? starts[k + 1] - starts[k] : longest;
    }
    st = copy_call(w, ids, starts, n_seq, err);
    st = st < 0 ? st : make_past(w, longest, err);
    st = st < 0 ? st : make_all(w, longest, err);
    st = st < 0 ? st : mbs_whole_store_room(&w->resid, (size_t)bytes, w->spilled, err);
    if (st >= 0 && w->m->cfg.both) {
        st = mbs_whole_store_room(&w->half, (size_t)bytes, w->spilled, err);
    }
    if (st >= 0) {
        w->pass = WHOLE_EMBED;
        w->layer = w->at = 0;
        w->turned = 0;
    }
    return st;
}

/* --- the way of a tile ----------------------------------------------------------------------------------------------
 */

/* What is read at row r: of the second stream the complement. */
static int32_t token_at(const mbs_whole *w, int64_t r) {
    return r < w->n ? w->tokens[r] : w->m->cfg.complement[w->tokens[w->rows - 1 - r]];
}

static mbk_status embed(mbs_whole *w, int64_t n) {
    const mbs_model *m = w->m;
    for (int64_t i = 0; i < n; i++) {
        w->ints[i] = token_at(w, w->at + i);
    }
    mbk_status st = m->ctx->ops->upload(m->ctx, w->ids, 0, w->ints, (size_t)n * sizeof *w->ints);
    st = st < 0 ? st : m->ctx->ops->embed(m->ctx, rows_of(w->x, 0, n, m->cfg.d_model), m->table, w->ids, 0);
    return st < 0 ? st : mbs_whole_put(w, &w->resid, 0, 0, w->at, n, w->x, 0);
}

/* Where sequence k begins, reading this way. */
static int64_t edge(const mbs_whole *w, int backward, int64_t k) {
    return backward ? w->rows - w->edges[w->n_edges - k] : w->edges[k];
}

/* The first of the sequences that begins at row r or behind it. */
static int64_t next_edge(const mbs_whole *w, int backward, int64_t r) {
    int64_t low = 0;
    int64_t high = w->n_edges;
    while (low < high) {
        int64_t mid = (low + high) / 2;
        if (edge(w, backward, mid) < r) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* How many rows the next tile takes; sequences that begin in it, as rows of it, go to the device. Mixers that take one
 * sequence at a time get tiles that end with it. */
static mbk_status cut(mbs_whole *w, const mbs_layer *layer, int backward, int64_t *n, mbs_mixer_call *call) {
    int64_t first = next_edge(w, backward, w->at);
    int fresh = edge(w, backward, first) == w->at;
    int64_t begun = fresh ? w->at : edge(w, backward, first - 1);
    int64_t count = 0;
    *n = w->rows - w->at < w->tile ? w->rows - w->at : w->tile;
    call->position = w->at - begun;
    if (!layer->mixer->many) {
        int64_t end = edge(w, backward, first + fresh);
        *n = end - w->at < *n ? end - w->at : *n;
        return fresh ? w->m->ctx->ops->zero(w->m->ctx, rows_of(w->state, 0, 1, layer->state_floats)) : MBS_OK;
    }
    if (w->n_edges == 1) {
        return fresh ? w->m->ctx->ops->zero(w->m->ctx, rows_of(w->state, 0, 1, layer->state_floats)) : MBS_OK;
    }
    while (first + count < w->n_edges && edge(w, backward, first + count) < w->at + *n) {
        w->ints[count] = (int32_t)(edge(w, backward, first + count) - w->at);
        count++;
    }
    call->starts = (mbk_starts){w->starts, 0, count};
    return count ? w->m->ctx->ops->upload(w->m->ctx, w->starts, 0, w->ints, (size_t)count * sizeof *w->ints) : MBS_OK;
}

/* A tile through the mixer that reads this way: the residual rows to x, what was found to `found` or, of a layer that
 * reads one way, added to x. */
static mbk_status mix(mbs_whole *w, const mbs_layer *layer, int backward, int64_t *n) {
    const mbs_model *m = w->m;
    const mbk_ops *ops = m->ctx->ops;
    int64_t d = m->cfg.d_model;
    mbs_mixer_call call = {.ctx = m->ctx, .state = w->state, .scratch = w->scratch, .scratch_rows = w->tile};
    call.past = layer->past_floats ? w->past : NULL;
    call.past_rows = w->past_rows;
    mbk_status st = cut(w, layer, backward, n, &call);
    mbk_mat x = rows_of(w->x, 0, *n, d);
    call.in = rows_of(w->normed, 0, *n, d);
    call.out = layer->reverse ? rows_of(w->found, 0, *n, d) : x;
    st = st < 0 ? st : mbs_whole_get(w, &w->resid, w->turned, backward, w->at, *n, w->x, 0);
    st = st < 0 ? st : mbs_layer_input(m, layer, x, &call.in);
    st = st < 0 || !layer->reverse ? st : ops->zero(m->ctx, call.out);
    return st < 0 ? st : layer->mixer->forward(backward ? layer->reverse : layer->weights, &call);
}

static mbk_status forward(mbs_whole *w, const mbs_layer *layer, int64_t *n) {
    mbk_status st = mix(w, layer, 0, n);
    if (st >= 0 && layer->reverse) {
        return mbs_whole_put(w, &w->half, 0, 0, w->at, *n, w->found, 0);
    }
    return st < 0 ? st : mbs_whole_put(w, &w->resid, w->turned, 0, w->at, *n, w->x, 0);
}

/* Reading from the end: what was found forward is there, both go to the residual rows. */
static mbk_status reverse(mbs_whole *w, const mbs_layer *layer, int64_t *n) {
    const mbs_model *m = w->m;
    const mbk_ops *ops = m->ctx->ops;
    mbk_status st = mix(w, layer, 1, n);
    mbk_mat x = rows_of(w->x, 0, *n, m->cfg.d_model);
    mbk_mat found = rows_of(w->found, 0, *n, m->cfg.d_model);
    mbk_mat half = rows_of(w->normed, 0, *n, m->cfg.d_model);
    st = st < 0 ? st : mbs_whole_get(w, &w->half, 0, 1, w->at, *n, w->normed, 0);
    if (st >= 0) {
        st = m->cfg.both == MBS_BOTH_ADD ? ops->add(m->ctx, found, half, found) : ops->mul(m->ctx, found, half, found);
    }
    st = st < 0 ? st : ops->add(m->ctx, x, x, found);
    return st < 0 ? st : mbs_whole_put(w, &w->resid, w->turned, 1, w->at, *n, w->x, 0);
}

/* A whole sequence through a mixer that wants one; w->at counts sequences. */
static mbk_status all_rows(mbs_whole *w, const mbs_layer *layer) {
    const mbs_model *m = w->m;
    int64_t d = m->cfg.d_model;
    int64_t from = w->edges[w->at];
    int64_t n = w->edges[w->at + 1] - from;
    mbs_mixer_call call = {
        .ctx = m->ctx,
        .out = rows_of(w->all_x, 0, n, d),
        .in = rows_of(w->all_normed, 0, n, d),
        .state = w->state,
        .scratch = w->all_scratch,
        .scratch_rows = n,
    };
    mbk_status st = MBS_OK;
    for (int64_t at = 0; at < n && st >= 0; at += w->tile) {
        int64_t rows = n - at < w->tile ? n - at : w->tile;
        st = mbs_whole_get(w, &w->resid, w->turned, 0, from + at, rows, w->all_x, at);
    }
    st = st < 0 ? st : mbs_layer_input(m, layer, call.out, &call.in);
    st = st < 0 ? st : layer->mixer->forward(layer->weights, &call);
    for (int64_t at = 0; at < n && st >= 0; at += w->tile) {
        int64_t rows = n - at < w->tile ? n - at : w->tile;
        st = mbs_whole_put(w, &w->resid, w->turned, 0, from + at, rows, w->all_x, at);
    }
    return st;
}

static void next_layer(mbs_whole *w) {
    w->at = 0;
    w->pass = w->layer < w->layers ? WHOLE_FORWARD : WHOLE_DONE;
    w->turned ^= w->pass == WHOLE_FORWARD && w->m->cfg.rc_swap;
}

static mbk_status advance(mbs_whole *w) {
    int64_t n = w->rows - w->at < w->tile ? w->rows - w->at : w->tile;
    if (w->pass == WHOLE_EMBED) {
        mbk_status st = embed(w, n);
        w->at += n;
        if (w->at == w->rows) {
            next_layer(w);
        }
        return st;
    }
    const mbs_layer *layer = &w->m->layers[w->layer];
    int64_t end = layer->mixer->whole ? w->n_edges : w->rows;
    mbk_status st;
    if (layer->mixer->whole) {
        st = all_rows(w, layer);
        n = 1;
    } else {
        st = w->pass == WHOLE_REVERSE ? reverse(w, layer, &n) : forward(w, layer, &n);
    }
    w->at += n;
    if (w->at == end && w->pass == WHOLE_FORWARD && layer->reverse) {
        w->pass = WHOLE_REVERSE;
        w->at = 0;
    } else if (w->at == end) {
        w->layer++;
        next_layer(w);
    }
    return st;
}

mbs_status mbs_whole_advance(mbs_whole *w, int *done, mbs_err *err) {
    mbk_status st = w->pass == WHOLE_DONE ? MBS_OK : advance(w);
    *done = w->pass == WHOLE_DONE;
    if (st < 0) {
        w->pass = WHOLE_DONE;
        w->n = w->rows = 0; /* nothing can be asked for */
        return mbs_backend_fail(w->m->ctx, err, st, w->m->folder, "running the model");
    }
    return MBS_OK;
}

mbs_status mbs_whole_run(mbs_whole *w, const int32_t *ids, const int64_t *starts, int64_t n_seq, int layers,
                         mbs_err *err) {
    mbs_status st = mbs_whole_begin(w, ids, starts, n_seq, layers, err);
    for (int done = 0; st >= 0 && !done;) {
        st = mbs_whole_advance(w, &done, err);
    }
    return st;
}
