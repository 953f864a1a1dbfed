#include "run/gen_lane.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

static size_t row_bytes(const mbs_gen_rules *r) {
    return (size_t)r->rows * sizeof(float);
}

void mbs_gen_lane_free(mbs_gen_lane *l) {
    mbs_session_free(l->session);
    mbs_free(l->logits);
    mbs_free(l->ids);
    mbs_free(l->logprob);
    for (int i = 0; i < 2; i++) {
        mbs_session_free(l->kept[i].session);
        mbs_free(l->kept[i].logits);
    }
    *l = (mbs_gen_lane){0};
}

mbs_status mbs_gen_lane_new(mbs_model *m, const mbs_gen_rules *r, mbs_gen_lane *out, mbs_err *err) {
    *out = (mbs_gen_lane){0};
    mbs_status st = mbs_session_new(m, 1, &out->session, err);
    out->logits = mbs_calloc((size_t)r->rows, sizeof *out->logits);
    int missing = !out->logits;
    st = st == MBS_OK ? mbs_session_set_sampler(out->session, &r->sampler, err) : st;
    for (int i = 0; i < 2 && r->half > 0 && st == MBS_OK; i++) {
        st = mbs_session_new(m, 1, &out->kept[i].session, err);
        out->kept[i].logits = mbs_calloc((size_t)r->rows, sizeof(float));
        missing |= !out->kept[i].logits;
    }
    return st == MBS_OK && missing ? mbs_fail_memory(err, "generate", row_bytes(r)) : st;
}

static mbs_status keep(mbs_gen_lane *l, const mbs_gen_rules *r, mbs_gen_place *p, mbs_err *err) {
    memcpy(p->logits, l->logits, row_bytes(r));
    p->at = l->drawn;
    p->has_logits = l->has_logits;
    return mbs_session_copy(p->session, l->session, err);
}

static mbs_status go_back(mbs_gen_lane *l, const mbs_gen_rules *r, const mbs_gen_place *p, mbs_err *err) {
    memcpy(l->logits, p->logits, row_bytes(r));
    l->drawn = p->at;
    l->has_logits = p->has_logits;
    return mbs_session_copy(l->session, p->session, err);
}

mbs_status mbs_gen_lane_begin(mbs_gen_lane *l, const mbs_gen_rules *r, const mbs_session *from, const float *logits,
                              int has_logits, uint64_t stream, mbs_err *err) {
    memcpy(l->logits, logits, row_bytes(r));
    l->has_logits = has_logits;
    l->stream = stream;
    l->drawn = l->given = l->attempt = 0;
    l->has_next = 0;
    l->done = r->most == 0;
    mbs_status st = mbs_session_copy(l->session, from, err);
    return st == MBS_OK && r->half > 0 ? keep(l, r, &l->kept[0], err) : st;
}

/* --- the guard ---------------------------------------------------------------------------------------------- */

/* Bits a token over the newest window. */
static double surprise(const mbs_gen_lane *l, int64_t window) {
    const double ln2 = 0.693147180559945309417232121458;
    double sum = 0;
    for (int64_t i = l->drawn - window; i < l->drawn; i++) {
        sum -= (double)l->logprob[i - l->given];
    }
    return sum / ((double)window * ln2);
}

/* At a multiple of half a window: the window that ends here is looked at. */
static mbs_status look_back(mbs_gen_lane *l, const mbs_gen_rules *r, mbs_gen_counts *counts, mbs_err *err) {
    if (l->has_next) { /* with a number that the next draw may not have */
        l->has_next = 0;
        mbs_status st = mbs_session_predict(l->session, l->logits, err);
        if (st != MBS_OK) {
            return st;
        }
    }
    if (l->drawn < l->kept[0].at + 2 * r->half) { /* at the beginning, or behind a place that it went back to */
        return keep(l, r, &l->kept[1], err);
    }
    double bits = surprise(l, 2 * r->half);
    if ((bits < r->low || bits > r->high) && l->attempt < MBS_GEN_TRIES) {
        counts->stuck += bits < r->low;
        counts->noise += bits > r->high;
        l->attempt++;
        return go_back(l, r, &l->kept[0], err);
    }
    counts->given_up += bits < r->low || bits > r->high;
    l->attempt = 0;
    mbs_gen_place older = l->kept[0];
    l->kept[0] = l->kept[1];
    l->kept[1] = older;
    return keep(l, r, &l->kept[1], err);
}

/* --- drawing ------------------------------------------------------------------------------------------------ */

static mbs_status add(mbs_gen_lane *l, int32_t id, float logprob, mbs_err *err) {
    int64_t at = l->drawn - l->given;
    if (at == l->room) {
        int64_t room = l->room > 0 ? 2 * l->room : 4096;
        int32_t *ids = mbs_realloc(l->ids, (size_t)room * sizeof *ids);
        l->ids = ids ? ids : l->ids;
        float *lp = mbs_realloc(l->logprob, (size_t)room * sizeof *lp);
        l->logprob = lp ? lp : l->logprob;
        if (!ids || !lp) {
            return mbs_fail_memory(err, "generate", (size_t)room * sizeof *ids);
        }
        l->room = room;
    }
    l->ids[at] = id;
    l->logprob[at] = logprob;
    l->drawn++;
    return MBS_OK;
}

/* The random number of the next draw. */
static double number(const mbs_gen_lane *l, const mbs_gen_rules *r) {
    return mbs_rng_uniform(r->seed, l->stream, (uint64_t)l->drawn | (uint64_t)l->attempt << 48);
}

/* The next token of a lane; *id is -1 where the sample ends. */
static mbs_status draw(mbs_gen_lane *l, const mbs_gen_rules *r, int32_t *id, mbs_err *err) {
    float logprob = l->next.logprob;
    *id = l->next.id;
    if (!l->has_next) {
        *id = mbs_sampler_draw(&r->sampler, l->has_logits ? l->logits : NULL, r->rows, number(l, r), &logprob);
    }
    if (*id < 0) {
        return mbs_fail(err, MBS_ERR_DATA, "generate", "the model's prediction is not a number");
    }
    if (r->stops[*id]) {
        *id = -1;
        l->done = 1;
        return MBS_OK;
    }
    return add(l, *id, logprob, err);
}

/* One token for each: what is drawn behind it, or the logits to draw from. */
static mbs_status feed(const mbs_gen_rules *r, mbs_session *room, mbs_gen_lane **at, int64_t m, const int32_t *ids,
                       float *scratch, mbs_err *err) {
    mbs_session *sessions[MBS_SESSION_LANES];
    mbs_next next[MBS_SESSION_LANES];
    const int draws = mbs_session_draws(room);
    for (int64_t i = 0; i < m; i++) {
        sessions[i] = at[i]->session;
        next[i].u = number(at[i], r);
    }
    float *logits = draws ? NULL : scratch;
    mbs_next *drawn = draws ? next : NULL;
    mbs_run_out o = {.layer = -1, .last_logits = logits, .next = drawn};
    mbs_status st = m == 1 ? mbs_session_run(sessions[0], ids, 1, &o, err) /* which a device has a shorter way for */
                           : mbs_session_step_lanes(room, sessions, m, ids, logits, drawn, err);
    for (int64_t i = 0; i < m && st == MBS_OK; i++) {
        at[i]->has_logits = 1;
        at[i]->has_next = draws;
        if (draws) {
            at[i]->next = next[i];
        } else {
            memcpy(at[i]->logits, scratch + i * r->rows, row_bytes(r));
        }
    }
    return st;
}

mbs_status mbs_gen_step(const mbs_gen_rules *r, mbs_session *room, mbs_gen_lane *lanes, int64_t n, float *scratch,
                        mbs_gen_counts *counts, mbs_err *err) {
    mbs_gen_lane *at[MBS_SESSION_LANES];
    int32_t ids[MBS_SESSION_LANES];
    int64_t m = 0;
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < n && st == MBS_OK; i++) {
        if (!lanes[i].done) {
            at[m] = &lanes[i];
            st = draw(&lanes[i], r, &ids[m], err);
            m += st == MBS_OK && ids[m] >= 0;
        }
    }
    st = st == MBS_OK && m > 0 ? feed(r, room, at, m, ids, scratch, err) : st;
    for (int64_t i = 0; i < m && st == MBS_OK; i++) {
        if (r->half > 0 && at[i]->drawn % r->half == 0) {
            st = look_back(at[i], r, counts, err);
        }
        at[i]->done = at[i]->drawn >= r->most;
    }
    return st;
}

int64_t mbs_gen_ready(const mbs_gen_lane *l, const mbs_gen_rules *r) {
    return (l->done || r->half == 0 ? l->drawn : l->kept[0].at) - l->given;
}

void mbs_gen_end(mbs_gen_lane *l) {
    l->done = 1;
}

void mbs_gen_give(mbs_gen_lane *l, int64_t n) {
    size_t left = (size_t)(l->drawn - l->given - n);
    if (n > 0) {
        memmove(l->ids, l->ids + n, left * sizeof *l->ids);
        memmove(l->logprob, l->logprob + n, left * sizeof *l->logprob);
    }
    l->given += n;
}

/* --- the journal -------------------------------------------------------------------------------------------- */

mbs_status mbs_gen_put_session(mbs_buf *out, mbs_session *s, mbs_err *err) {
    mbs_buf blob = MBS_BUF_INIT;
    mbs_status st = mbs_session_save(s, &blob, err);
    mbs_buf_put_bytes(out, blob.data, blob.len);
    mbs_buf_free(&blob);
    return st;
}

mbs_status mbs_gen_get_session(mbs_cursor *c, mbs_session *s, mbs_err *err) {
    size_t n = 0;
    const void *p = mbs_cursor_bytes(c, &n);
    return c->failed ? mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short")
                     : mbs_session_restore(s, p, n, err);
}

static int get_array(mbs_cursor *c, void *to, size_t want) {
    size_t n = 0;
    const void *p = mbs_cursor_bytes(c, &n);
    if (c->failed || n != want) {
        return 0;
    }
    memcpy(to, p, want);
    return 1;
}

mbs_status mbs_gen_lane_save(mbs_gen_lane *l, const mbs_gen_rules *r, mbs_buf *out, mbs_err *err) {
    size_t held = (size_t)(l->drawn - l->given);
    mbs_buf_put_i64(out, (int64_t)l->stream);
    mbs_buf_put_i64(out, l->drawn);
    mbs_buf_put_i64(out, l->given);
    mbs_buf_put_i64(out, l->attempt);
    mbs_buf_put_i64(out, l->has_logits | l->done << 1 | l->has_next << 2);
    mbs_buf_put_i64(out, l->next.id);
    mbs_buf_put_bytes(out, &l->next.logprob, sizeof l->next.logprob);
    mbs_buf_put_bytes(out, l->ids, held * sizeof *l->ids);
    mbs_buf_put_bytes(out, l->logprob, held * sizeof *l->logprob);
    mbs_buf_put_bytes(out, l->logits, row_bytes(r));
    mbs_status st = mbs_gen_put_session(out, l->session, err);
    for (int i = 0; i < 2 && r->half > 0 && st == MBS_OK; i++) {
        mbs_buf_put_i64(out, l->kept[i].at << 1 | l->kept[i].has_logits);
        mbs_buf_put_bytes(out, l->kept[i].logits, row_bytes(r));
        st = mbs_gen_put_session(out, l->kept[i].session, err);
    }
    return st;
}

mbs_status mbs_gen_lane_restore(mbs_gen_lane *l, const mbs_gen_rules *r, mbs_cursor *c, mbs_err *err) {
    mbs_status cut = MBS_ERR_DATA;
    l->stream = (uint64_t)mbs_cursor_i64(c);
    l->drawn = mbs_cursor_i64(c);
    l->given = mbs_cursor_i64(c);
    l->attempt = mbs_cursor_i64(c);
    int64_t flags = mbs_cursor_i64(c);
    l->next.id = (int32_t)mbs_cursor_i64(c);
    int told = get_array(c, &l->next.logprob, sizeof l->next.logprob);
    int64_t held = l->drawn - l->given;
    l->has_logits = flags & 1;
    l->done = (flags >> 1) & 1;
    l->has_next = (flags >> 2) & 1;
    if (told && (!l->has_next || l->next.id < r->sampler.n_allowed) && l->given >= 0 && held >= 0 && held <= r->most) {
        l->room = held + 4096;
        mbs_free(l->ids);
        mbs_free(l->logprob);
        l->ids = mbs_calloc((size_t)l->room, sizeof *l->ids);
        l->logprob = mbs_calloc((size_t)l->room, sizeof *l->logprob);
        if (!l->ids || !l->logprob) {
            return mbs_fail_memory(err, "generate", (size_t)l->room * sizeof *l->ids);
        }
        cut = get_array(c, l->ids, (size_t)held * sizeof *l->ids) &&
                      get_array(c, l->logprob, (size_t)held * sizeof *l->logprob) &&
                      get_array(c, l->logits, row_bytes(r))
                  ? mbs_gen_get_session(c, l->session, err)
                  : MBS_ERR_DATA;
    }
    for (int i = 0; i < 2 && r->half > 0 && cut == MBS_OK; i++) {
        int64_t at = mbs_cursor_i64(c);
        l->kept[i].at = at >> 1;
        l->kept[i].has_logits = at & 1;
        cut = get_array(c, l->kept[i].logits, row_bytes(r)) ? mbs_gen_get_session(c, l->kept[i].session, err)
                                                            : MBS_ERR_DATA;
    }
    return cut == MBS_OK || err->status < 0 ? cut : mbs_fail(err, MBS_ERR_DATA, "journal", "the samples are cut short");
}
