/*
 * launch.h - what the host side of the CUDA backend sees of its kernels: a function for each operation of mbk.h, which
 * checks nothing, queues its launches on the queue's stream and returns the first cudaError_t (0 = fine). Meaning,
 * shapes and aliasing are those of the operation of the same name in mbk/mbk.h; where rows are summed, the order is
 * fixed by the shape alone. C and C++.
 *
 * Scratch: a function that needs device memory beside its arguments has a _scratch companion which says how many bytes;
 * the caller hands them in the queue. What is in it need not be kept between calls.
 */
#ifndef MBK_CUDA_LAUNCH_H
#define MBK_CUDA_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* cudaError_t, where only C is read. */
typedef int mbk_cu_error;

typedef struct mbk_cu_queue {
    void *stream; /* cudaStream_t */
    void *scratch;
    size_t scratch_bytes;
    int multiprocessors;
} mbk_cu_queue;

typedef enum mbk_cu_type { MBK_CU_F32 = 0, MBK_CU_BF16 = 1 } mbk_cu_type;

/* A row-major view in device memory; `ld` counts elements. p == NULL: absent. bf16 only where a function says so. */
typedef struct mbk_cu_view {
    void *p;
    int64_t rows, cols, ld;
    mbk_cu_type type;
} mbk_cu_view;

/* A prepared matrix (n_out, n_in), row-major without padding: f32, bf16 or int8 with one scale a row. */
typedef struct mbk_cu_matrix {
    const void *p;
    const float *scale; /* int8 only */
    int64_t n_out, n_in;
    int dtype; /* mbk_dtype */
} mbk_cu_matrix;

/* Starts of sequences within the rows of a call; n == 0: none. */
typedef struct mbk_cu_starts {
    const int32_t *at;
    int64_t n;
} mbk_cu_starts;

/* --- rows.cu, norm.cu, loss.cu ------------------------------------------------------------------------------------ */
mbk_cu_error mbk_cu_copy(const mbk_cu_queue *q, mbk_cu_view dst, mbk_cu_view src); /* also between types */
mbk_cu_error mbk_cu_zero(const mbk_cu_queue *q, mbk_cu_view dst);
mbk_cu_error mbk_cu_embed(const mbk_cu_queue *q, mbk_cu_view y, const mbk_cu_matrix *table, const int32_t *ids);
/* y, x: f32 or bf16. residual.p: x + residual is normalised and, where sum.p, stored there; these two f32 or bf16, both
 * of one type; sum may be x or residual. */
mbk_cu_error mbk_cu_rmsnorm(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view w, float eps,
                            mbk_cu_view residual, mbk_cu_view sum);
mbk_cu_error mbk_cu_layernorm(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view w, mbk_cu_view b,
                              float eps);
mbk_cu_error mbk_cu_add(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view r);
mbk_cu_error mbk_cu_mul(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view r);
mbk_cu_error mbk_cu_gate(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view z);
mbk_cu_error mbk_cu_neg_exp(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x);
mbk_cu_error mbk_cu_rmsnorm_gated(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view z, mbk_cu_view w,
                                  float eps, int64_t group, int norm_first);
mbk_cu_error mbk_cu_logprob(const mbk_cu_queue *q, mbk_cu_view lp, mbk_cu_view logits, const int32_t *ids);
mbk_cu_error mbk_cu_hits(const mbk_cu_queue *q, mbk_cu_view hit, mbk_cu_view logits, const int32_t *ids);
mbk_cu_error mbk_cu_row_sum(const mbk_cu_queue *q, double *acc, mbk_cu_view x);
size_t mbk_cu_row_sum_scratch(int64_t rows, int64_t cols);
/* After a gemm: y = y * scale[col] (int8; NULL: none) + bias[col] (NULL: none) + add (p == NULL: none). */
mbk_cu_error mbk_cu_gemm_finish(const mbk_cu_queue *q, mbk_cu_view y, const float *scale, const float *bias,
                                mbk_cu_view add);

/* --- draw.cu ------------------------------------------------------------------------------------------------------ */
/* A token drawn from each row of logits, as core/model/sample.c does from the numbers of mbk/draw.h; the
 * log-probability over all columns. A row of which nothing is allowed, or nothing is a number, gives -1. */
typedef struct mbk_cu_draw {
    mbk_cu_view logits;
    const uint8_t *allowed; /* flags of the first n_allowed columns; those behind are not */
    int64_t n_allowed;
    double temperature, top_p;
    int64_t top_k;
    const double *u;         /* of each row, in [0, 1) */
    struct mbk_drawn *drawn; /* mbk/types.h */
} mbk_cu_draw;
mbk_cu_error mbk_cu_draw_rows(const mbk_cu_queue *q, const mbk_cu_draw *a);

/* --- weight.cu: weights in their own format ----------------------------------------------------------------------- */
/* dst (n_out, n_in) of `dtype` from f32 src, or from its transpose. bad: set to 1 where a number cannot be held. */
mbk_cu_error mbk_cu_pack(const mbk_cu_queue *q, void *dst, float *scale, int dtype, mbk_cu_view src, int transposed,
                         int32_t *bad);
/* Rows [first, first + rows) of a matrix widened to f32 (int8: not scaled) or rounded to bf16. */
mbk_cu_error mbk_cu_unpack(const mbk_cu_queue *q, mbk_cu_view dst, const mbk_cu_matrix *w, int64_t first);
/* Rows times a matrix, which is read once: y (rows, n_out) = x (rows, n_in) W^T, 1 to 8 rows, each with the bits of a
 * call of its own; f32 sums in a fixed order, which is the same however W is held; x is rounded to bf16 first where
 * round_x; y and x f32 or bf16. int8: not scaled, gemm_finish does it. */
mbk_cu_error mbk_cu_gemv(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, const mbk_cu_matrix *w, int round_x);

/* --- conv.cu ------------------------------------------------------------------------------------------------------ */
typedef struct mbk_cu_conv {
    mbk_cu_view y, x; /* f32 or bf16, both of one type */
    mbk_cu_view w, bias, state;
    mbk_cu_starts starts;
} mbk_cu_conv;
mbk_cu_error mbk_cu_conv1d_silu(const mbk_cu_queue *q, const mbk_cu_conv *a);
size_t mbk_cu_conv1d_silu_scratch(const mbk_cu_conv *a);

/* --- scan.cu ------------------------------------------------------------------------------------------------------ */
/* Rows of a segment. Segments are scanned side by side, each from the state before it, which is known beforehand: from
 * the rows of earlier segments as far back as their decay is above 2^-30. The state after a whole segment is that one
 * also where a call ends: calls cut at multiples of a segment give the bits of one call. Up to 256 states. With less
 * scratch than asked for (but (N + 1) C floats) a call goes in more parts, which shows in no bit. */
#define MBK_CU_SEGMENT 256
#define MBK_CU_SCAN_STATES 256
/* dt may be absent: it is made where it is used, of the rank R factor `low` and the weight of dt_proj, summed in f32 in
 * index order from zero. bf16, up to 16 states, R up to MBK_CU_SCAN_RANK. */
#define MBK_CU_SCAN_RANK 64
typedef struct mbk_cu_scan {
    mbk_cu_view y, u, dt, z; /* f32 or bf16, all of one type */
    mbk_cu_view low;         /* (L, R), where dt is absent */
    mbk_cu_view weight;      /* (C, R), likewise */
    mbk_cu_view b, c;        /* f32 or bf16, of that type */
    mbk_cu_view a, d, bias, state;
    mbk_cu_starts starts;
    mbk_cu_view saved;
    uint64_t *corrected; /* device, 2 counters: += (rows x channels) looked at beforehand and all of them; or NULL */
} mbk_cu_scan;
mbk_cu_error mbk_cu_selective_scan(const mbk_cu_queue *q, const mbk_cu_scan *a);
size_t mbk_cu_selective_scan_scratch(const mbk_cu_scan *a);

/* --- ssd.cu, ssd_grad.cu ------------------------------------------------------------------------------------------ */
typedef struct mbk_cu_ssd {
    mbk_cu_view y, x, dt, b, c, a, d, bias, state, open_x, open_b, open_lam;
    int64_t groups, position;
    mbk_cu_starts starts;
    float dt_min, dt_max;
    mbk_cu_view saved;
} mbk_cu_ssd;
mbk_cu_error mbk_cu_ssd_forward(const mbk_cu_queue *q, const mbk_cu_ssd *a);
size_t mbk_cu_ssd_scratch(const mbk_cu_ssd *a);
typedef struct mbk_cu_ssd_grad {
    mbk_cu_view dx, ddt, db, dc, da, dd, dbias, dstate, dy, x, dt, b, c, a, d, bias, saved;
    int64_t groups, position;
    mbk_cu_starts starts;
    float dt_min, dt_max;
} mbk_cu_ssd_grad;
mbk_cu_error mbk_cu_ssd_backward(const mbk_cu_queue *q, const mbk_cu_ssd_grad *a);
size_t mbk_cu_ssd_grad_scratch(const mbk_cu_ssd_grad *a);

/* --- attention.cu, attention_grad.cu ------------------------------------------------------------------------------ */
typedef struct mbk_cu_attention {
    mbk_cu_view y, q, k, v, cache_k, cache_v, saved;
    int64_t heads, key_heads, position, window, rotary;
    double rotary_base;
    int interleaved;
    float scale;
    mbk_cu_starts starts;
} mbk_cu_attention;
mbk_cu_error mbk_cu_attention_forward(const mbk_cu_queue *q, const mbk_cu_attention *a);
size_t mbk_cu_attention_scratch(const mbk_cu_attention *a);
typedef struct mbk_cu_attention_grad {
    mbk_cu_view dq, dk, dv, dcache_k, dcache_v, dy, y, q, k, v, cache_k, cache_v, saved;
    int64_t heads, key_heads, position, window, rotary;
    double rotary_base;
    int interleaved;
    float scale;
    mbk_cu_starts starts;
} mbk_cu_attention_grad;
mbk_cu_error mbk_cu_attention_backward(const mbk_cu_queue *q, const mbk_cu_attention_grad *a);
size_t mbk_cu_attention_grad_scratch(const mbk_cu_attention_grad *a);

/* --- grad.cu ------------------------------------------------------------------------------------------------------ */
mbk_cu_error mbk_cu_bias_grad(const mbk_cu_queue *q, mbk_cu_view db, mbk_cu_view dy);
/* Up to 512 rows in the order of the call; beyond, where the table is small, runs of rows from zero, which are added in
 * their order. */
mbk_cu_error mbk_cu_embed_grad(const mbk_cu_queue *q, mbk_cu_view dtable, mbk_cu_view dy, const int32_t *ids);
size_t mbk_cu_embed_grad_scratch(int64_t rows, int64_t table, int64_t cols);
mbk_cu_error mbk_cu_rmsnorm_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dw, mbk_cu_view dy, mbk_cu_view x,
                                 mbk_cu_view w, float eps, int accumulate);
mbk_cu_error mbk_cu_layernorm_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dw, mbk_cu_view db,
                                   mbk_cu_view dy, mbk_cu_view x, mbk_cu_view w, float eps, int accumulate);
mbk_cu_error mbk_cu_gate_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dz, mbk_cu_view dy, mbk_cu_view x,
                              mbk_cu_view z);
mbk_cu_error mbk_cu_rmsnorm_gated_grad(const mbk_cu_queue *q, mbk_cu_view dx, mbk_cu_view dz, mbk_cu_view dw,
                                       mbk_cu_view dy, mbk_cu_view x, mbk_cu_view z, mbk_cu_view w, float eps,
                                       int64_t group, int norm_first);
/* Scratch of bias_grad, rmsnorm_grad, layernorm_grad and rmsnorm_gated_grad. */
size_t mbk_cu_row_grad_scratch(int64_t rows, int64_t cols);

/* --- train.cu ----------------------------------------------------------------------------------------------------- */
mbk_cu_error mbk_cu_cross_entropy(const mbk_cu_queue *q, mbk_cu_view loss, mbk_cu_view dlogits, mbk_cu_view logits,
                                  mbk_cu_view weight, const int32_t *ids, float scale);
mbk_cu_error mbk_cu_sum_squares(const mbk_cu_queue *q, double *acc, mbk_cu_view x);
size_t mbk_cu_sum_squares_scratch(int64_t rows, int64_t cols);
typedef struct mbk_cu_adamw {
    mbk_cu_view w, m, v, g;
    double lr, beta1, beta2, eps, decay, scale;
    int64_t step;
} mbk_cu_adamw;
mbk_cu_error mbk_cu_adamw_step(const mbk_cu_queue *q, const mbk_cu_adamw *a);

/* --- conv_grad.cu, scan_grad.cu ----------------------------------------------------------------------------------- */
typedef struct mbk_cu_conv_grad {
    mbk_cu_view dx, dw, dbias, dstate, dy, x, w, bias, state;
    mbk_cu_starts starts;
} mbk_cu_conv_grad;
mbk_cu_error mbk_cu_conv1d_silu_grad(const mbk_cu_queue *q, const mbk_cu_conv_grad *a);
size_t mbk_cu_conv1d_silu_grad_scratch(const mbk_cu_conv_grad *a);
typedef struct mbk_cu_scan_grad {
    mbk_cu_view du, ddt, dz, db, dc, da, dd, dbias, dstate, dy, u, dt, b, c, z, a, d, bias, saved;
    mbk_cu_starts starts;
} mbk_cu_scan_grad;
mbk_cu_error mbk_cu_selective_scan_grad(const mbk_cu_queue *q, const mbk_cu_scan_grad *a);
size_t mbk_cu_selective_scan_grad_scratch(const mbk_cu_scan_grad *a);

#ifdef __cplusplus
}
#endif
#endif
