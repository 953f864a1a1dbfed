/* family.h - the jobs of linear state spaces and filters. cpu.h includes it. */
#ifndef MBK_CPU_FAMILY_H
#define MBK_CPU_FAMILY_H

#include <stdint.h>

/* Complex tensors have rows 2 n, the real parts, and 2 n + 1. One sequence. */
typedef struct lti_job {
    float *y;
    const float *u;
    const float *a;
    const float *b;
    const float *w;
    const float *f; /* or NULL */
    const float *g;
    const float *d; /* or NULL */
    float *state;
    int64_t ldy, ldu, lda, ldb, ldw, ldf, ldg, lds, rows, n;
} lti_job;

/* Rows of one sequence within one block of MBK_LTI_BLOCK. */
typedef struct lti_grad_job {
    float *du;
    float *da;
    float *db;
    float *dw;
    float *df; /* or NULL */
    float *dg;
    float *dd; /* or NULL */
    float *dstate;
    float *work;
    const float *dy;
    const float *u;
    const float *a;
    const float *b;
    const float *w;
    const float *f; /* or NULL */
    const float *g;
    const float *d; /* or NULL */
    const float *s; /* before the first row; NULL: zeros */
    int64_t lddu, ldda, lddb, lddw, lddf, lddg, ldds, ldwork, lddy, ldu, lda, ldb, ldw, ldf, ldg, ldst, rows, n;
} lti_grad_job;

/* Rows of a sequence as a filter meets them: row t is x + t ldx; those before 0 are in the ring of `taps` rows, row t
 * at (position + t) % taps, none before -position. */
typedef struct fir_rows {
    const float *x;
    const float *ring; /* NULL: no rows before 0 */
    int64_t ldx, ldring, rows, position, taps;
} fir_rows;

/* y row i = sum over k of w_k x_{first + i - k}, for rows [first, first + n) of `in`; k from 0 as far as there are
 * rows. ldx may be negative: then time runs backwards. `add`: to what is in y. */
typedef struct fir_job {
    float *y;
    const float *w; /* tap 0; ldw may be negative */
    const float *bias;
    fir_rows in;
    int64_t ldy, ldw, taps, first, n;
    int32_t add;
} fir_job;

/* dw_k += sum over t of dy_t x_{t-k}. */
typedef struct fir_taps_job {
    float *dw; /* tap 0 */
    const float *dy;
    fir_rows in;
    int64_t lddw, lddy, taps;
} fir_taps_job;

/* The transforms, over 2 block, of the taps from `block` on: of one unit of channels. Rows of MBK_FIR_UNIT floats (see
 * simd/fft.h): 2 k and 2 k + 1 of `out` for k up to `block`. */
typedef struct fir_spectrum_job {
    float *out;
    float *work; /* 2 block rows */
    const float *w;
    const float *roots; /* exp(-2 pi i j / most), pairs */
    int64_t ldw, taps, block, most, channels;
} fir_spectrum_job;

/* What the 2 block rows before `position` give to the `block` rows from there on by the taps from `block` to 2 block.
 */
typedef struct fir_block_job {
    float *ahead;
    float *work;
    const float *ring;
    const float *spectrum;
    const float *w;
    const float *roots;
    int64_t ldahead, ldring, ldw, taps, block, most, position, channels;
} fir_block_job;

/* Of one sequence and at most MBK_FIR_GRAD_UNIT channels: `before` rows of the ring, then in.rows; by transforms of n
 * numbers.
 *
 *   dx_s += sum_k w_k dy_{s+k}, for rows of the ring into dring     dw_k += sum_t dy_t x_{t-k} for k < met */
typedef struct fir_pair_job {
    float *dx;
    float *dring;
    float *dw;
    float *work; /* 2 n rows of MBK_FIR_UNIT floats */
    const float *dy;
    const float *w;
    const float *roots;
    fir_rows in;
    int64_t lddx, lddring, lddw, lddy, ldw, before, met, n, most, channels;
} fir_pair_job;

typedef struct mbk_family_leaf {
    /* Channels [c0, c1) of all rows; c0 is a multiple of MBK_PANEL. */
    void (*lti)(const lti_job *job, int64_t c0, int64_t c1);
    void (*lti_grad)(const lti_grad_job *job, int64_t c0, int64_t c1);
    void (*fir)(const fir_job *job, int64_t c0, int64_t c1);
    void (*fir_taps)(const fir_taps_job *job, int64_t c0, int64_t c1);
    void (*fir_spectrum)(const fir_spectrum_job *job);
    void (*fir_block)(const fir_block_job *job);
    void (*fir_pair)(const fir_pair_job *job); /* NULL: the level has no transforms */
} mbk_family_leaf;

/* Row t of the sequence, which must be there. */
static inline const float *fir_row(const fir_rows *in, int64_t t) {
    return t >= 0 ? in->x + t * in->ldx : in->ring + (in->position + t) % in->taps * in->ldring;
}

#endif
