/* impute with a causal model: ways to fill a gap, from the state in front of it, weighed by what follows. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "run/task_impute.h"

static double log_norm(const float *logits, int64_t n) {
    double most = (double)logits[0];
    double sum = 0;
    for (int64_t i = 1; i < n; i++) {
        most = fmax(most, (double)logits[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - most);
    }
    return most + log(sum);
}

mbs_status mbs_impute_begin(task_impute *t, mbs_err *err) {
    t->step = t->behind = t->at = 0;
    t->n_fills = t->sample ? t->candidates : 1;
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < t->n_fills && st == MBS_OK; i++) {
        impute_fill *f = &t->fills[i];
        f->own = f->behind = 0;
        st = mbs_session_copy(f->session, t->pass, err);
        if (t->has_logits) {
            memcpy(f->logits, t->logits, (size_t)t->rows * sizeof(float));
        } else { /* nothing lies in front: every choice is as likely */
            memset(f->logits, 0, (size_t)t->rows * sizeof(float));
        }
    }
    return st;
}

/* A unit behind those that a fill has. */
static mbs_status extend(task_impute *t, impute_fill *f, int32_t id, double lp, mbs_err *err) {
    mbs_run_out o = {.layer = -1, .last_logits = f->logits};
    f->ids[t->step] = id;
    f->own += lp;
    return mbs_session_run(f->session, &id, 1, &o, err);
}

/* One more unit for each fill, drawn as the model has it. */
static mbs_status draw(task_impute *t, mbs_err *err) {
    impute_fill *f = &t->fills[t->at];
    uint64_t stream = (uint64_t)t->index * 1024 + (uint64_t)t->at;
    double u = mbs_rng_uniform(t->seed, stream, (uint64_t)(t->position + t->done + t->step));
    double norm = log_norm(f->logits, t->rows);
    double all = 0;
    for (int64_t k = 0; k < t->n_choices; k++) {
        all += exp((double)f->logits[t->choices[k]] - norm);
    }
    int64_t k = 0;
    for (double sum = 0; k < t->n_choices; k++) {
        sum += exp((double)f->logits[t->choices[k]] - norm) / all;
        if (u < sum || k == t->n_choices - 1) {
            break;
        }
    }
    mbs_status st = extend(t, f, t->choices[k], (double)f->logits[t->choices[k]] - norm, err);
    if (++t->at == t->n_fills) {
        t->at = 0;
        t->step++;
    }
    return st;
}

typedef struct beam_step {
    int64_t parent;
    int32_t id;
    double lp, total;
} beam_step;

/* The best beginnings that are one unit longer. Of those that are equal the first stays. */
static mbs_status widen(task_impute *t, mbs_err *err) {
    size_t room = (size_t)t->candidates + 1;
    beam_step *best = mbs_calloc(room, sizeof(*best));
    int64_t n = 0;
    if (!best) {
        return mbs_fail_memory(err, "impute", room * sizeof(*best));
    }
    for (int64_t i = 0; i < t->n_fills; i++) {
        const impute_fill *f = &t->fills[i];
        double norm = log_norm(f->logits, t->rows);
        for (int64_t k = 0; k < t->n_choices; k++) {
            double lp = (double)f->logits[t->choices[k]] - norm;
            beam_step s = {i, t->choices[k], lp, f->own + lp};
            int64_t at = n;
            while (at > 0 && best[at - 1].total < s.total) {
                best[at] = best[at - 1];
                at--;
            }
            best[at] = s;
            n += n < t->candidates;
        }
    }
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < n && st == MBS_OK; i++) {
        const impute_fill *parent = &t->fills[best[i].parent];
        impute_fill *f = &t->next[i];
        memcpy(f->ids, parent->ids, (size_t)t->step * sizeof(*f->ids));
        f->own = parent->own;
        f->behind = 0;
        st = mbs_session_copy(f->session, parent->session, err);
        st = st == MBS_OK ? extend(t, f, best[i].id, best[i].lp, err) : st;
    }
    impute_fill *swap = t->fills;
    t->fills = t->next;
    t->next = swap;
    t->n_fills = n;
    t->step++;
    mbs_free(best);
    return st;
}

/* Units behind the gap that decide. */
static int64_t following(const task_impute *t) {
    int64_t there = t->n - t->done - t->gap;
    return there < t->window ? there : t->window;
}

/* A call over what follows, behind the fill at hand. */
static mbs_status weigh(task_impute *t, mbs_err *err) {
    impute_fill *f = &t->fills[t->at];
    int64_t from = t->done + t->gap + t->behind;
    int64_t n = following(t) - t->behind < t->call ? following(t) - t->behind : t->call;
    int64_t fed = 0;
    for (int64_t i = 0; i < n; i++) {
        if (t->ids[from + i] >= 0) {
            t->fed[fed++] = t->ids[from + i];
        }
    }
    mbs_run_out o = {.layer = -1, .logprob = t->got};
    mbs_status st = fed > 0 ? mbs_session_run(f->session, t->fed, fed, &o, err) : MBS_OK;
    for (int64_t i = 0, k = 0; i < n && st == MBS_OK; i++) {
        if (t->ids[from + i] >= 0) {
            f->behind += t->scored[from + i] ? (double)t->got[k] : 0;
            k++;
        }
    }
    t->behind += n;
    if (t->behind >= following(t)) {
        t->behind = 0;
        t->at++;
    }
    return st;
}

/* The most likely of all takes the gap; what each unit, and the whole, has of the candidates' probability. */
static mbs_status settle(task_impute *t, mbs_err *err) {
    int64_t best = 0;
    double most = -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < t->n_fills; i++) {
        const impute_fill *f = &t->fills[i];
        best = f->own + f->behind > t->fills[best].own + t->fills[best].behind ? i : best;
        most = fmax(most, t->sample ? f->behind : f->own + f->behind);
    }
    if (!isfinite(most)) {
        return mbs_fail(err, MBS_ERR_DATA, "impute", "the model's prediction is not a number");
    }
    for (int64_t i = 0; i < t->n_fills; i++) { /* drawn: a candidate's own probability is in how often it was */
        impute_fill *f = &t->fills[i];
        f->weight = exp((t->sample ? f->behind : f->own + f->behind) - most);
        sum += f->weight;
    }
    double whole = 0;
    for (int64_t i = 0; i < t->n_fills; i++) {
        int same = memcmp(t->fills[i].ids, t->fills[best].ids, (size_t)t->gap * sizeof(int32_t)) == 0;
        whole += same ? t->fills[i].weight / sum : 0;
    }
    for (int64_t k = 0; k < t->gap; k++) {
        double share = 0;
        for (int64_t i = 0; i < t->n_fills; i++) {
            share += t->fills[i].ids[k] == t->fills[best].ids[k] ? t->fills[i].weight / sum : 0;
        }
        t->probability[2 * (t->done + k)] = (float)fmin(share, 1);
        t->probability[2 * (t->done + k) + 1] = (float)fmin(whole, 1);
        t->ids[t->done + k] = t->fills[best].ids[k];
    }
    return MBS_OK;
}

mbs_status mbs_impute_work(task_impute *t, int *over, mbs_err *err) {
    *over = 0;
    if (t->step < t->gap) {
        return t->sample ? draw(t, err) : widen(t, err);
    }
    if (t->at < t->n_fills && following(t) > 0) {
        return weigh(t, err);
    }
    *over = 1;
    return settle(t, err);
}

static mbs_status make_fills(task_impute *t, impute_fill **list, mbs_err *err) {
    *list = mbs_calloc((size_t)t->candidates, sizeof(**list));
    mbs_status st = *list ? MBS_OK : mbs_fail_memory(err, "impute", (size_t)t->candidates * sizeof(**list));
    for (int64_t i = 0; i < t->candidates && st == MBS_OK; i++) {
        impute_fill *f = &(*list)[i];
        f->logits = mbs_calloc((size_t)t->rows, sizeof(*f->logits));
        f->ids = mbs_calloc((size_t)t->max_gap, sizeof(*f->ids));
        st = f->logits && f->ids ? mbs_session_new(t->env.models->model, t->call, &f->session, err)
                                 : mbs_fail_memory(err, "impute", (size_t)(t->rows + t->max_gap) * sizeof(float));
    }
    return st;
}

mbs_status mbs_impute_setup(task_impute *t, mbs_err *err) {
    mbs_status st = mbs_session_new(t->env.models->model, t->pace.max, &t->pass, err);
    st = st == MBS_OK ? make_fills(t, &t->fills, err) : st;
    return st == MBS_OK && !t->sample ? make_fills(t, &t->next, err) : st;
}

static void drop_fills(const task_impute *t, impute_fill *list) {
    for (int64_t i = 0; list && i < t->candidates; i++) {
        mbs_session_free(list[i].session);
        mbs_free(list[i].logits);
        mbs_free(list[i].ids);
    }
    mbs_free(list);
}

void mbs_impute_drop(task_impute *t) {
    drop_fills(t, t->fills);
    drop_fills(t, t->next);
    mbs_session_free(t->pass);
    mbs_whole_free(t->whole);
}
