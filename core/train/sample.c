#include "train/sample.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "train/sample_impl.h"
#include "train/schedule.h"

/* --- making ---------------------------------------------------------------------------------------------------------
 */

static int whole_records(const mbs_train_recipe *r) {
    return r->loss == MBS_LOSS_CLASSIFY || r->order != MBS_ORDER_RANDOM;
}

static mbs_status lacks(mbs_err *err, const char *key, const char *what, const char *fix) {
    mbs_fail(err, MBS_ERR_CONFIG, key, "%s", what);
    mbs_err_fix(err, "%s", fix);
    return MBS_ERR_CONFIG;
}

static mbs_status check_job(const mbs_train_job *job, mbs_err *err) {
    const mbs_train_recipe *r = &job->recipe;
    for (int64_t i = 0; i < r->n_windows; i++) {
        if (r->window[i] < 1 || r->batch_tokens % r->window[i] != 0 || r->batch_tokens < r->window[i]) {
            mbs_fail(err, MBS_ERR_CONFIG, "train.batch_tokens",
                     "%" PRId64 " is not a whole number of windows of %" PRId64 " tokens", r->batch_tokens,
                     r->window[i]);
            mbs_err_fix(err, "take a multiple of every window");
            return MBS_ERR_CONFIG;
        }
    }
    if (r->reverse_complement > 0 && !job->complement) {
        return lacks(err, "train.reverse_complement", "the vocabulary has no complement", "set it to 0");
    }
    if (r->reverse_complement > 0 && mbs_spool_has_targets(job->spool)) {
        return lacks(err, "train.reverse_complement", "the input brings targets, which have no other strand",
                     "set it to 0");
    }
    if (r->unknown > 0 && job->unk < 0) {
        return lacks(err, "train.unknown", "the vocabulary has no [UNK]", "set it to 0");
    }
    if (r->loss == MBS_LOSS_MASKED && job->mask < 0) {
        return lacks(err, "train.loss", "masked needs a [MASK], and the vocabulary has none", "take the loss causal");
    }
    if (mbs_spool_frame_width(job->spool) > 0 && (r->loss != MBS_LOSS_CLASSIFY || r->unknown > 0)) {
        return lacks(err, r->unknown > 0 ? "train.unknown" : "train.loss", "the input is frames, which are no tokens",
                     "take loss: classify, without unknown");
    }
    if (r->loss != MBS_LOSS_CAUSAL && mbs_spool_has_targets(job->spool)) {
        return lacks(err, "train.loss", "the input brings targets of its own", "take the loss causal");
    }
    if (r->loss == MBS_LOSS_CLASSIFY && job->n_classes < 1) {
        return lacks(err, "train.loss", "classify without classes", "give the list of classes");
    }
    return MBS_OK;
}

/* Of each window, how many places for it lie before each stretch. */
static mbs_status count_places(mbs_windows *w, mbs_err *err) {
    const mbs_train_recipe *r = &w->job->recipe;
    const mbs_split *split = w->split;
    int64_t longest = 0;
    for (int64_t k = 1; k < split->n_train; k++) {
        const mbs_stretch *t = split->train;
        longest = t[k].end - t[k].begin > t[longest].end - t[longest].begin ? k : longest;
    }
    for (int64_t i = 0; i < r->n_windows; i++) {
        int64_t *places = mbs_calloc((size_t)split->n_train + 1, sizeof *places);
        if (!places) {
            return mbs_fail_memory(err, "train", ((size_t)split->n_train + 1) * sizeof *places);
        }
        w->places[i] = places;
        for (int64_t k = 0; k < split->n_train; k++) {
            int64_t room = split->train[k].end - split->train[k].begin - r->window[i] + 1;
            places[k + 1] = places[k] + (room > 0 ? room : 0);
        }
        if (places[split->n_train] == 0) {
            const mbs_stretch *most = &split->train[longest];
            mbs_fail(err, MBS_ERR_DATA, "train.window",
                     "%" PRId64
                     " tokens do not fit into any record of the training part: the longest, '%s', has %" PRId64
                     " there",
                     r->window[i], mbs_spool_at(w->job->spool, most->record).name, most->end - most->begin);
            mbs_err_fix(err, "take a window of at most %" PRId64 ", or order: stream for whole records",
                        most->end - most->begin);
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

static mbs_status bad_label(const mbs_train_job *job, const mbs_spool_record *at, mbs_err *err) {
    if (at->label) {
        mbs_fail(err, MBS_ERR_DATA, at->name, "its label '%s' is none of the classes", at->label);
    } else {
        mbs_fail(err, MBS_ERR_DATA, at->name, "it has no label");
    }
    mbs_buf names = MBS_BUF_INIT;
    for (int64_t i = 0; i < job->n_classes; i++) {
        mbs_buf_printf(&names, "%s%s", i ? ", " : "", job->classes[i]);
    }
    mbs_err_fix(err, "the classes are: %.300s", mbs_buf_str(&names));
    mbs_buf_free(&names);
    return MBS_ERR_DATA;
}

static mbs_status read_labels(mbs_windows *w, mbs_err *err) {
    const mbs_train_job *job = w->job;
    int64_t records = mbs_spool_records(job->spool);
    w->classes = mbs_calloc((size_t)records + 1, sizeof *w->classes);
    if (!w->classes) {
        return mbs_fail_memory(err, "train", (size_t)records * sizeof *w->classes);
    }
    int32_t class = -1;
    for (int64_t i = 0; i < records; i++) {
        mbs_spool_record at = mbs_spool_at(job->spool, i);
        if (!at.label) {
            return bad_label(job, &at, err);
        }
        if (class < 0 || strcmp(job->classes[class], at.label) != 0) {
            for (class = 0; class < job->n_classes && strcmp(job->classes[class], at.label) != 0; class ++) {
            }
        }
        if (class == job->n_classes) {
            return bad_label(job, &at, err);
        }
        w->classes[i] = class;
    }
    return MBS_OK;
}

mbs_status mbs_windows_new(const mbs_train_job *job, const mbs_split *split, mbs_windows **out, mbs_err *err) {
    *out = NULL;
    mbs_status st = check_job(job, err);
    if (st < 0) {
        return st;
    }
    mbs_windows *w = mbs_calloc(1, sizeof *w);
    if (!w) {
        return mbs_fail_memory(err, "train", sizeof *w);
    }
    w->job = job;
    w->split = split;
    w->drawn.frame_width = mbs_spool_frame_width(job->spool);
    if (job->recipe.loss == MBS_LOSS_CLASSIFY) {
        st = read_labels(w, err);
    }
    if (st >= 0 && !whole_records(&job->recipe)) {
        st = count_places(w, err);
    }
    if (st < 0) {
        mbs_windows_free(w);
        return st;
    }
    *out = w;
    return MBS_OK;
}

void mbs_windows_free(mbs_windows *w) {
    if (!w) {
        return;
    }
    for (int i = 0; i < MBS_RECIPE_WINDOWS; i++) {
        mbs_free(w->places[i]);
    }
    mbs_free(w->classes);
    mbs_free(w->drawn.starts);
    mbs_free(w->drawn.records);
    mbs_free(w->drawn.ids);
    mbs_free(w->drawn.frames);
    mbs_free(w->drawn.targets);
    mbs_free(w->weights);
    mbs_free(w->original);
    mbs_free(w->scored);
    mbs_free(w->masked);
    mbs_free(w);
}

/* --- drawing --------------------------------------------------------------------------------------------------------
 */

/* Number `at` of the n numbers below n in an order of its own for each round: a Feistel network over the next power of
 * four, gone through again until it gives one that is below n. */
static int64_t shuffled(uint64_t seed, int64_t round, int64_t at, int64_t n) {
    int half = 1;
    while (half < 31 && ((int64_t)1 << 2 * half) < n) {
        half++;
    }
    uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t v = (uint64_t)at;
    do {
        uint64_t left = v >> half, right = v & mask;
        for (uint64_t i = 0; i < 4; i++) {
            uint32_t d[4];
            mbs_rng_words(seed, mbs_draw_stream(MBS_DRAW_ORDER, round), i << 40 | right, d);
            uint64_t next = left ^ (d[0] & mask);
            left = right;
            right = next;
        }
        v = left << half | right;
    } while (v >= (uint64_t)n);
    return (int64_t)v;
}

/* A window of the training part: which place, and which strand. */
static mbs_stretch window_at(const mbs_windows *w, int64_t window, const uint32_t d[4]) {
    const int64_t *places = w->places[window];
    int64_t place = mbs_draw_below(d[0], d[1], places[w->split->n_train]);
    int64_t low = 0, high = w->split->n_train - 1; /* the last stretch with places[k] <= place */
    while (low < high) {
        int64_t mid = low + (high - low + 1) / 2;
        if (places[mid] <= place) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    const mbs_stretch *t = &w->split->train[low];
    int64_t begin = t->begin + place - places[low];
    return (mbs_stretch){begin, begin + w->job->recipe.window[window], t->record};
}

/* Which stretch comes as number `n` of all sequences. */
static mbs_stretch whole_at(const mbs_windows *w, int64_t n, int64_t window) {
    const mbs_train_recipe *r = &w->job->recipe;
    int64_t all = w->split->n_train;
    int64_t at = n % all;
    if (r->order != MBS_ORDER_STREAM) {
        at = shuffled(r->seed, n / all, at, all);
    }
    mbs_stretch t = w->split->train[at];
    if ((r->loss == MBS_LOSS_CLASSIFY || r->order == MBS_ORDER_RECORDS) && t.end - t.begin > r->window[window]) {
        t.end = t.begin + r->window[window];
    }
    return t;
}

static void clear(mbs_windows *w) {
    w->drawn.n_seq = 0;
    w->drawn.rows = 0;
    w->drawn.weight = 0;
    w->drawn.weights = NULL;
}

mbs_status mbs_windows_draw(mbs_windows *w, int64_t step, const mbs_drawn **out, mbs_err *err) {
    const mbs_train_recipe *r = &w->job->recipe;
    int64_t window = mbs_schedule_window(r, step);
    int64_t n = mbs_schedule_sequences(r, step);
    int64_t before = whole_records(r) ? mbs_schedule_before(r, step) : 0;
    clear(w);
    for (int64_t i = 0; i < n; i++) {
        uint32_t d[4];
        mbs_rng_words(r->seed, mbs_draw_stream(MBS_DRAW_WINDOW, step), mbs_draw_position(i, 0), d);
        mbs_stretch t = whole_records(r) ? whole_at(w, before + i, window) : window_at(w, window, d);
        mbs_status st = mbs_sequence_room(w, t.end - t.begin, err);
        if (st < 0) {
            return st;
        }
        mbs_sequence_add(w, t.begin, t.end - t.begin, t.record, mbs_draw_share(d[2]) < r->reverse_complement,
                         (mbs_sequence_key){step, i});
    }
    *out = &w->drawn;
    return MBS_OK;
}

int64_t mbs_windows_rounds(const mbs_windows *w, int64_t step) {
    const mbs_train_recipe *r = &w->job->recipe;
    return whole_records(r) ? mbs_schedule_before(r, step) / w->split->n_train : 0;
}

mbs_status mbs_windows_held(mbs_windows *w, mbs_held_place *at, int64_t rows, const mbs_drawn **out, mbs_err *err) {
    const mbs_train_recipe *r = &w->job->recipe;
    int64_t window = r->window[r->n_windows - 1];
    clear(w);
    while (at->stretch < w->split->n_held) {
        const mbs_stretch *t = &w->split->held[at->stretch];
        int64_t n = t->end - t->begin - at->offset;
        if (r->loss != MBS_LOSS_CAUSAL && n > window) {
            n = window;
        }
        if (w->drawn.n_seq > 0 && w->drawn.rows + n > rows) {
            break;
        }
        mbs_status st = mbs_sequence_room(w, n, err);
        if (st < 0) {
            return st;
        }
        mbs_sequence_add(w, t->begin + at->offset, n, t->record, 0, (mbs_sequence_key){0, at->index++});
        at->offset += n;
        if (r->loss == MBS_LOSS_CLASSIFY || t->begin + at->offset == t->end) {
            at->stretch++;
            at->offset = 0;
        }
    }
    *out = &w->drawn;
    return MBS_OK;
}
