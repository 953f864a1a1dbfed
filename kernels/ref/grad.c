/* grad.c - gradients of the matrix product and of the norms. */
#include <math.h>

#include "ref/ref.h"

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* As the job multiplies it. */
static float factor(const weight_grad_job *job, float x) {
    return job->rounded ? bf16_widen(bf16_round(x)) : x;
}

/* The sums of a block of rows for MBK_PANEL columns side by side, each in the order of the rows. */
void ref_weight_grad(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1) {
    for (int64_t r0 = 0; r0 < job->rows; r0 += MBK_GRAD_ROWS) {
        int64_t r1 = least(r0 + MBK_GRAD_ROWS, job->rows);
        for (int64_t o = o0; o < o1; o++) {
            for (int64_t k = k0; k < k1; k += MBK_PANEL) {
                int64_t live = least(MBK_PANEL, k1 - k);
                float sum[MBK_PANEL] = {0};
                for (int64_t r = r0; r < r1; r++) {
                    float g = factor(job, job->dy[r * job->lddy + o]);
                    const float *x = job->x + r * job->ldx + k;
                    for (int64_t j = 0; j < live; j++) {
                        sum[j] += g * factor(job, x[j]);
                    }
                }
                for (int64_t j = 0; j < live; j++) {
                    job->dw[o * job->lddw + k + j] += sum[j];
                }
            }
        }
    }
}

static norm_row norm_of(const norm_grad_job *job, const float *x) {
    double n = (double)job->cols;
    double sum = 0.0;
    for (int64_t j = 0; job->centred && j < job->cols; j++) {
        sum += (double)x[j];
    }
    double mean = sum / n;
    double squares = 0.0;
    for (int64_t j = 0; j < job->cols; j++) {
        squares += ((double)x[j] - mean) * ((double)x[j] - mean);
    }
    return (norm_row){mean, 1.0 / sqrt(squares / n + (double)job->eps)};
}

void ref_norm_grad(const norm_grad_job *job, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        const float *x = job->x + r * job->ldx;
        const float *dy = job->dy + r * job->lddy;
        float *dx = job->dx + r * job->lddx;
        norm_row row = job->row[r] = norm_of(job, x);
        double along = 0.0;
        double sum = 0.0;
        for (int64_t j = 0; j < job->cols; j++) {
            double dn = (double)dy[j] * (double)job->w[j];
            sum += dn;
            along += dn * ((double)x[j] - row.mean) * row.scale;
        }
        along /= (double)job->cols;
        sum = job->centred ? sum / (double)job->cols : 0.0;
        for (int64_t j = 0; j < job->cols; j++) {
            double dn = (double)dy[j] * (double)job->w[j];
            double v = ((double)x[j] - row.mean) * row.scale;
            float g = (float)(row.scale * (dn - sum - v * along));
            dx[j] = job->accumulate ? dx[j] + g : g;
        }
    }
}

void ref_norm_weight_grad(const norm_grad_job *job, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c++) {
        double dw = 0.0;
        double db = 0.0;
        for (int64_t r = 0; r < job->rows; r++) {
            double g = (double)job->dy[r * job->lddy + c];
            dw += g * ((double)job->x[r * job->ldx + c] - job->row[r].mean) * job->row[r].scale;
            db += g;
        }
        job->dw[c] += (float)dw;
        if (job->db) {
            job->db[c] += (float)db;
        }
    }
}
