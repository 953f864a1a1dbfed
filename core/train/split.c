#include "train/split.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/draw.h"

int64_t mbs_split_cut(double before, int64_t tokens) {
    return llround(before * (double)tokens);
}

void mbs_split_free(mbs_split *split) {
    mbs_free(split->train);
    mbs_free(split->held);
    memset(split, 0, sizeof *split);
}

/* What of [0, tokens) lies in no range. */
static mbs_status outside(const mbs_ranges *r, int64_t tokens, mbs_ranges *out, mbs_err *err) {
    int64_t at = 0;
    mbs_status st = MBS_OK;
    for (size_t i = 0; i < r->n && st >= 0; i++) {
        st = mbs_ranges_add(out, at, r->items[i].begin, err);
        at = r->items[i].end;
    }
    return st < 0 ? st : mbs_ranges_add(out, at, tokens, err);
}

static mbs_status both(const mbs_ranges *a, const mbs_ranges *b, mbs_ranges *out, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (size_t i = 0, k = 0; i < a->n && k < b->n && st >= 0;) {
        const struct mbs_range *x = &a->items[i], *y = &b->items[k];
        st = mbs_ranges_add(out, x->begin > y->begin ? x->begin : y->begin, x->end < y->end ? x->end : y->end, err);
        if (x->end < y->end) {
            i++;
        } else {
            k++;
        }
    }
    return st;
}

/* Ranges cut at the borders of records. */
static mbs_status cut_by_record(const mbs_ranges *r, const mbs_spool *s, mbs_stretch **out, int64_t *n, int64_t *tokens,
                                mbs_err *err) {
    int64_t records = mbs_spool_records(s);
    mbs_stretch *list = mbs_calloc(r->n + (size_t)records + 1, sizeof *list);
    if (!list) {
        return mbs_fail_memory(err, "split", (r->n + (size_t)records) * sizeof *list);
    }
    *out = list;
    for (int64_t k = 0, i = 0; k < records && i < (int64_t)r->n;) {
        mbs_spool_record at = mbs_spool_at(s, k);
        int64_t begin = at.begin > r->items[i].begin ? at.begin : r->items[i].begin;
        int64_t end = at.end < r->items[i].end ? at.end : r->items[i].end;
        if (begin < end) {
            list[(*n)++] = (mbs_stretch){begin, end, k};
            *tokens += end - begin;
        }
        if (at.end < r->items[i].end) {
            k++;
        } else {
            i++;
        }
    }
    return MBS_OK;
}

/* Whole records are held out, not places. */
static int of_records(const mbs_train_recipe *r) {
    return r->loss == MBS_LOSS_CLASSIFY || r->order == MBS_ORDER_RECORDS;
}

static mbs_status check_parts(const mbs_train_recipe *r, const mbs_split *split, mbs_err *err) {
    int wanted = r->held_out > 0 || r->held_out_bed != NULL;
    const char *what = of_records(r) ? "records" : "tokens";
    if (split->n_train > 0 && (split->n_held > 0 || !wanted)) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_DATA, "train.split", "it leaves no %s to %s", what,
             split->n_train > 0 ? "score: nothing is held out" : "train on");
    mbs_err_fix(err, "give a longer input, or another split");
    return MBS_ERR_DATA;
}

static mbs_status by_place(const mbs_train_recipe *r, const mbs_spool *s, mbs_split *out, mbs_err *err) {
    int64_t tokens = mbs_spool_tokens(s);
    mbs_ranges inside = {0}, held = {0}, free_of_it = {0}, train = {0};
    mbs_status st =
        r->train_bed ? mbs_regions_load(r->train_bed, s, &inside, err) : mbs_ranges_add(&inside, 0, tokens, err);
    if (st >= 0 && r->held_out_bed) {
        st = mbs_regions_load(r->held_out_bed, s, &held, err);
    } else if (st >= 0 && r->held_out > 0) {
        st = mbs_ranges_add(&held, mbs_split_cut(1 - r->held_out, tokens), tokens, err);
    } else if (st >= 0) {
        st = outside(&inside, tokens, &held, err);
    }
    st = st < 0 ? st : outside(&held, tokens, &free_of_it, err);
    st = st < 0 ? st : both(&inside, &free_of_it, &train, err);
    st = st < 0 ? st : cut_by_record(&train, s, &out->train, &out->n_train, &out->train_tokens, err);
    st = st < 0 ? st : cut_by_record(&held, s, &out->held, &out->n_held, &out->held_tokens, err);
    mbs_free(inside.items);
    mbs_free(held.items);
    mbs_free(free_of_it.items);
    mbs_free(train.items);
    return st;
}

/* A record and the number that decides on its part. */
typedef struct lot {
    uint64_t number;
    int64_t record;
} lot;

static int by_number(const void *a, const void *b) {
    const lot *x = a, *y = b;
    return x->number != y->number ? (x->number < y->number ? -1 : 1)
                                  : (x->record > y->record) - (x->record < y->record);
}

static void take(const mbs_spool *s, int64_t record, mbs_stretch *list, int64_t *n, int64_t *tokens) {
    mbs_spool_record at = mbs_spool_at(s, record);
    list[(*n)++] = (mbs_stretch){at.begin, at.end, record};
    *tokens += at.end - at.begin;
}

static mbs_status by_record(const mbs_train_recipe *r, const mbs_spool *s, mbs_split *out, mbs_err *err) {
    int64_t records = mbs_spool_records(s);
    size_t room = (size_t)records + 1;
    lot *lots = mbs_calloc(room, sizeof *lots);
    uint8_t *is_held = mbs_calloc(room, 1);
    out->train = mbs_calloc(room, sizeof *out->train);
    out->held = mbs_calloc(room, sizeof *out->held);
    mbs_status st = MBS_OK;
    if (!lots || !is_held || !out->train || !out->held) {
        st = mbs_fail_memory(err, "split", room * sizeof *out->train);
    } else {
        for (int64_t i = 0; i < records; i++) {
            uint32_t w[4];
            uint64_t group = mbs_spool_at(s, i).group; /* all of a group have its number */
            mbs_rng_words(r->seed, mbs_draw_stream(MBS_DRAW_SPLIT, group ? 1 : 0), group ? group : (uint64_t)i, w);
            lots[i] = (lot){(uint64_t)w[0] << 32 | w[1], i};
        }
        qsort(lots, (size_t)records, sizeof *lots, by_number);
        int64_t held = records - mbs_split_cut(1 - r->held_out, records);
        for (int64_t i = 0; i < records; i++) {
            int with_last = i > 0 && is_held[lots[i - 1].record] && lots[i].number == lots[i - 1].number;
            is_held[lots[i].record] = i < held || (held > 0 && with_last);
        }
        for (int64_t i = 0; i < records; i++) {
            mbs_spool_record at = mbs_spool_at(s, i);
            if (at.begin < at.end && is_held[i] && !at.copy) {
                take(s, i, out->held, &out->n_held, &out->held_tokens);
            } else if (at.begin < at.end && !is_held[i]) {
                take(s, i, out->train, &out->n_train, &out->train_tokens);
            }
        }
    }
    mbs_free(lots);
    mbs_free(is_held);
    return st;
}

mbs_status mbs_split_make(const mbs_train_recipe *r, const mbs_spool *s, mbs_split *out, mbs_err *err) {
    memset(out, 0, sizeof *out);
    mbs_status st = MBS_OK;
    if (mbs_spool_tokens(s) == 0) {
        st = mbs_fail(err, MBS_ERR_DATA, "train", "the input has no token");
    } else if (of_records(r) && (r->held_out_bed || r->train_bed)) {
        st = mbs_fail(err, MBS_ERR_CONFIG, "train.split", "%s holds out whole records, not regions",
                      r->loss == MBS_LOSS_CLASSIFY ? "classify" : "order: records");
        mbs_err_fix(err, "give held_out, a share of the records");
    } else {
        st = of_records(r) ? by_record(r, s, out, err) : by_place(r, s, out, err);
        st = st < 0 ? st : check_parts(r, out, err);
    }
    if (st < 0) {
        mbs_split_free(out);
    }
    return st;
}
