#include "baseline/counts.h"

#include <string.h>

#include "base/mem.h"

#define COUNT_FULL 60000
#define CONTEXT_BITS 62

mbs_status mbs_counts_init(mbs_counts *t, int order, const mbs_alphabet *letters, int64_t tokens, mbs_err *err) {
    memset(t, 0, sizeof *t);
    int64_t context_bits = (int64_t)order * letters->bits;
    if (order < 0 || context_bits > CONTEXT_BITS) {
        mbs_fail(err, MBS_ERR_USAGE, "baseline", "order %d is too large for %d kinds of token", order, letters->n);
        mbs_err_fix(err, "order-%d is the largest", CONTEXT_BITS / letters->bits);
        return MBS_ERR_USAGE;
    }
    t->letters = letters;
    t->order = order;
    t->mask = ((uint64_t)1 << context_bits) - 1;
    int64_t cell = letters->n * (int64_t)sizeof *t->cells;
    int bits = 10;
    while (((int64_t)1 << bits) / 4 < tokens && (cell << (bits + 1)) <= MBS_COUNTS_MAX_BYTES) {
        bits++;
    }
    t->hashed = context_bits > bits;
    t->cell_bits = t->hashed ? bits : (int)context_bits;
    t->cells = mbs_calloc((size_t)1 << t->cell_bits, (size_t)cell);
    return t->cells ? MBS_OK : mbs_fail_memory(err, "baseline", (size_t)cell << t->cell_bits);
}

void mbs_counts_free(mbs_counts *t) {
    mbs_free(t->cells);
    t->cells = NULL;
}

int64_t mbs_counts_bytes(const mbs_counts *t) {
    return (t->letters->n * (int64_t)sizeof *t->cells) << t->cell_bits;
}

void mbs_counts_break(mbs_counts *t) {
    t->ahead = t->behind = 0;
}

/* Hashing keeps the high bits of a product with an odd number near 2^64 / golden ratio. */
static uint16_t *cell_of(const mbs_counts *t, uint64_t context) {
    uint64_t at = t->hashed ? (context * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - t->cell_bits) : context;
    return t->cells + at * (uint64_t)t->letters->n;
}

const uint16_t *mbs_counts_here(const mbs_counts *t) {
    return cell_of(t, t->ahead);
}

static void count(const mbs_counts *t, uint64_t context, int letter) {
    uint16_t *cell = cell_of(t, context);
    if (++cell[letter] >= COUNT_FULL) {
        for (int i = 0; i < t->letters->n; i++) {
            cell[i] = (uint16_t)(cell[i] / 2);
        }
    }
}

void mbs_counts_move(mbs_counts *t, int letter, int learn) {
    const mbs_alphabet *a = t->letters;
    uint64_t before = t->ahead;
    int oldest = letter;
    t->ahead = ((before << a->bits) | (uint64_t)letter) & t->mask;
    if (t->order > 0) {
        int top = a->bits * (t->order - 1);
        oldest = (int)((before >> top) & (((uint64_t)1 << a->bits) - 1));
        t->behind = (t->behind >> a->bits) | ((uint64_t)a->complement[letter] << top);
    }
    if (learn) {
        count(t, before, letter);
        if (a->complements) {
            count(t, t->behind, a->complement[oldest]);
        }
    }
}
