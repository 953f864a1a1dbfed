/* gemm.c - y = x W^T [+ bias] [+ y]: one sum per output, over k in index order. */
#include "ref/ref.h"

/* The outputs of a panel are summed side by side, each in its own order, so that a compiler may use its vectors. */
static void panel_row(float *sum, const float *x, const float *panel, int64_t n_in) {
    for (int j = 0; j < MBK_PANEL; j++) {
        sum[j] = 0.0f;
    }
    for (int64_t k = 0; k < n_in; k++) {
        for (int j = 0; j < MBK_PANEL; j++) {
            sum[j] += x[k] * panel[k * MBK_PANEL + j];
        }
    }
}

void ref_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    for (int64_t p = p0; p < p1; p++) {
        int64_t first = p * MBK_PANEL;
        int64_t live = job->n_out - first < MBK_PANEL ? job->n_out - first : MBK_PANEL;
        for (int64_t r = r0; r < r1; r++) {
            float sum[MBK_PANEL];
            panel_row(sum, job->x + r * job->ldx, job->w + first * job->n_in, job->n_in);
            float *y = job->y + r * job->ldy + first;
            for (int64_t j = 0; j < live; j++) {
                float v = sum[j];
                if (job->bias) {
                    v += job->bias[first + j];
                }
                y[j] = job->accumulate ? v + y[j] : v;
            }
        }
    }
}
