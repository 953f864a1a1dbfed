/*
 * cpu.h - what the CPU levels share. The files of kernels/cpu resolve handles, split the work into tasks and keep the
 * order of things; a level is a table of leaves (mbk_leaf) that compute one range of rows or channels from plain
 * pointers. A leaf's result for a row or a channel never depends on the range it was asked for.
 */
#ifndef MBK_CPU_CPU_H
#define MBK_CPU_CPU_H

#include <assert.h>
#include <string.h>

#include "head.h"
#include "mambaseq/status.h"

/* Columns of a packed weight panel, and the channel granularity of task splits: one cache line, one AVX-512 vector. */
#define MBK_PANEL 16

struct mbk_buf {
    mbk_buf_head head;
    unsigned char *data;
    void *map; /* the whole mapping of a test buffer, else NULL */
    size_t map_bytes;
};

/*
 * W (n_out, n_in) in panels of MBK_PANEL outputs; outputs beyond n_out are zero. All levels read the same layout. With
 * j the output within panel p:
 *
 *   f32   element (p n_in + k) MBK_PANEL + j
 *   bf16  pairs of k beside each other: element ((p pairs + k / 2) MBK_PANEL + j) 2 + k % 2, pairs = (n_in + 1) / 2,
 *         the second of the last pair zero where n_in is odd
 *   int8  as f32, under int16 math as bf16, under int8 math four of k beside each other; and scale[p MBK_PANEL + j]
 */
struct mbk_weight {
    mbk_weight_head head;
    int64_t n_out;
    int64_t n_in;
    int64_t panels;
    mbk_math math;
    size_t bytes;       /* of data */
    size_t panel_bytes; /* of one panel */
    unsigned char *data;
    float *scale; /* int8 only, behind data */
};

/* Where a context's memory comes from. Any thread; what it gave may be given back after it was closed. */
typedef struct mbk_pages mbk_pages;
mbk_pages *mbk_pages_new(void); /* NULL: no memory */
void mbk_pages_close(mbk_pages *pages);
/* Zeros in whole cache lines, the small ones several to a large page; NULL where there is no memory. */
unsigned char *mbk_zeroed(mbk_pages *pages, size_t bytes);
/* As many bytes as were asked for; NULL is fine. */
void mbk_give_back(unsigned char *data, size_t bytes);

/* Row `row` of W as it is held, widened. */
void mbk_weight_row(const mbk_weight *w, int64_t row, float *out);

/* How many of k a weight held as int8 has beside each other. */
static inline int i8_lanes(const mbk_weight *w) {
    return w->math == MBK_MATH_I16 ? 2 : w->math == MBK_MATH_I8 ? 4 : 1;
}

/* Where element (row, k) of a weight held as int8 is: the sum of both. */
static inline int64_t i8_first(const mbk_weight *w, int64_t row) {
    return row / MBK_PANEL * (int64_t)w->panel_bytes + row % MBK_PANEL * i8_lanes(w);
}
static inline int64_t i8_step(const mbk_weight *w, int64_t k) {
    const int lanes = i8_lanes(w);
    return k / lanes * lanes * MBK_PANEL + k % lanes;
}

/* Words that n numbers take, and the parts of which each has a scale. */
static inline int64_t whole_depth(int64_t n, int lanes) {
    return (n + lanes - 1) / lanes;
}
static inline int64_t i16_parts(int64_t n) {
    return (n + MBK_I16_PART - 1) / MBK_I16_PART;
}
static inline int64_t i8_parts(int64_t n) {
    return (n + MBK_I8_PART - 1) / MBK_I8_PART;
}

/* What a part of a row of x is multiplied with to become whole numbers up to `largest`, given the bits of its largest
 * size, and its scale. */
static inline float whole_factor(uint32_t max_bits, float largest, float *scale) {
    float max;
    memcpy(&max, &max_bits, sizeof max);
    if (max_bits >= 0x7f800000u) {
        *scale = __builtin_nanf("");
        return 0.0f;
    }
    *scale = max < MBK_WHOLE_LEAST ? 0.0f : max / largest;
    return max < MBK_WHOLE_LEAST ? 0.0f : largest / max;
}

static inline float bf16_widen(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16_t bf16_round(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

typedef struct gemm_job {
    float *y;
    const float *x; /* words: numbers, rounded already under bf16 math, pairs of bf16 or int16, or fours of int8 */
    const mbk_weight *w;
    const float *bias; /* or NULL */
    int64_t ldy, ldx;
    int64_t depth; /* words of a row of x: n_in, half as many pairs, or a quarter as many fours */
    int32_t accumulate;
} gemm_job;

typedef struct norm_job {
    float *y;
    const float *x;
    const float *w;
    const float *b; /* layernorm only, or NULL */
    int64_t ldy, ldx, cols;
    float eps;
} norm_job;

typedef struct conv_job {
    float *y;
    const float *x;
    const float *w;
    const float *bias; /* or NULL */
    float *state;      /* leaves only read it */
    int64_t ldy, ldx, ldw, lds, rows, width;
} conv_job;

typedef struct scan_job {
    float *y;
    const float *u;
    const float *dt;
    const float *b;
    const float *c;
    const float *z; /* or NULL */
    const float *a;
    const float *d;
    const float *bias; /* or NULL */
    float *state;
    int64_t ldy, ldu, lddt, ldb, ldc, ldz, lda, lds, rows, n;
} scan_job;

typedef struct gated_job {
    float *y;
    const float *x;
    const float *z;
    const float *w;
    int64_t ldy, ldx, ldz, cols, group;
    float eps;
    int32_t norm_first;
} gated_job;

/* Longest convolution that conv1d_silu takes. */
#define MBK_CONV_MAX 16

#include "cpu/family.h"
#include "cpu/grad.h"
#include "cpu/ssd.h"

typedef struct mbk_leaf {
    /* Rows [r0, r1) of the panels [p0, p1). */
    void (*gemm)(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
    /* y_i = x_i rounded to bf16. */
    void (*round)(float *y, const float *x, int64_t n);
    /* Both NULL where the machine does not multiply bf16: then bf16 math is `gemm` of rounded numbers. Words of x are
     * pairs of bf16, the first in the lower half, an odd last one beside a zero, as `narrow` makes them. */
    void (*gemm_pairs)(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
    void (*narrow)(float *words, const float *x, int64_t n);
    /* int16 math. Words of x are pairs of int16, laid out as those of bf16, and behind the last one stands the scale of
     * each part of the row, as `quantize_i16` makes them. int8 math: fours of int8, behind them the scales, and behind
     * those as many words for what the level's gemm_i8 wants to know of a part; both leaves are of one level. */
    void (*gemm_i16)(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
    void (*quantize_i16)(float *words, const float *x, int64_t n);
    void (*gemm_i8)(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
    void (*quantize_i8)(float *words, const float *x, int64_t n);
    void (*rmsnorm)(const norm_job *job, int64_t r0, int64_t r1);
    void (*layernorm)(const norm_job *job, int64_t r0, int64_t r1);
    /* Channels [c0, c1) of all rows; c0 is a multiple of MBK_PANEL. */
    void (*conv)(const conv_job *job, int64_t c0, int64_t c1);
    void (*scan)(const scan_job *job, int64_t c0, int64_t c1);
    void (*add)(float *y, const float *x, const float *r, int64_t n);
    void (*gate)(float *y, const float *x, const float *z, int64_t n);
    void (*gated)(const gated_job *job, int64_t r0, int64_t r1);
    void (*ssd_dots)(const ssd_dots_job *job);
    void (*ssd_head)(const ssd_head_job *job);
    void (*product)(const product_job *job);
    /* log sum exp(x_j) */
    double (*lse)(const float *x, int64_t n);
    /* The level's own elementary functions, for its tests: y_i = f(x_i). */
    void (*exp)(float *y, const float *x, int64_t n);
    void (*silu)(float *y, const float *x, int64_t n);
    void (*softplus)(float *y, const float *x, int64_t n);
    mbk_grad_leaf grad;
    mbk_family_leaf family;
} mbk_leaf;

/* A level overwrites the leaves that it has; the rest stay those of the level below. */
void mbk_ref_fill(mbk_leaf *leaf);
void mbk_avx2_fill(mbk_leaf *leaf);
void mbk_avx512_fill(mbk_leaf *leaf);
void mbk_avx512vnni_fill(mbk_leaf *leaf);
void mbk_avx512bf16_fill(mbk_leaf *leaf);

typedef struct cpu_ctx {
    mbk_ctx base;
    mbk_ops table;
    mbk_leaf leaf;
    mbk_level level;
    mbk_parallel par;    /* run == NULL: one thread */
    mbk_pages *pages;    /* of what it has made */
    void *scratch;       /* the rows that a product under other than f32 math works on, rounded */
    size_t scratch_size; /* bytes */
} cpu_ctx;

/* Floats that a tile of rows aims at: what the second-level caches of two cores hold. With more the rows wait in a
 * cache that is shared: at width 128 a tile of 784 rows is up to a quarter slower than one of 256 on a busy machine.
 * Fewer rows than 128 would read the weights too often: a head over 50,280 words is 15 % faster with 83 rows than
 * with 33. */
#define MBK_CPU_PACE                                                                                                   \
    { .floats = (int64_t)1 << 19, .least = 128, .most = 1024, .unit = 16 }

/* Leaves of `level`, filled from ref upwards. */
void mbk_leaf_fill(mbk_level level, mbk_leaf *leaf);
/* The operations, one file each group. */
void mbk_memory_ops(mbk_ops *ops);
void mbk_weight_ops(mbk_ops *ops);
void mbk_gemm_ops(mbk_ops *ops);
void mbk_row_ops(mbk_ops *ops);
void mbk_sequence_ops(mbk_ops *ops);
void mbk_mamba1_ops(mbk_ops *ops);
void mbk_ssd_ops(mbk_ops *ops);
void mbk_ssd_grad_ops(mbk_ops *ops);
void mbk_grad_ops(mbk_ops *ops);
void mbk_sequence_grad_ops(mbk_ops *ops);
void mbk_train_ops(mbk_ops *ops);
void mbk_attention_ops(mbk_ops *ops);
void mbk_attention_grad_ops(mbk_ops *ops);
void mbk_lti_ops(mbk_ops *ops);
void mbk_discretize_ops(mbk_ops *ops);
void mbk_fir_ops(mbk_ops *ops);
/* exp(-2 pi i j / most), pairs. */
void mbk_fir_roots(float *roots, int64_t most);
mbk_status mbk_fir_spectra(mbk_ctx *ctx, mbk_mat spectra, mbk_mat w, mbk_mat work);
/* fir with `ahead`; `job` is that of the whole call. */
void mbk_fir_far(cpu_ctx *cpu, const mbk_fir_args *s, const fir_job *job);
void mbk_rnn_ops(mbk_ops *ops);
void mbk_unary_ops(mbk_ops *ops);

static inline cpu_ctx *cpu_of(mbk_ctx *ctx) {
    return (cpu_ctx *)(void *)ctx;
}

static inline int view_ok(const mbk_mat *m) {
    return m->buf && m->rows >= 0 && m->cols >= 0 && m->ld >= m->cols && m->off >= 0 &&
           (m->rows == 0 || (uint64_t)(m->off + (m->rows - 1) * m->ld + m->cols) * sizeof(float) <= m->buf->head.bytes);
}

/* The first float of a view, NULL for an absent one. */
static inline float *at(const mbk_mat *m) {
    if (!m->buf) {
        return NULL;
    }
    assert(view_ok(m));
    return (float *)(void *)m->buf->data + m->off;
}

/* int32 at `off` of a buffer, of which there are n. */
static inline const int32_t *ints_at(const mbk_buf *buf, int64_t off, int64_t n) {
    assert(off >= 0 && (uint64_t)(off + n) * sizeof(int32_t) <= buf->head.bytes);
    (void)n;
    return (const int32_t *)(const void *)buf->data + off;
}

/* What a product takes instead of a row of f32: `round` makes it (NULL: nothing does), `ld` words of which `depth` are
 * multiplied. */
typedef struct mbk_product_way {
    void (*leaf)(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
    void (*round)(float *words, const float *x, int64_t n);
    int64_t depth;
    int64_t ld;
} mbk_product_way;
static inline mbk_product_way mbk_product_way_of(const cpu_ctx *cpu, const mbk_weight *w) {
    const mbk_leaf *leaf = &cpu->leaf;
    const int64_t pairs = (w->n_in + 1) / 2;
    switch (w->math) {
    case MBK_MATH_I16:
        return (mbk_product_way){leaf->gemm_i16, leaf->quantize_i16, pairs, pairs + i16_parts(w->n_in)};
    case MBK_MATH_I8:
        return (mbk_product_way){leaf->gemm_i8, leaf->quantize_i8, whole_depth(w->n_in, 4),
                                 whole_depth(w->n_in, 4) + 2 * i8_parts(w->n_in)};
    case MBK_MATH_BF16:
        return leaf->gemm_pairs ? (mbk_product_way){leaf->gemm_pairs, leaf->narrow, pairs, pairs}
                                : (mbk_product_way){leaf->gemm, leaf->round, w->n_in, w->n_in};
    case MBK_MATH_F32:
    default:
        return (mbk_product_way){leaf->gemm, NULL, w->n_in, w->n_in};
    }
}

/* The state becomes the last `width` rows of (state, x). */
void mbk_conv_carry(const conv_job *job, int64_t c0, int64_t c1);

/* Cuts [0, units) into ranges of at least `grain` units and runs fn on them, side by side when `work` (about one per
 * vector operation) is worth waking threads. */
typedef void (*range_fn)(void *arg, int64_t from, int64_t to);
void mbk_ranges(cpu_ctx *ctx, int64_t units, int64_t grain, int64_t work, range_fn fn, void *arg);
/* Handing work over costs about a microsecond; below about so many vector operations the caller is faster alone. */
#define MBK_WORTH_THREADS 8000
/* Whether `work` is worth waking threads here. */
int mbk_worth_threads(const cpu_ctx *ctx, int64_t work);

#endif
