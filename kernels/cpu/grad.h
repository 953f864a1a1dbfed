/* grad.h - the jobs and leaves of training. cpu.h includes it. */
#ifndef MBK_CPU_GRAD_H
#define MBK_CPU_GRAD_H

#include <stdint.h>

/* Rows that a gradient of a parameter sums in f32 before the sum is added to it. */
#define MBK_GRAD_ROWS 128
/* Most rows of dw that a leaf is asked for at once: so many columns of dy it packs. */
#define MBK_GRAD_OUTS 192

typedef struct weight_grad_job {
    float *dw;
    const float *dy;
    const float *x;
    int64_t lddw, lddy, ldx, rows, n_out, n_in;
    int32_t rounded; /* bf16 math: to bf16 before they are multiplied */
} weight_grad_job;

/* What a norm's gradient needs of each row: v = (x - mean) scale. */
typedef struct norm_row {
    double mean; /* 0 for RMS */
    double scale;
} norm_row;

typedef struct norm_grad_job {
    float *dx;
    float *dw;
    float *db; /* or NULL */
    const float *dy;
    const float *x;
    const float *w;
    norm_row *row;
    int64_t lddx, lddy, ldx, rows, cols;
    float eps;
    int32_t centred; /* layernorm */
    int32_t accumulate;
} norm_grad_job;

/* One sequence. */
typedef struct conv_grad_job {
    float *dx;
    float *dw;
    float *dbias; /* or NULL */
    float *dstate;
    const float *dy;
    const float *x;
    const float *w;
    const float *bias;  /* or NULL */
    const float *state; /* NULL: zeros */
    int64_t lddx, lddw, ldds, lddy, ldx, ldw, lds, rows, width;
} conv_grad_job;

/* Rows of one sequence within one block. */
typedef struct scan_grad_job {
    float *du;
    float *ddt;
    float *dz; /* or NULL */
    float *part_b;
    float *part_c; /* (rows, n): sums over the channels of the call */
    float *da;
    float *dd;
    float *dbias; /* or NULL */
    float *dstate;
    const float *dy;
    const float *u;
    const float *dt;
    const float *b;
    const float *c;
    const float *z; /* or NULL */
    const float *a;
    const float *d;
    const float *bias; /* or NULL */
    const float *h;    /* before the first row; NULL: zeros */
    int64_t lddu, ldddt, lddz, ldda, ldds, lddy, ldu, lddt, ldb, ldc, ldz, lda, ldh, rows, n;
} scan_grad_job;

/* The numbers of one AdamW step, as floats. */
typedef struct adamw_job {
    float keep; /* 1 - lr decay */
    float rate; /* lr / (1 - beta1^step) */
    float root; /* 1 / (1 - beta2^step) */
    float beta1, beta2, rest1, rest2, eps, scale;
} adamw_job;

typedef struct mbk_grad_leaf {
    /* Rows [o0, o1) of dw, columns [k0, k1); k0 is a multiple of MBK_PANEL. */
    void (*weight)(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1);
    /* The same for a rounded job, by products of pairs; NULL at levels that multiply rounded numbers. */
    void (*weight_pairs)(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1);
    /* dx and job->row of the rows [r0, r1). */
    void (*norm)(const norm_grad_job *job, int64_t r0, int64_t r1);
    /* dw and db of the columns [c0, c1), from job->row. */
    void (*norm_weight)(const norm_grad_job *job, int64_t c0, int64_t c1);
    /* Channels [c0, c1); c0 is a multiple of MBK_PANEL. */
    void (*conv)(const conv_grad_job *job, int64_t c0, int64_t c1);
    void (*scan)(const scan_grad_job *job, int64_t c0, int64_t c1);
    /* -log softmax(x)[id]; dx = scale (softmax(x) - one at id) unless dx is NULL. dx may be x. */
    double (*cross_entropy)(float *dx, const float *x, int64_t n, int64_t id, float scale);
    double (*squares)(const float *x, int64_t n);
    void (*adamw)(const adamw_job *job, float *w, float *m, float *v, const float *g, int64_t n);
    void (*mul)(float *y, const float *x, const float *r, int64_t n);
} mbk_grad_leaf;

#endif
