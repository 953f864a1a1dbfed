#include "baseline/lpc.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define ORDER 32
#define TERMS (ORDER + 1) /* and a constant */
#define FORGET 0.9995     /* of the weights: two thousand samples */
#define START 1.0         /* of what the weights may be at first */
#define SPREADS 5
#define EXPERTS (2 * SPREADS)
#define EVEN 1e-3 /* share of the probability that all letters have alike */

/* How fast each spread follows. */
static const double follow[SPREADS] = {1.0 / 8, 1.0 / 24, 1.0 / 80, 1.0 / 300, 1.0 / 1200};

struct mbs_lpc {
    const mbs_alphabet *letters;
    double value[MBS_ALPHABET_MAX]; /* of each letter: its id, in units of half the range, from the middle */
    double edge[MBS_ALPHABET_MAX];  /* between letter i and the next one above it */
    int rank[MBS_ALPHABET_MAX];     /* letters by value */
    double past[TERMS];             /* newest first; the last is the constant */
    double weight[TERMS];
    double cov[TERMS][TERMS];
    double spread[SPREADS]; /* means of |missed| */
    double belief[EXPERTS];
};

static void forget(mbs_lpc *l) {
    memset(l->weight, 0, sizeof l->weight);
    memset(l->cov, 0, sizeof l->cov);
    for (int i = 0; i < TERMS; i++) {
        l->cov[i][i] = START;
    }
    l->weight[0] = 1; /* the sample before */
}

/* Letters become numbers by their ids; rank and edges by the numbers. */
static void place_letters(mbs_lpc *l) {
    const mbs_alphabet *a = l->letters;
    double half = a->n_ids > 1 ? (a->n_ids - 1) / 2.0 : 1;
    int n = 0;
    for (int32_t id = 0; id < a->n_ids; id++) { /* in the order of ids, which is that of the numbers */
        int letter = a->letters[id];
        int known = letter < 0;
        for (int k = 0; k < n && !known; k++) {
            known = l->rank[k] == letter;
        }
        if (!known && n < MBS_ALPHABET_MAX) {
            l->value[letter] = (id - half) / half;
            l->rank[n++] = letter;
        }
    }
    for (int k = 0; k + 1 < n; k++) {
        l->edge[k] = (l->value[l->rank[k]] + l->value[l->rank[k + 1]]) / 2;
    }
}

mbs_status mbs_lpc_new(const mbs_alphabet *letters, mbs_lpc **out, mbs_err *err) {
    mbs_lpc *l = mbs_calloc(1, sizeof *l);
    *out = l;
    if (!l) {
        return mbs_fail_memory(err, "baseline", sizeof *l);
    }
    l->letters = letters;
    place_letters(l);
    forget(l);
    mbs_lpc_break(l);
    for (int k = 0; k < SPREADS; k++) {
        l->spread[k] = 0.1;
    }
    for (int k = 0; k < EXPERTS; k++) {
        l->belief[k] = 1.0 / EXPERTS;
    }
    return MBS_OK;
}

void mbs_lpc_free(mbs_lpc *l) {
    mbs_free(l);
}

int64_t mbs_lpc_bytes(void) {
    return (int64_t)sizeof(mbs_lpc);
}

void mbs_lpc_break(mbs_lpc *l) {
    memset(l->past, 0, sizeof l->past);
    l->past[ORDER] = 1;
}

static double predict(const mbs_lpc *l) {
    double sum = 0;
    for (int i = 0; i < TERMS; i++) {
        sum += l->weight[i] * l->past[i];
    }
    return sum < -1.5 ? -1.5 : sum > 1.5 ? 1.5 : sum;
}

/* Share of a distribution of mean 0 that lies below x. */
static double below(int expert, double x, double spread) {
    double s = spread > 1e-5 ? spread : 1e-5;
    if (expert < SPREADS) { /* Laplace */
        return x < 0 ? 0.5 * exp(x / s) : 1 - 0.5 * exp(-x / s);
    }
    return 1 / (1 + exp(-x / (0.72 * s))); /* logistic */
}

/* Probability of the letter of rank k. */
static double cell(const mbs_lpc *l, int expert, int k, double mean) {
    double spread = l->spread[expert % SPREADS];
    double low = k > 0 ? below(expert, l->edge[k - 1] - mean, spread) : 0;
    double high = k + 1 < l->letters->n ? below(expert, l->edge[k] - mean, spread) : 1;
    return high - low > 1e-12 ? high - low : 1e-12;
}

static int rank_of(const mbs_lpc *l, int letter) {
    int k = 0;
    while (k + 1 < l->letters->n && l->rank[k] != letter) {
        k++;
    }
    return k;
}

/* Recursive least squares. */
static void adapt(mbs_lpc *l, double missed) {
    double gain[TERMS];
    double scale = FORGET;
    for (int i = 0; i < TERMS; i++) {
        gain[i] = 0;
        for (int j = 0; j < TERMS; j++) {
            gain[i] += l->cov[i][j] * l->past[j];
        }
        scale += l->past[i] * gain[i];
    }
    if (!(scale > 0) || !isfinite(scale)) {
        forget(l);
        return;
    }
    for (int i = 0; i < TERMS; i++) {
        l->weight[i] += gain[i] / scale * missed;
        for (int j = 0; j <= i; j++) {
            double v = (l->cov[i][j] - gain[i] * gain[j] / scale) / FORGET;
            l->cov[i][j] = l->cov[j][i] = v;
        }
        l->cov[i][i] = fmin(l->cov[i][i] + 1e-9, 1e6); /* what was never excited does not grow without end */
    }
}

void mbs_lpc_pass(mbs_lpc *l, int letter) {
    memmove(l->past + 1, l->past, (ORDER - 1) * sizeof *l->past);
    l->past[0] = l->value[letter];
}

double mbs_lpc_score(mbs_lpc *l, int letter) {
    int k = rank_of(l, letter);
    double mean = predict(l);
    double p = 0;
    double all = 0;
    for (int e = 0; e < EXPERTS; e++) {
        double mine = cell(l, e, k, mean);
        p += l->belief[e] * mine;
        l->belief[e] = pow(l->belief[e], 0.98) * mine;
        all += l->belief[e];
    }
    for (int e = 0; e < EXPERTS; e++) {
        l->belief[e] = fmax(l->belief[e] / all, 1e-6);
    }
    double missed = l->value[letter] - mean;
    for (int i = 0; i < SPREADS; i++) {
        l->spread[i] += follow[i] * (fabs(missed) - l->spread[i]);
    }
    adapt(l, missed);
    mbs_lpc_pass(l, letter);
    /* Beliefs add up to a little more than 1 where one was lifted: the share that is even takes it up. */
    return log((1 - EVEN) * p / (1 + EXPERTS * 1e-6) + EVEN / l->letters->n);
}
