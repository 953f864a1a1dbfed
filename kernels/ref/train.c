/* train.c - the loss, the length of a gradient and the optimiser. */
#include <math.h>

#include "ref/math.h"
#include "ref/ref.h"

double ref_cross_entropy(float *dx, const float *x, int64_t n, int64_t id, float scale) {
    double lse = ref_lse(x, n);
    double loss = lse - (double)x[id];
    for (int64_t j = 0; dx && j < n; j++) {
        double p = exp_double((double)x[j] - lse);
        dx[j] = (float)((double)scale * (j == id ? p - 1.0 : p));
    }
    return loss;
}

double ref_squares(const float *x, int64_t n) {
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++) {
        sum += (double)x[j] * (double)x[j];
    }
    return sum;
}

void ref_adamw(const adamw_job *job, float *w, float *m, float *v, const float *g, int64_t n) {
    for (int64_t j = 0; j < n; j++) {
        float d = job->scale * g[j];
        m[j] = job->beta1 * m[j] + job->rest1 * d;
        v[j] = job->beta2 * v[j] + job->rest2 * (d * d);
        w[j] = job->keep * w[j] - job->rate * (m[j] / (sqrtf(v[j] * job->root) + job->eps));
    }
}

void ref_mul(float *y, const float *x, const float *r, int64_t n) {
    for (int64_t j = 0; j < n; j++) {
        y[j] = x[j] * r[j];
    }
}
