/* ssd.h - the jobs of the state space dual form: rows [from, to) of one block, for one group or one head. cpu.h
 * includes it. */
#ifndef MBK_CPU_SSD_H
#define MBK_CPU_SSD_H

#include <stdint.h>

/* dots (MBK_SSD_BLOCK, MBK_SSD_BLOCK): element (i, j) = sum_n C_i,n B_j,n for j <= i, n in order; others mean nothing.
 */
typedef struct ssd_dots_job {
    float *dots;
    const float *b; /* row 0 of the block */
    const float *c; /* row `from` */
    int64_t ldb, ldc, from, to, n;
} ssd_dots_job;

typedef struct ssd_head_job {
    float *y; /* row `from`, as x, dt and c */
    const float *x;
    const float *dt; /* one column, `lddt` apart */
    const float *c;
    const float *b;    /* row 0 of the block */
    const float *dots; /* of the head's group */
    const float *d;    /* one number, or `p` where wide; or NULL */
    float *state;      /* (n, p) */
    float *rows;       /* (MBK_SSD_BLOCK, p): delta x; rows before `from` are there */
    float *lam;        /* 2 MBK_SSD_BLOCK, likewise */
    int64_t ldy, ldx, lddt, ldc, ldb, lds, ldr, from, to, n, p;
    int32_t wide;
    float a, bias, dt_min, dt_max;
} ssd_head_job;

/* out (m, n) [+]= L (m, k) R (k, n); L's element (i, t) at l[i li + t lt]. Every element is one chain over t. */
typedef struct product_job {
    float *out;
    const float *l, *r;
    int64_t ldo, li, lt, ldr, m, n, k;
    int32_t accumulate;
} product_job;

/* lam of row j from that of the row before and the step: a pair of floats that holds more digits than one, for lam
 * grows along the block while what counts are differences. */
static inline void ssd_lam(float *lam, int64_t j, float delta, float a) {
    double sum = j > 0 ? (double)lam[j - 1] + (double)lam[MBK_SSD_BLOCK + j - 1] : 0.0;
    sum += (double)delta * (double)a;
    lam[j] = (float)sum;
    lam[MBK_SSD_BLOCK + j] = (float)(sum - (double)lam[j]);
}

#endif
