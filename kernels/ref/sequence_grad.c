/* sequence_grad.c - gradients of the causal convolution and the selective scan, from the last row to the first. */
#include "ref/math.h"
#include "ref/ref.h"

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp_double(-x));
}

/* Channel c of the input at row s, which before the call is the state. */
static float conv_input(const conv_grad_job *job, int64_t s, int64_t c) {
    if (s >= 0) {
        return job->x[s * job->ldx + c];
    }
    return job->state ? job->state[(job->width + s) * job->lds + c] : 0.0f;
}

/* dpre at row t, added to the gradients of bias and taps. */
static float conv_dpre(const conv_grad_job *job, int64_t t, int64_t c, double *dw, double *dbias) {
    const int64_t width = job->width;
    double pre = job->bias ? (double)job->bias[c] : 0.0;
    for (int64_t k = 0; k < width; k++) {
        pre += (double)job->w[k * job->ldw + c] * (double)conv_input(job, t - width + 1 + k, c);
    }
    double half = sigmoid(pre);
    float g = (float)((double)job->dy[t * job->lddy + c] * half * (1.0 + pre * (1.0 - half)));
    for (int64_t k = 0; k < width; k++) {
        dw[k] += (double)g * (double)conv_input(job, t - width + 1 + k, c);
    }
    *dbias += (double)g;
    return g;
}

static void conv_channel(const conv_grad_job *job, int64_t c) {
    const int64_t width = job->width;
    double dw[MBK_CONV_MAX] = {0};
    double dbias = 0.0;
    float next[MBK_CONV_MAX] = {0}; /* dpre of rows s, s + 1, ..., zero outside the call */
    for (int64_t s = job->rows - 1; s >= -width; s--) {
        memmove(next + 1, next, (MBK_CONV_MAX - 1) * sizeof *next);
        next[0] = s >= 0 ? conv_dpre(job, s, c, dw, &dbias) : 0.0f;
        /* The newest rows are the state after the call too. Later rows come first in the sum: a cut does not show. */
        int64_t kept = s - (job->rows - width);
        float sum = kept >= 0 ? job->dstate[kept * job->ldds + c] : 0.0f;
        for (int64_t k = 0; k < width; k++) {
            sum += job->w[k * job->ldw + c] * next[width - 1 - k];
        }
        float *to = s >= 0 ? job->dx + s * job->lddx : job->dstate + (s + width) * job->ldds;
        to[c] = sum;
    }
    for (int64_t k = 0; k < width; k++) {
        job->dw[k * job->lddw + c] += (float)dw[k];
    }
    if (job->dbias) {
        job->dbias[c] += (float)dbias;
    }
}

void ref_conv_grad(const conv_grad_job *job, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c++) {
        conv_channel(job, c);
    }
}

/* What the rows of one channel have in common for all its states, and the sums over them. */
typedef struct scan_row {
    float q, delta, du, ds;
    double s, ddelta, dinput;
} scan_row;

static void scan_channel_rows(const scan_grad_job *job, int64_t c, scan_row *row) {
    for (int64_t t = 0; t < job->rows; t++) {
        float q = job->dt[t * job->lddt + c];
        q = job->bias ? q + job->bias[c] : q;
        float delta = ref_softplus(q);
        float g = job->dy[t * job->lddy + c];
        float u = job->u[t * job->ldu + c];
        float ds = job->z ? g * ref_silu(job->z[t * job->ldz + c]) : g;
        row[t] = (scan_row){q, delta, delta * u, ds, (double)job->d[c] * (double)u, 0.0, 0.0};
    }
}

/* State n of channel c: forwards from the saved state, then backwards. */
static void scan_state(const scan_grad_job *job, int64_t c, int64_t n, scan_row *row) {
    float decay[MBK_SCAN_BLOCK];
    float h[MBK_SCAN_BLOCK + 1];
    const float a = job->a[n * job->lda + c];
    h[0] = job->h ? job->h[n * job->ldh + c] : 0.0f;
    for (int64_t t = 0; t < job->rows; t++) {
        decay[t] = ref_exp(row[t].delta * a);
        h[t + 1] = decay[t] * h[t] + row[t].du * job->b[t * job->ldb + n];
        row[t].s += (double)job->c[t * job->ldc + n] * (double)h[t + 1];
    }
    double da = 0.0;
    float carry = job->dstate[n * job->ldds + c];
    for (int64_t t = job->rows - 1; t >= 0; t--) {
        float b = job->b[t * job->ldb + n];
        float lam = job->c[t * job->ldc + n] * row[t].ds + carry;
        job->part_c[t * job->n + n] += row[t].ds * h[t + 1];
        job->part_b[t * job->n + n] += row[t].du * lam;
        carry = decay[t] * lam;
        double through = (double)carry * (double)h[t];
        row[t].ddelta += (double)a * through + (double)lam * (double)b * (double)job->u[t * job->ldu + c];
        row[t].dinput += (double)lam * (double)b;
        da += (double)row[t].delta * through;
    }
    job->dstate[n * job->ldds + c] = carry;
    job->da[n * job->ldda + c] += (float)da;
}

static void scan_channel_out(const scan_grad_job *job, int64_t c, const scan_row *row) {
    double dd = 0.0;
    double dbias = 0.0;
    for (int64_t t = 0; t < job->rows; t++) {
        const scan_row *r = row + t;
        double ddt = r->q > 20.0f ? r->ddelta : r->ddelta * sigmoid((double)r->q);
        job->ddt[t * job->ldddt + c] = (float)ddt;
        job->du[t * job->lddu + c] = (float)((double)job->d[c] * (double)r->ds + (double)r->delta * r->dinput);
        if (job->z) {
            double z = (double)job->z[t * job->ldz + c];
            double half = sigmoid(z);
            job->dz[t * job->lddz + c] =
                (float)((double)job->dy[t * job->lddy + c] * r->s * half * (1.0 + z * (1.0 - half)));
        }
        dd += (double)r->ds * (double)job->u[t * job->ldu + c];
        dbias += ddt;
    }
    job->dd[c] += (float)dd;
    if (job->dbias) {
        job->dbias[c] += (float)dbias;
    }
}

void ref_scan_grad(const scan_grad_job *job, int64_t c0, int64_t c1) {
    memset(job->part_b, 0, (size_t)(job->rows * job->n) * sizeof(float));
    memset(job->part_c, 0, (size_t)(job->rows * job->n) * sizeof(float));
    for (int64_t c = c0; c < c1; c++) {
        scan_row row[MBK_SCAN_BLOCK];
        scan_channel_rows(job, c, row);
        for (int64_t n = 0; n < job->n; n++) {
            scan_state(job, c, n, row);
        }
        scan_channel_out(job, c, row);
    }
}
