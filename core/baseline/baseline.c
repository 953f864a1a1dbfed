#include "baseline/baseline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "baseline/counts.h"
#include "baseline/lpc.h"
#include "baseline/mix.h"

#define N_ADDED 3
static const double added[N_ADDED] = {1.0, 0.25, 0.0625};

struct mbs_baseline {
    const mbs_alphabet *letters;
    int64_t run; /* letters since the last break */
    /* order-K */
    mbs_counts table;
    double cost[N_ADDED]; /* of what was learnt, nats */
    int frozen;
    double chosen;
    /* mix */
    mbs_mix *mix;
    mbs_lpc *lpc;
};

mbs_status mbs_baseline_new(int order, const mbs_alphabet *letters, int64_t tokens, mbs_baseline **out, mbs_err *err) {
    mbs_baseline *b = mbs_calloc(1, sizeof *b);
    *out = b;
    if (!b) {
        return mbs_fail_memory(err, "baseline", sizeof *b);
    }
    b->letters = letters;
    mbs_status st = order == MBS_BASELINE_LPC   ? mbs_lpc_new(letters, &b->lpc, err)
                    : order == MBS_BASELINE_MIX ? mbs_mix_new(letters, tokens, &b->mix, err)
                                                : mbs_counts_init(&b->table, order, letters, tokens, err);
    if (st != MBS_OK) {
        mbs_baseline_free(b);
        *out = NULL;
    }
    return st;
}

void mbs_baseline_free(mbs_baseline *b) {
    if (b) {
        mbs_counts_free(&b->table);
        mbs_mix_free(b->mix);
        mbs_lpc_free(b->lpc);
        mbs_free(b);
    }
}

int64_t mbs_baseline_bytes(const mbs_baseline *b) {
    return b->lpc ? mbs_lpc_bytes() : b->mix ? mbs_mix_bytes(b->mix) : mbs_counts_bytes(&b->table);
}

void mbs_baseline_break(mbs_baseline *b) {
    b->run = 0;
    if (b->lpc) {
        mbs_lpc_break(b->lpc);
    } else if (b->mix) {
        mbs_mix_break(b->mix);
    } else {
        mbs_counts_break(&b->table);
    }
}

/* log P by the table; where there is not context enough every letter is as likely. */
static double table_score(const mbs_baseline *b, int letter, double more) {
    const int n = b->letters->n;
    if (b->run < b->table.order) {
        return -log((double)n);
    }
    const uint16_t *counts = mbs_counts_here(&b->table);
    double all = 0;
    for (int i = 0; i < n; i++) {
        all += counts[i];
    }
    return log((counts[letter] + more) / (all + n * more));
}

void mbs_baseline_learn(mbs_baseline *b, int letter) {
    if (b->lpc) {
        (void)mbs_lpc_score(b->lpc, letter);
    } else if (b->mix) {
        mbs_mix_score(b->mix, b->run, letter, 1);
    } else {
        for (int i = 0; i < N_ADDED; i++) {
            b->cost[i] -= table_score(b, letter, added[i]);
        }
        mbs_counts_move(&b->table, letter, b->run >= b->table.order);
    }
    b->run++;
}

void mbs_baseline_pass(mbs_baseline *b, int letter) {
    if (b->lpc) {
        mbs_lpc_pass(b->lpc, letter);
    } else if (b->mix) {
        mbs_mix_pass(b->mix, letter);
    } else {
        mbs_counts_move(&b->table, letter, 0);
    }
    b->run++;
}

double mbs_baseline_score(mbs_baseline *b, int letter) {
    double lp;
    if (b->lpc) {
        lp = mbs_lpc_score(b->lpc, letter);
    } else if (b->mix) {
        lp = mbs_mix_score(b->mix, b->run, letter, 0);
    } else {
        for (int i = 0; i < N_ADDED && !b->frozen; i++) {
            b->chosen = i == 0 || b->cost[i] < b->cost[0] ? added[i] : b->chosen;
            b->cost[0] = fmin(b->cost[0], b->cost[i]);
        }
        b->frozen = 1;
        lp = table_score(b, letter, b->chosen);
        mbs_counts_move(&b->table, letter, 0);
    }
    b->run++;
    return lp;
}
