/* ssd.c - the state space dual form, one row of a block after the other. */
#include "ref/math.h"
#include "ref/ref.h"

void ref_ssd_dots(const ssd_dots_job *job) {
    for (int64_t i = job->from; i < job->to; i++) {
        const float *c = job->c + (i - job->from) * job->ldc;
        for (int64_t j = 0; j <= i; j++) {
            const float *b = job->b + j * job->ldb;
            float sum = 0.0f;
            for (int64_t n = 0; n < job->n; n++) {
                sum += c[n] * b[n];
            }
            job->dots[i * MBK_SSD_BLOCK + j] = sum;
        }
    }
}

/* exp(lam_i - lam_j), j = -1 for the block's beginning. */
static float decay(const float *lam, int64_t i, int64_t j) {
    float high = lam[i] - (j < 0 ? 0.0f : lam[j]);
    float low = lam[MBK_SSD_BLOCK + i] - (j < 0 ? 0.0f : lam[MBK_SSD_BLOCK + j]);
    return ref_exp(high + low);
}

static void head_row(const ssd_head_job *job, int64_t i) {
    const int64_t t = i - job->from;
    const float *c = job->c + t * job->ldc;
    const float *x = job->x + t * job->ldx;
    float weight[MBK_SSD_BLOCK];
    float delta = ref_softplus(job->dt[t * job->lddt] + job->bias);
    delta = delta < job->dt_min ? job->dt_min : delta > job->dt_max ? job->dt_max : delta;
    ssd_lam(job->lam, i, delta, job->a);
    for (int64_t p = 0; p < job->p; p++) {
        job->rows[i * job->ldr + p] = delta * x[p];
    }
    for (int64_t j = 0; j <= i; j++) {
        weight[j] = job->dots[i * MBK_SSD_BLOCK + j] * decay(job->lam, i, j);
    }
    for (int64_t p = 0; p < job->p; p++) {
        float sum = 0.0f;
        for (int64_t n = 0; n < job->n; n++) {
            sum += c[n] * job->state[n * job->lds + p];
        }
        sum *= decay(job->lam, i, -1);
        for (int64_t j = 0; j <= i; j++) {
            sum += weight[j] * job->rows[j * job->ldr + p];
        }
        job->y[t * job->ldy + p] = job->d ? sum + job->d[job->wide ? p : 0] * x[p] : sum;
    }
}

static void head_full(const ssd_head_job *job) {
    const int64_t last = MBK_SSD_BLOCK - 1;
    float all = decay(job->lam, last, -1);
    for (int64_t j = 0; j <= last; j++) {
        float rest = decay(job->lam, last, j);
        for (int64_t p = 0; p < job->p; p++) {
            job->rows[j * job->ldr + p] *= rest;
        }
    }
    for (int64_t n = 0; n < job->n; n++) {
        for (int64_t p = 0; p < job->p; p++) {
            float sum = all * job->state[n * job->lds + p];
            for (int64_t j = 0; j <= last; j++) {
                sum += job->b[j * job->ldb + n] * job->rows[j * job->ldr + p];
            }
            job->state[n * job->lds + p] = sum;
        }
    }
}

void ref_ssd_head(const ssd_head_job *job) {
    for (int64_t i = job->from; i < job->to; i++) {
        head_row(job, i);
    }
    if (job->to == MBK_SSD_BLOCK) {
        head_full(job);
    }
}

void ref_product(const product_job *job) {
    for (int64_t i = 0; i < job->m; i++) {
        for (int64_t j = 0; j < job->n; j++) {
            float sum = job->accumulate ? job->out[i * job->ldo + j] : 0.0f;
            for (int64_t t = 0; t < job->k; t++) {
                sum += job->l[i * job->li + t * job->lt] * job->r[t * job->ldr + j];
            }
            job->out[i * job->ldo + j] = sum;
        }
    }
}
