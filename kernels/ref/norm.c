/* norm.c - RMS and layer normalisation, statistics in double. */
#include <math.h>

#include "ref/math.h"
#include "ref/ref.h"

void ref_rmsnorm(const norm_job *job, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const float *x = job->x + r * job->ldx;
        float *y = job->y + r * job->ldy;
        double squares = 0.0;
        for (int64_t j = 0; j < job->cols; j++) {
            squares += (double)x[j] * (double)x[j];
        }
        float scale = (float)(1.0 / sqrt(squares / (double)job->cols + (double)job->eps));
        for (int64_t j = 0; j < job->cols; j++) {
            y[j] = x[j] * scale * job->w[j];
        }
    }
}

void ref_layernorm(const norm_job *job, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const float *x = job->x + r * job->ldx;
        float *y = job->y + r * job->ldy;
        double sum = 0.0;
        for (int64_t j = 0; j < job->cols; j++) {
            sum += (double)x[j];
        }
        double mean = sum / (double)job->cols;
        double squares = 0.0;
        for (int64_t j = 0; j < job->cols; j++) {
            squares += ((double)x[j] - mean) * ((double)x[j] - mean);
        }
        double scale = 1.0 / sqrt(squares / (double)job->cols + (double)job->eps);
        for (int64_t j = 0; j < job->cols; j++) {
            float v = (float)(((double)x[j] - mean) * scale) * job->w[j];
            y[j] = job->b ? v + job->b[j] : v;
        }
    }
}

void ref_gated(const gated_job *job, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const float *x = job->x + r * job->ldx;
        const float *z = job->z + r * job->ldz;
        float *y = job->y + r * job->ldy;
        for (int64_t from = 0; from < job->cols; from += job->group) {
            double squares = 0.0;
            for (int64_t j = from; j < from + job->group; j++) {
                double v = (double)(job->norm_first ? x[j] : x[j] * ref_silu(z[j]));
                squares += v * v;
            }
            float scale = (float)(1.0 / sqrt(squares / (double)job->group + (double)job->eps));
            for (int64_t j = from; j < from + job->group; j++) {
                y[j] = job->norm_first ? x[j] * scale * job->w[j] * ref_silu(z[j])
                                       : x[j] * ref_silu(z[j]) * scale * job->w[j];
            }
        }
    }
}
