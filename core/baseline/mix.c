#include "baseline/mix.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "baseline/counts.h"

#define N_TABLES 16
#define LAST_BITS 12 /* of the last letters that choose a set of weights */
#define LAST_LETTERS 3
#define FIRST_WEIGHT 0.15
#define STEP 0.002
#define EARLY_STEPS 20.0 /* the first step is so much longer, half of that after ... */
#define EARLY_TOKENS 20000.0
#define LAST_STEP 0.3 /* the weights of the last letters move slower */
#define FLOOR 0.0005  /* shared by all letters, whatever the tables say */

/* Long contexts are met seldom: one count there says more. */
static const struct {
    int order;
    double added;
} kinds[N_TABLES] = {{1, 1},       {2, 1},       {3, 1},       {4, 1},       {6, 1},       {8, 1},
                     {9, 0.5},     {10, 0.25},   {11, 0.25},   {12, 0.0625}, {13, 0.0625}, {14, 0.0625},
                     {16, 0.0625}, {18, 0.0625}, {20, 0.0625}, {24, 0.0625}};

struct mbs_mix {
    const mbs_alphabet *letters;
    int n; /* tables: those whose contexts fit */
    mbs_counts tables[N_TABLES];
    double by_met[N_TABLES + 1][N_TABLES]; /* weights, by the longest context that was met before */
    double (*by_last)[N_TABLES];           /* and by the last letters */
    uint64_t last;
    uint64_t last_mask;
    int64_t learnt;
    double votes[N_TABLES][MBS_ALPHABET_MAX]; /* of each table: logarithms around their mean */
    double p[MBS_ALPHABET_MAX];
};

mbs_status mbs_mix_new(const mbs_alphabet *letters, int64_t tokens, mbs_mix **out, mbs_err *err) {
    mbs_mix *m = mbs_calloc(1, sizeof *m);
    *out = m;
    if (!m) {
        return mbs_fail_memory(err, "baseline", sizeof *m);
    }
    m->letters = letters;
    int bits = letters->bits * LAST_LETTERS <= LAST_BITS ? letters->bits * LAST_LETTERS : letters->bits;
    m->last_mask = ((uint64_t)1 << bits) - 1;
    m->by_last = mbs_calloc((size_t)1 << bits, sizeof *m->by_last);
    mbs_status st = m->by_last ? MBS_OK : mbs_fail_memory(err, "baseline", sizeof *m->by_last << bits);
    for (int i = 0; i < N_TABLES && st == MBS_OK && kinds[i].order * letters->bits <= 62; i++) {
        st = mbs_counts_init(&m->tables[i], kinds[i].order, letters, tokens, err);
        m->n += st == MBS_OK;
    }
    for (int k = 0; k < N_TABLES && st == MBS_OK; k++) {
        for (int i = 0; i <= N_TABLES; i++) {
            m->by_met[i][k] = FIRST_WEIGHT;
        }
        for (uint64_t i = 0; i <= m->last_mask; i++) {
            m->by_last[i][k] = FIRST_WEIGHT;
        }
    }
    if (st != MBS_OK) {
        mbs_mix_free(m);
        *out = NULL;
    }
    return st;
}

void mbs_mix_free(mbs_mix *m) {
    if (m) {
        for (int i = 0; i < m->n; i++) {
            mbs_counts_free(&m->tables[i]);
        }
        mbs_free(m->by_last);
        mbs_free(m);
    }
}

int64_t mbs_mix_bytes(const mbs_mix *m) {
    int64_t bytes = (int64_t)((m->last_mask + 1) * sizeof *m->by_last + sizeof m->by_met);
    for (int i = 0; i < m->n; i++) {
        bytes += mbs_counts_bytes(&m->tables[i]);
    }
    return bytes;
}

void mbs_mix_break(mbs_mix *m) {
    m->last = 0;
    for (int i = 0; i < m->n; i++) {
        mbs_counts_break(&m->tables[i]);
    }
}

/* What every table says of every letter. Gives how many tables lead up to the longest context that was met. */
static int gather_votes(mbs_mix *m, int64_t run) {
    const int n = m->letters->n;
    int met = 0;
    for (int i = 0; i < m->n; i++) {
        double *vote = m->votes[i];
        if (run < m->tables[i].order) {
            memset(vote, 0, (size_t)n * sizeof *vote);
            continue;
        }
        const uint16_t *counts = mbs_counts_here(&m->tables[i]);
        double mean = 0;
        uint32_t all = 0;
        for (int k = 0; k < n; k++) {
            all += counts[k];
            vote[k] = log(counts[k] + kinds[i].added);
            mean += vote[k] / n;
        }
        for (int k = 0; k < n; k++) {
            vote[k] -= mean;
        }
        met = all ? i + 1 : met;
    }
    return met;
}

static void mix_votes(mbs_mix *m, const double *a, const double *b) {
    const int n = m->letters->n;
    double top = -INFINITY;
    double sum = 0;
    for (int k = 0; k < n; k++) {
        m->p[k] = 0;
        for (int i = 0; i < m->n; i++) {
            m->p[k] += (a[i] + b[i]) * m->votes[i][k];
        }
        top = fmax(top, m->p[k]);
    }
    for (int k = 0; k < n; k++) {
        m->p[k] = exp(m->p[k] - top);
        sum += m->p[k];
    }
    for (int k = 0; k < n; k++) {
        m->p[k] = (1 - FLOOR) * m->p[k] / sum + FLOOR / n;
    }
}

/* A step down the gradient of -log P(letter). */
static void follow(mbs_mix *m, double *a, double *b, int letter) {
    double step = STEP * (1 + EARLY_STEPS / (1 + (double)m->learnt++ / EARLY_TOKENS));
    for (int i = 0; i < m->n; i++) {
        double g = m->votes[i][letter];
        for (int k = 0; k < m->letters->n; k++) {
            g -= m->p[k] * m->votes[i][k];
        }
        a[i] += step * g;
        b[i] += LAST_STEP * step * g;
    }
}

double mbs_mix_score(mbs_mix *m, int64_t run, int letter, int learn) {
    double *a = m->by_met[gather_votes(m, run)];
    double *b = m->by_last[m->last];
    mix_votes(m, a, b);
    double lp = log(m->p[letter]);
    if (learn) {
        follow(m, a, b, letter);
    }
    for (int i = 0; i < m->n; i++) {
        mbs_counts_move(&m->tables[i], letter, learn && run >= m->tables[i].order);
    }
    m->last = ((m->last << m->letters->bits) | (uint64_t)letter) & m->last_mask;
    return lp;
}

void mbs_mix_pass(mbs_mix *m, int letter) {
    for (int i = 0; i < m->n; i++) {
        mbs_counts_move(&m->tables[i], letter, 0);
    }
    m->last = ((m->last << m->letters->bits) | (uint64_t)letter) & m->last_mask;
}
