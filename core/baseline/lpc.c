#include "baseline/lpc.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "baseline/fit.h"
#include "baseline/levels.h"

#define ORDER 32
#define CONSTANT 0.05
#define FITS 4
#define MEANS (FITS + 1) /* and one between them */
#define SPREADS 4
#define LAPLACE 0
#define LOGISTIC 1
#define SHAPES 2
#define OF_A_MEAN (SPREADS * SHAPES)
#define EXPERTS (MEANS * OF_A_MEAN)
#define FADE 0.98        /* a belief is forgotten in fifty samples */
#define LEAST 1e-5       /* belief that is left in an expert that was wrong */
#define EVEN 5e-4        /* share of the probability that all letters have alike */
#define NARROWEST 1e-5   /* spread */
#define FIRST_SPREAD 0.1 /* before anything was missed */

/* How many samples before (and the constant) each fit looks at, and how long it remembers: from 5000 samples to 50. */
static const struct {
    int terms;
    double keep;
} kinds[FITS] = {{ORDER + 1, 0.9998}, {ORDER + 1, 0.998}, {25, 0.993}, {17, 0.98}};

/* How fast each spread follows. */
static const double follow[SPREADS] = {1.0 / 8, 1.0 / 24, 1.0 / 80, 1.0 / 400};
#define USUAL 1 /* the spread that says how much a sample tells a fit */

struct mbs_lpc {
    mbs_levels levels;
    double past[ORDER]; /* newest first */
    mbs_fit fits[FITS];
    double mean[MEANS];            /* what each expects now; the last is between them */
    double spread[MEANS][SPREADS]; /* means of |missed| */
    double belief[EXPERTS];
};

mbs_status mbs_lpc_new(const mbs_alphabet *letters, mbs_lpc **out, mbs_err *err) {
    mbs_lpc *l = mbs_calloc(1, sizeof *l);
    *out = l;
    if (!l) {
        return mbs_fail_memory(err, "baseline", sizeof *l);
    }
    mbs_levels_make(letters, &l->levels);
    for (int f = 0; f < FITS; f++) {
        mbs_fit_init(&l->fits[f], kinds[f].terms, kinds[f].keep);
    }
    for (int m = 0; m < MEANS; m++) {
        for (int i = 0; i < SPREADS; i++) {
            l->spread[m][i] = FIRST_SPREAD;
        }
    }
    for (int e = 0; e < EXPERTS; e++) {
        l->belief[e] = 1.0 / EXPERTS;
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
}

static void hear(mbs_lpc *l, double value) {
    memmove(l->past + 1, l->past, (ORDER - 1) * sizeof *l->past);
    l->past[0] = value;
}

/* The constant comes second so that a fit of few terms has it, too. */
static void gather_terms(const mbs_lpc *l, double term[ORDER + 1]) {
    term[0] = l->past[0];
    term[1] = CONSTANT;
    memcpy(term + 2, l->past + 1, (ORDER - 1) * sizeof *term);
}

static void predict(mbs_lpc *l, const double *term) {
    double sum = 0;
    double all = 0;
    for (int f = 0; f < FITS; f++) {
        double trust = 0;
        for (int e = 0; e < OF_A_MEAN; e++) {
            trust += l->belief[f * OF_A_MEAN + e];
        }
        l->mean[f] = fmax(-1.2, fmin(1.2, mbs_fit_predict(&l->fits[f], term)));
        sum += sqrt(trust) * l->mean[f];
        all += sqrt(trust);
    }
    l->mean[FITS] = sum / all;
}

/* Share of a distribution around 0 that lies below x. */
static double below(int shape, double x, double spread) {
    if (shape == LAPLACE) {
        return x < 0 ? 0.5 * exp(x / spread) : 1 - 0.5 * exp(-x / spread);
    }
    return 1 / (1 + exp(-x / (0.72 * spread))); /* so that |x| has the mean `spread` */
}

/* Probability of level k. Those of all levels add up to 1: one begins where the other ends, and the outer ones are
 * open. */
static double cell(const mbs_lpc *l, int expert, int k) {
    int m = expert / OF_A_MEAN;
    int shape = expert / SPREADS % SHAPES;
    double spread = fmax(l->spread[m][expert % SPREADS], NARROWEST);
    double low = k > 0 ? below(shape, l->levels.edge[k - 1] - l->mean[m], spread) : 0;
    double high = k + 1 < l->levels.n ? below(shape, l->levels.edge[k] - l->mean[m], spread) : 1;
    return high - low;
}

/* Probability of level k, all experts asked; then they are believed by how well they did. */
static double ask(mbs_lpc *l, int k) {
    double p = 0;
    double before = 0;
    double after = 0;
    for (int e = 0; e < EXPERTS; e++) {
        double mine = cell(l, e, k);
        p += l->belief[e] * mine;
        before += l->belief[e];
        l->belief[e] = pow(l->belief[e], FADE) * fmax(mine, 1e-9);
        after += l->belief[e];
    }
    for (int e = 0; e < EXPERTS; e++) {
        l->belief[e] = fmax(l->belief[e] / after, LEAST);
    }
    return p / before;
}

/* Where in its cell a sample lay is not known; it is likelier on the side on which it was expected. */
static double place(const mbs_lpc *l, int k) {
    double half = l->levels.width[k] / 2;
    double rounding = half * half / 3;
    double spread = 1.2 * fmax(l->spread[FITS][USUAL], NARROWEST);
    double shift = (l->mean[FITS] - l->levels.value[k]) * rounding / (rounding + spread * spread);
    return l->levels.value[k] + fmax(-half, fmin(half, shift));
}

void mbs_lpc_pass(mbs_lpc *l, int letter) {
    hear(l, l->levels.value[l->levels.rank[letter]]);
}

double mbs_lpc_score(mbs_lpc *l, int letter) {
    const int k = l->levels.rank[letter];
    double term[ORDER + 1];
    gather_terms(l, term);
    predict(l, term);
    double p = ask(l, k);
    double value = place(l, k);
    double rounding = l->levels.width[k] * l->levels.width[k] / 12;
    for (int m = 0; m < MEANS; m++) {
        double usual = l->spread[m][USUAL];
        double missed = fabs(l->levels.value[k] - l->mean[m]);
        for (int i = 0; i < SPREADS; i++) {
            l->spread[m][i] += follow[i] * (missed - l->spread[m][i]);
        }
        if (m < FITS) {
            mbs_fit_follow(&l->fits[m], term, value, 1 / (usual * usual + rounding + NARROWEST * NARROWEST));
        }
    }
    hear(l, value);
    return log((1 - EVEN) * p + EVEN / l->levels.n);
}
