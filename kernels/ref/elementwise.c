/* elementwise.c - sums, elementary functions and the log-sum-exp of a row. */
#include "ref/math.h"
#include "ref/ref.h"

void ref_add(float *y, const float *x, const float *r, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] + r[i];
    }
}

void ref_gate(float *y, const float *x, const float *z, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] * ref_silu(z[i]);
    }
}

void ref_map_exp(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = ref_exp(x[i]);
    }
}

void ref_map_silu(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = ref_silu(x[i]);
    }
}

void ref_map_softplus(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = ref_softplus(x[i]);
    }
}

double ref_lse(const float *x, int64_t n) {
    float max = x[0];
    for (int64_t i = 1; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp_double((double)x[i] - (double)max);
    }
    return (double)max + log_double(sum);
}
