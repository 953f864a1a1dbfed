#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/sample_impl.h"

/* How letters become [UNK]: one of these rates, and sometimes a run as well. What a model makes of N it learns here. */
static const double rates[] = {0.0005, 0.002, 0.01};
#define RUN_CHANCE 0.3
#define RUN_MEAN 40.0

/* Room for `need` items in the array whose pointer stands at `array`. */
static mbs_status grow(void *array, size_t *cap, size_t need, size_t size, mbs_err *err) {
    void *p;
    memcpy(&p, array, sizeof p);
    void *grown = mbs_grow(p, cap, need, size);
    if (!grown) {
        return mbs_fail_memory(err, "train", need * size);
    }
    memcpy(array, &grown, sizeof grown);
    return MBS_OK;
}

mbs_status mbs_sequence_room(mbs_windows *w, int64_t n, mbs_err *err) {
    mbs_drawn *d = &w->drawn;
    size_t seqs = (size_t)d->n_seq + 2, rows = (size_t)(d->rows + n) + 1;
    size_t cap = w->cap_seq;
    mbs_status st = grow(&d->starts, &cap, seqs, sizeof *d->starts, err);
    size_t same = w->cap_seq;
    st = st < 0 ? st : grow(&d->records, &same, seqs, sizeof *d->records, err);
    w->cap_seq = st < 0 ? w->cap_seq : cap;
    void *const arrays[] = {&d->ids, &d->targets, &w->weights, &w->original};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays && st >= 0; i++) {
        cap = w->cap_rows;
        st = grow(arrays[i], &cap, rows, sizeof *d->ids, err);
    }
    if (st >= 0 && d->frame_width > 0) {
        st = grow(&d->frames, &w->cap_frames, rows * (size_t)d->frame_width, sizeof *d->frames, err);
    }
    size_t bytes = w->cap_rows;
    st = st < 0 ? st : grow(&w->scored, &bytes, rows, 1, err);
    bytes = w->cap_rows;
    st = st < 0 ? st : grow(&w->masked, &bytes, rows, 1, err);
    w->cap_rows = st < 0 ? w->cap_rows : cap;
    return st;
}

mbs_stretch mbs_sequence_own(const mbs_train_job *job, mbs_stretch of) {
    const mbs_spool_record r = mbs_spool_at(job->spool, of.record);
    const int64_t begin = r.begin + job->n_front;
    const int64_t end = r.end - job->n_behind;
    of.begin = of.begin > begin ? of.begin : begin < of.end ? begin : of.end;
    of.end = of.end < end ? of.end : end > of.begin ? end : of.begin;
    return of;
}

static void flip_bytes(uint8_t *p, int64_t n) {
    for (int64_t i = 0; i < n / 2; i++) {
        uint8_t first = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = first;
    }
}

static void other_strand(mbs_windows *w, int32_t *ids, int64_t from, int64_t n) {
    const int32_t *complement = w->job->complement;
    ids += from;
    for (int64_t i = 0; i < (n + 1) / 2; i++) {
        int32_t first = ids[i];
        ids[i] = complement[ids[n - 1 - i]];
        ids[n - 1 - i] = complement[first];
    }
    flip_bytes(w->scored + from, n);
    flip_bytes(w->masked + from, n);
}

static void hide(mbs_windows *w, int32_t *ids, int64_t i) {
    ids[i] = w->job->unk;
    w->scored[i] = 0;
}

static void add_unknown(mbs_windows *w, int32_t *ids, int64_t n, mbs_sequence_key key) {
    const mbs_train_recipe *r = &w->job->recipe;
    uint64_t stream = mbs_draw_stream(MBS_DRAW_UNKNOWN, key.step);
    uint32_t d[4];
    mbs_rng_words(r->seed, stream, mbs_draw_position(key.index, 0), d);
    if (mbs_draw_share(d[0]) >= r->unknown) {
        return;
    }
    double rate = rates[mbs_draw_below(d[1], 0, 3)];
    int with_run = mbs_draw_share(d[2]) < RUN_CHANCE && n > 1;
    for (int64_t i = 0; i < n; i++) {
        if (i % 4 == 0) {
            mbs_rng_words(r->seed, stream, mbs_draw_position(key.index, 2 + i / 4), d);
        }
        if (mbs_draw_share(d[i % 4]) < rate) {
            hide(w, ids, i);
        }
    }
    if (with_run) {
        mbs_rng_words(r->seed, stream, mbs_draw_position(key.index, 1), d);
        int64_t from = 1 + mbs_draw_below(d[0], d[1], n - 1);
        double length = 2 + floor(log1p(-mbs_draw_share(d[2])) / log1p(-1 / RUN_MEAN));
        for (int64_t i = from; i < n && (double)(i - from) < length; i++) {
            hide(w, ids, i);
        }
    }
}

/* Some tokens are asked for where they stand: of these, 8 of 10 are fed as [MASK], one as another token of the same
 * sequence (which is as frequent as it is), one as it is. */
static void ask_masked(mbs_windows *w, int32_t *ids, int32_t *targets, int64_t n, mbs_sequence_key key) {
    const mbs_train_recipe *r = &w->job->recipe;
    uint64_t stream = mbs_draw_stream(key.step > 0 ? MBS_DRAW_MASK : MBS_DRAW_HELD, key.step);
    memcpy(w->original, ids, (size_t)n * sizeof *ids);
    for (int64_t i = 0; i < n; i++) {
        uint32_t d[4];
        mbs_rng_words(r->seed, stream, mbs_draw_position(key.index, i), d);
        targets[i] = -1;
        if (!w->scored[i] || mbs_draw_share(d[0]) >= r->mask_rate) {
            continue;
        }
        targets[i] = ids[i];
        double kind = mbs_draw_share(d[1]);
        if (kind < 0.8) {
            ids[i] = w->job->mask;
        } else if (kind < 0.9) {
            ids[i] = w->original[mbs_draw_below(d[2], d[3], n)];
        }
    }
}

static void ask_next(const mbs_windows *w, const int32_t *ids, int32_t *targets, int64_t n) {
    for (int64_t i = 0; i + 1 < n; i++) {
        targets[i] = w->scored[i + 1] ? ids[i + 1] : -1;
    }
    targets[n - 1] = -1;
}

static double weigh(mbs_windows *w, const int32_t *targets, int64_t n) {
    const mbs_train_recipe *r = &w->job->recipe;
    float *weights = w->drawn.weights ? w->drawn.weights + w->drawn.rows : NULL;
    int ahead = r->loss == MBS_LOSS_CAUSAL && !mbs_spool_has_targets(w->job->spool);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = ahead && i + 1 < n ? i + 1 : i; /* the token that is asked for */
        float weight = w->masked[at] ? (float)r->soft_mask : 1;
        if (weights) {
            weights[i] = weight;
        }
        sum += targets[i] < 0 ? 0 : weights ? (double)weight : 1;
    }
    return sum;
}

void mbs_sequence_add(mbs_windows *w, int64_t begin, int64_t n, int64_t record, int minus, mbs_sequence_key key) {
    const mbs_train_recipe *r = &w->job->recipe;
    mbs_drawn *d = &w->drawn;
    int32_t *ids = d->ids + d->rows;
    int classify = r->loss == MBS_LOSS_CLASSIFY;
    int32_t *targets = classify ? w->original : d->targets + d->rows;
    mbs_spool_get(w->job->spool, begin, n, ids, w->scored, w->masked, targets);
    if (d->frame_width > 0) {
        mbs_spool_get_frames(w->job->spool, begin, n, d->frames + d->rows * d->frame_width);
    }
    if (minus) {
        const mbs_stretch own = mbs_sequence_own(w->job, (mbs_stretch){begin, begin + n, record});
        other_strand(w, ids, own.begin - begin, own.end - own.begin);
    }
    if (r->unknown > 0 && key.step > 0) {
        add_unknown(w, ids, n, key);
    }
    if (w->job->start > 0 && ids[0] > w->job->start && r->start_unknown > 0 && key.step > 0) {
        uint32_t u[4];
        mbs_rng_words(r->seed, mbs_draw_stream(MBS_DRAW_START, key.step), mbs_draw_position(key.index, 0), u);
        ids[0] = mbs_draw_share(u[0]) < r->start_unknown ? w->job->start : ids[0];
    }
    /* The held-out part is scored as it is, without weights of its own. */
    d->weights = classify || r->soft_mask == 1 || key.step == 0 ? NULL : w->weights;
    if (classify) {
        d->targets[d->n_seq] = w->classes[record];
        d->weight += 1;
    } else {
        if (r->loss == MBS_LOSS_MASKED) {
            ask_masked(w, ids, targets, n, key);
        } else if (!mbs_spool_has_targets(w->job->spool)) {
            ask_next(w, ids, targets, n);
        }
        d->weight += weigh(w, targets, n);
    }
    d->starts[d->n_seq] = d->rows;
    d->records[d->n_seq++] = record;
    d->rows += n;
    d->starts[d->n_seq] = d->rows;
}
