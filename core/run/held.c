#include "run/held.h"

#include "base/clock.h"
#include "stream/chunk.h"

#define PIECE_ROWS 16384

static mbs_status no_begin(void *self, const mbs_record *record, mbs_err *err) {
    (void)self;
    (void)record;
    (void)err;
    return MBS_OK;
}

static mbs_status no_finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    (void)self;
    (void)record;
    (void)err;
    *out = NULL;
    *more = 0;
    return MBS_OK;
}

static int is_scored(const mbs_side *side, int64_t row) {
    return !side || ((const uint8_t *)side->data)[row] != 0;
}

static mbs_status count_kinds(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                              mbs_err *err) {
    mbs_survey *s = self;
    const mbs_side *side = mbs_block_side_find(tokens, "scored");
    const int32_t *ids = tokens->data;
    int64_t context = mbs_chunk_context_rows(tokens);
    (void)err;
    for (int64_t i = from; i < tokens->shape[0]; i++) {
        s->tokens += i >= context;
        if (is_scored(side, i) && ids[i] >= 0 && ids[i] < s->vocab->size) {
            s->seen[ids[i]] = 1;
        }
    }
    *taken = tokens->shape[0] - from;
    *out = NULL;
    return MBS_OK;
}

mbs_carry mbs_survey_carry(mbs_survey *s) {
    return (mbs_carry){.self = s, .begin = no_begin, .step = count_kinds, .finish = no_finish};
}

static void forget_context(mbs_held *h) {
    h->first = 1;
    for (int i = 0; i < h->n; i++) {
        mbs_baseline_break(h->baselines[i]);
    }
}

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    mbs_held *h = self;
    const mbs_carry *models = h->lanes ? mbs_lanes_carry(h->lanes) : NULL;
    forget_context(h);
    return models ? models->begin(models->self, record, err) : MBS_OK;
}

/* The letter of a row, -1 where the row is none: not scored, no input, or not counted. */
static int letter_at(const mbs_held *h, const mbs_block *tokens, const mbs_side *side, int64_t row) {
    return is_scored(side, row) ? mbs_alphabet_letter(h->letters, ((const int32_t *)tokens->data)[row]) : -1;
}

/* Rows that only are context (`learn` 0), or that are learnt from. */
static void teach(mbs_held *h, const mbs_block *tokens, int64_t from, int64_t n, int learn) {
    const mbs_side *side = mbs_block_side_find(tokens, "scored");
    for (int b = 0; b < h->n; b++) {
        double t0 = mbs_clock();
        for (int64_t i = from; i < from + n; i++) {
            int letter = letter_at(h, tokens, side, i);
            if (letter < 0) {
                mbs_baseline_break(h->baselines[b]);
            } else if (learn) {
                mbs_baseline_learn(h->baselines[b], letter);
            } else {
                mbs_baseline_pass(h->baselines[b], letter);
            }
        }
        h->seconds[b] += mbs_clock() - t0;
    }
}

static mbs_status unknown_letter(const mbs_block *tokens, int64_t row, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, tokens->record->name, "token %d at %lld is not in what the baselines learnt from",
             ((const int32_t *)tokens->data)[row], (long long)mbs_chunk_position(tokens, row));
    mbs_err_fix(err, "give --train an input that has every kind of token");
    return MBS_ERR_DATA;
}

/* Rows that the models have scored, or would: `wanted` is their flags, NULL without models. */
static mbs_status compare(mbs_held *h, const mbs_block *tokens, int64_t from, int64_t n, const uint8_t *wanted,
                          mbs_err *err) {
    const mbs_side *side = mbs_block_side_find(tokens, "scored");
    const int32_t *ids = tokens->data;
    int first = h->first;
    for (int64_t i = 0; i < n; i++) {
        int counts = wanted ? wanted[i] : is_scored(side, from + i) && ids[from + i] >= 0 && !first;
        first = first && ids[from + i] < 0;
        h->scored += counts != 0;
        if (counts && h->n > 0 && letter_at(h, tokens, side, from + i) < 0) {
            return unknown_letter(tokens, from + i, err);
        }
    }
    for (int b = 0; b < h->n; b++) {
        double t0 = mbs_clock();
        first = h->first;
        for (int64_t i = 0; i < n; i++) {
            int letter = letter_at(h, tokens, side, from + i);
            if (letter < 0) {
                mbs_baseline_break(h->baselines[b]);
            } else if (wanted ? !wanted[i] : first) {
                mbs_baseline_pass(h->baselines[b], letter);
            } else {
                h->logprob[b] += mbs_baseline_score(h->baselines[b], letter);
            }
            first = first && ids[from + i] < 0;
        }
        h->seconds[b] += mbs_clock() - t0;
    }
    h->first = first;
    h->tokens += n;
    h->position += n;
    return MBS_OK;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    mbs_held *h = self;
    int64_t context = mbs_chunk_context_rows(tokens);
    int64_t n = tokens->shape[0] - from;
    n = n < PIECE_ROWS ? n : PIECE_ROWS;
    *out = NULL;
    if (from < context) {
        n = n < context - from ? n : context - from;
    }
    if (h->position < h->cut) {
        n = n < h->cut - h->position ? n : h->cut - h->position;
        teach(h, tokens, from, n, from >= context);
        h->position += from >= context ? n : 0;
        if (h->position == h->cut) {
            forget_context(h);
        }
        *taken = n;
        return MBS_OK;
    }
    if (h->limit > 0 && h->tokens >= h->limit) {
        return MBS_END;
    }
    const mbs_carry *models = h->lanes ? mbs_lanes_carry(h->lanes) : NULL;
    if (models) {
        mbs_status st = models->step(models->self, tokens, from, &n, out, err);
        if (st != MBS_OK) {
            return st;
        }
    } else if (h->limit > 0 && from >= context && n > h->limit - h->tokens) {
        n = h->limit - h->tokens;
    }
    *taken = n;
    /* A step of the models may end behind the context. */
    int64_t before = from < context ? (n < context - from ? n : context - from) : 0;
    teach(h, tokens, from, before, 0);
    h->first = h->first && before == 0;
    return compare(h, tokens, from + before, n - before, models ? mbs_lanes_scored(h->lanes) + before : NULL, err);
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    mbs_held *h = self;
    const mbs_carry *models = h->lanes ? mbs_lanes_carry(h->lanes) : NULL;
    return models ? models->finish(models->self, record, out, more, err) : no_finish(NULL, record, out, more, err);
}

mbs_carry mbs_held_carry(mbs_held *h) {
    return (mbs_carry){.self = h, .begin = begin, .step = step, .finish = finish};
}
