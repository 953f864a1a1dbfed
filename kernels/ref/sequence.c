/* sequence.c - the causal convolution and the selective scan, one row after the other. */
#include "ref/math.h"
#include "ref/ref.h"

/* Row t of the input, where rows before the call are those of the state. */
static const float *input_row(const conv_job *job, int64_t t) {
    return t < 0 ? job->state + (job->width + t) * job->lds : job->x + t * job->ldx;
}

void ref_conv(const conv_job *job, int64_t c0, int64_t c1) {
    for (int64_t t = 0; t < job->rows; t++) {
        for (int64_t c = c0; c < c1; c++) {
            float sum = job->bias ? job->bias[c] : 0.0f;
            for (int64_t k = 0; k < job->width; k++) {
                sum += job->w[k * job->ldw + c] * input_row(job, t - job->width + 1 + k)[c];
            }
            job->y[t * job->ldy + c] = ref_silu(sum);
        }
    }
}

void ref_scan(const scan_job *job, int64_t c0, int64_t c1) {
    for (int64_t t = 0; t < job->rows; t++) {
        const float *b = job->b + t * job->ldb;
        const float *cc = job->c + t * job->ldc;
        for (int64_t c = c0; c < c1; c++) {
            float u = job->u[t * job->ldu + c];
            float q = job->dt[t * job->lddt + c];
            float delta = ref_softplus(job->bias ? q + job->bias[c] : q);
            float du = delta * u;
            float sum = 0.0f;
            for (int64_t n = 0; n < job->n; n++) {
                float *h = job->state + n * job->lds + c;
                *h = ref_exp(delta * job->a[n * job->lda + c]) * *h + du * b[n];
                sum += cc[n] * *h;
            }
            float s = sum + job->d[c] * u;
            job->y[t * job->ldy + c] = job->z ? s * ref_silu(job->z[t * job->ldz + c]) : s;
        }
    }
}
