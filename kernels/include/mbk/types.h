/* types.h - what the operations of mbk.h take and give: handles, views, formats. */
#ifndef MBK_TYPES_H
#define MBK_TYPES_H

#include <stdint.h>

/* 0 = fine; negative numbers have the values of mbs_status (mambaseq/status.h). */
typedef int32_t mbk_status;

typedef struct mbk_ctx mbk_ctx;
typedef struct mbk_buf mbk_buf;       /* device memory, made by buf_new */
typedef struct mbk_weight mbk_weight; /* a matrix in the backend's own layout, made by prepare */
typedef struct mbk_tape mbk_tape;     /* operations as one piece, made by record */

/* A row-major f32 view into a buffer. `off` and `ld` count floats; ld >= cols. */
typedef struct mbk_mat {
    mbk_buf *buf;
    int64_t off;
    int64_t rows;
    int64_t cols;
    int64_t ld;
} mbk_mat;

/* How a weight is held. int8 is weight-only, with one scale for each output (a row of W). */
typedef enum mbk_dtype { MBK_F32 = 0, MBK_BF16 = 1, MBK_I8 = 2 } mbk_dtype;
/* What gemm and weight_grad multiply: f32 numbers, or numbers rounded to bf16 first, with sums in f32. int16 and int8:
 * gemm alone, and int8 weights alone: parts of a row of x are rounded to whole numbers of one scale; so are sums. */
typedef enum mbk_math { MBK_MATH_F32 = 0, MBK_MATH_BF16 = 1, MBK_MATH_I16 = 2, MBK_MATH_I8 = 3 } mbk_math;
static inline int mbk_math_whole(mbk_math math) {
    return math == MBK_MATH_I16 || math == MBK_MATH_I8;
}
/* Of gemm under int16 and int8 math: columns of a part (of int16 as many as keep sums below 2^31); the least largest
 * number of one, so that neither scale leaves the normal f32 numbers. */
#define MBK_I16_PART 512
#define MBK_I8_PART 128
#define MBK_WHOLE_LEAST 0x1p-100f

typedef struct mbk_format {
    mbk_dtype dtype;
    mbk_math math;
} mbk_format;

/* The rows of a call at which a new sequence begins: n ascending int32 in a buffer, `off` counts int32. Before such a
 * row the state becomes zero, so that many short records ride in one call; f(all of them) has the bits of one call for
 * each. n == 0: one sequence, which continues where the state stands. */
typedef struct mbk_starts {
    mbk_buf *buf;
    int64_t off;
    int64_t n;
} mbk_starts;

/* Draws a token from each of L rows of logits. Its arithmetic is that of mbk/draw.h, so that a device draws what
 * core/model/sample.c does of the same logits; the log-probability, over all columns, within 1e-6. */
typedef struct mbk_draw_args {
    mbk_mat logits; /* (L, columns) */
    mbk_buf *flags; /* n_allowed bytes: which of the first columns may be drawn; those behind may not */
    int64_t n_allowed;
    double temperature; /* 0: the largest, the first of equals */
    double top_p;       /* 1: all */
    int64_t top_k;      /* 0: all */
    mbk_buf *draws;     /* in: L doubles in [0, 1); out, behind them: L mbk_drawn */
} mbk_draw_args;
typedef struct mbk_drawn {
    int32_t id; /* -1: nothing is allowed and a number */
    float logprob;
} mbk_drawn;

#endif
