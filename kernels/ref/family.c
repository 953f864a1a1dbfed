/* family.c - linear state spaces and filters, one row after the other; gradients in double within a block. */
#include "ref/math.h"
#include "ref/ref.h"

/* Row `row` of a complex tensor, channel c. */
static float part(const float *p, int64_t ld, int64_t row, int64_t c) {
    return p[row * ld + c];
}

/* Re sum of x_n s_n */
static float real_sum(const float *x, int64_t ldx, const float *s, int64_t lds, int64_t n, int64_t c) {
    float sum = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        sum += part(x, ldx, 2 * i, c) * part(s, lds, 2 * i, c);
        sum -= part(x, ldx, 2 * i + 1, c) * part(s, lds, 2 * i + 1, c);
    }
    return sum;
}

void ref_lti(const lti_job *job, int64_t c0, int64_t c1) {
    for (int64_t t = 0; t < job->rows; t++) {
        for (int64_t c = c0; c < c1; c++) {
            const float u = job->u[t * job->ldu + c];
            const float m = job->f ? real_sum(job->g, job->ldg, job->state, job->lds, job->n, c) : 0.0f;
            for (int64_t n = 0; n < job->n; n++) {
                float *re = job->state + 2 * n * job->lds + c;
                float *im = re + job->lds;
                const float a_re = part(job->a, job->lda, 2 * n, c);
                const float a_im = part(job->a, job->lda, 2 * n + 1, c);
                float more_re = part(job->b, job->ldb, 2 * n, c) * u + a_re * *re - a_im * *im;
                float more_im = part(job->b, job->ldb, 2 * n + 1, c) * u + a_re * *im + a_im * *re;
                if (job->f) {
                    more_re -= part(job->f, job->ldf, 2 * n, c) * m;
                    more_im -= part(job->f, job->ldf, 2 * n + 1, c) * m;
                }
                *re += more_re;
                *im += more_im;
            }
            const float y = real_sum(job->w, job->ldw, job->state, job->lds, job->n, c);
            job->y[t * job->ldy + c] = job->d ? y + job->d[c] * u : y;
        }
    }
}

/* The states again; row t + 1 of `work` is s of row t. m of each row where there is f. */
static void lti_states(const lti_grad_job *job, int64_t c, float *m) {
    const int64_t size = 2 * job->n * job->ldwork;
    for (int64_t k = 0; k < 2 * job->n; k++) {
        job->work[k * job->ldwork + c] = job->s ? job->s[k * job->ldst + c] : 0.0f;
    }
    for (int64_t t = 0; t < job->rows; t++) {
        float y;
        float *state = job->work + (t + 1) * size;
        for (int64_t k = 0; k < 2 * job->n; k++) {
            state[k * job->ldwork + c] = state[k * job->ldwork + c - size];
        }
        m[t] = job->f ? real_sum(job->g, job->ldg, state, job->ldwork, job->n, c) : 0.0f;
        const lti_job one = {&y - c,      job->u + t * job->ldu,
                             job->a,      job->b,
                             job->w,      job->f,
                             job->g,      NULL,
                             state,       0,
                             job->ldu,    job->lda,
                             job->ldb,    job->ldw,
                             job->ldf,    job->ldg,
                             job->ldwork, 1,
                             job->n};
        ref_lti(&one, c, c + 1);
    }
}

/* The gradient of the state after row t becomes that of the state before it; adds to those of the numbers. */
static void lti_row(const lti_grad_job *job, int64_t t, int64_t c, float m) {
    const float gr = job->dy[t * job->lddy + c];
    const float u = job->u[t * job->ldu + c];
    const float *s = job->work + (t + 1) * 2 * job->n * job->ldwork;
    const float *before = s - 2 * job->n * job->ldwork;
    double du = job->d ? (double)job->d[c] * (double)gr : 0.0;
    double dm = 0.0;
    for (int64_t n = 0; n < job->n; n++) {
        float *re = job->dstate + 2 * n * job->ldds + c;
        float *im = re + job->ldds;
        *re += part(job->w, job->ldw, 2 * n, c) * gr;
        *im -= part(job->w, job->ldw, 2 * n + 1, c) * gr;
        du += (double)part(job->b, job->ldb, 2 * n, c) * (double)*re;
        du += (double)part(job->b, job->ldb, 2 * n + 1, c) * (double)*im;
        if (job->f) {
            dm -= (double)part(job->f, job->ldf, 2 * n, c) * (double)*re;
            dm -= (double)part(job->f, job->ldf, 2 * n + 1, c) * (double)*im;
        }
    }
    job->du[t * job->lddu + c] = (float)du;
    for (int64_t n = 0; n < job->n; n++) {
        const int64_t re = 2 * n;
        const int64_t im = 2 * n + 1;
        float *lam_re = job->dstate + re * job->ldds + c;
        float *lam_im = job->dstate + im * job->ldds + c;
        const float b_re = part(before, job->ldwork, re, c);
        const float b_im = part(before, job->ldwork, im, c);
        job->dw[re * job->lddw + c] += part(s, job->ldwork, re, c) * gr;
        job->dw[im * job->lddw + c] -= part(s, job->ldwork, im, c) * gr;
        job->db[re * job->lddb + c] += *lam_re * u;
        job->db[im * job->lddb + c] += *lam_im * u;
        job->da[re * job->ldda + c] += b_re * *lam_re + b_im * *lam_im;
        job->da[im * job->ldda + c] += b_re * *lam_im - b_im * *lam_re;
        const float a_re = part(job->a, job->lda, re, c);
        const float a_im = part(job->a, job->lda, im, c);
        float more_re = a_re * *lam_re + a_im * *lam_im;
        float more_im = a_re * *lam_im - a_im * *lam_re;
        if (job->f) {
            job->df[re * job->lddf + c] -= *lam_re * m;
            job->df[im * job->lddf + c] -= *lam_im * m;
            job->dg[re * job->lddg + c] += b_re * (float)dm;
            job->dg[im * job->lddg + c] -= b_im * (float)dm;
            more_re += part(job->g, job->ldg, re, c) * (float)dm;
            more_im -= part(job->g, job->ldg, im, c) * (float)dm;
        }
        *lam_re += more_re;
        *lam_im += more_im;
    }
    if (job->d) {
        job->dd[c] += gr * u;
    }
}

void ref_lti_grad(const lti_grad_job *job, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c++) {
        float m[MBK_LTI_BLOCK];
        lti_states(job, c, m);
        for (int64_t t = job->rows - 1; t >= 0; t--) {
            lti_row(job, t, c, m[t]);
        }
    }
}

void ref_fir(const fir_job *job, int64_t c0, int64_t c1) {
    const int64_t back = job->in.ring ? job->in.position : 0;
    for (int64_t i = 0; i < job->n; i++) {
        const int64_t o = job->first + i;
        for (int64_t c = c0; c < c1; c++) {
            float sum = 0.0f;
            for (int64_t k = o >= job->in.rows ? o - job->in.rows + 1 : 0; k < job->taps && o - k >= -back; k++) {
                sum += job->w[k * job->ldw + c] * fir_row(&job->in, o - k)[c];
            }
            sum = job->bias ? sum + job->bias[c] : sum;
            float *y = job->y + i * job->ldy + c;
            *y = job->add ? *y + sum : sum;
        }
    }
}

void ref_fir_taps(const fir_taps_job *job, int64_t c0, int64_t c1) {
    const int64_t back = job->in.ring ? job->in.position : 0;
    for (int64_t k = 0; k < job->taps; k++) {
        for (int64_t c = c0; c < c1; c++) {
            double sum = 0.0;
            for (int64_t t = k - back > 0 ? k - back : 0; t < job->in.rows; t++) {
                sum += (double)job->dy[t * job->lddy + c] * (double)fir_row(&job->in, t - k)[c];
            }
            job->dw[k * job->lddw + c] += (float)sum;
        }
    }
}

/* This level has no transforms: it sums what they stand for. */
void ref_fir_spectrum(const fir_spectrum_job *job) {
    (void)job;
}

void ref_fir_block(const fir_block_job *job) {
    const int64_t most = job->taps < 2 * job->block ? job->taps : 2 * job->block;
    for (int64_t i = 0; i < job->block; i++) {
        for (int64_t c = 0; c < job->channels; c++) {
            double sum = 0.0;
            for (int64_t k = job->block; k < most && k <= job->position + i; k++) {
                const float *x = job->ring + (job->position + i - k) % job->taps * job->ldring;
                sum += (double)job->w[k * job->ldw + c] * (double)x[c];
            }
            job->ahead[i * job->ldahead + c] = (float)sum;
        }
    }
}
