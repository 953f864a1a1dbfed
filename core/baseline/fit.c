#include "baseline/fit.h"

#include <math.h>
#include <string.h>

#define EVERY 8   /* samples from one search for weights to the next */
#define STIFF 0.3 /* 1 / the variance of a weight before anything is known */

void mbs_fit_init(mbs_fit *f, int terms, double keep) {
    memset(f, 0, sizeof *f);
    f->terms = terms;
    f->keep = keep;
    f->wait = EVERY;
    f->weight[0] = 1; /* the sample before */
}

double mbs_fit_predict(const mbs_fit *f, const double *term) {
    double sum = 0;
    for (int i = 0; i < f->terms; i++) {
        sum += f->weight[i] * term[i];
    }
    return sum;
}

/* Weights that leave the least sum of squares, by the Cholesky factor of the moments; a little is added to their
 * diagonal, so that there is one. */
static void solve(mbs_fit *f) {
    const int n = f->terms;
    double low[MBS_FIT_TERMS][MBS_FIT_TERMS];
    double x[MBS_FIT_TERMS];
    for (int i = 0; i < n; i++) {
        double right = f->product[i] + (i == 0 ? STIFF : 0);
        for (int j = 0; j <= i; j++) {
            double sum = f->moment[i][j] + (i == j ? STIFF + 1e-9 * f->moment[i][i] : 0);
            for (int k = 0; k < j; k++) {
                sum -= low[i][k] * low[j][k];
            }
            if (i == j && !(sum > 0)) {
                return; /* the last weights stay */
            }
            low[i][j] = i == j ? sqrt(sum) : sum / low[j][j];
        }
        for (int k = 0; k < i; k++) {
            right -= low[i][k] * x[k];
        }
        x[i] = right / low[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++) {
            x[i] -= low[k][i] * x[k];
        }
        x[i] /= low[i][i];
    }
    memcpy(f->weight, x, (size_t)n * sizeof *x);
}

/* What has faded away is nothing: numbers too small to be normal ones are slow. */
static void forget(mbs_fit *f) {
    for (int i = 0; i < f->terms; i++) {
        for (int j = 0; j <= i; j++) {
            f->moment[i][j] = fabs(f->moment[i][j]) > 1e-200 ? f->moment[i][j] : 0;
        }
        f->product[i] = fabs(f->product[i]) > 1e-200 ? f->product[i] : 0;
    }
}

void mbs_fit_follow(mbs_fit *f, const double *term, double value, double say) {
    for (int i = 0; i < f->terms; i++) {
        double mine = say * term[i];
        for (int j = 0; j <= i; j++) {
            f->moment[i][j] = f->keep * f->moment[i][j] + mine * term[j];
        }
        f->product[i] = f->keep * f->product[i] + mine * value;
    }
    if (--f->wait <= 0) {
        forget(f);
        solve(f);
        f->wait = EVERY;
    }
}
