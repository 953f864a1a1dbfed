/*
 * shapes.c - calls one launcher of kernels/cuda on a shape that stands for real work, for counted.py to count.
 *
 *   ptx_shapes               prints the names, each with rows, columns and what a unit of its counts is
 *   ptx_shapes NAME          runs it; prints "corrected SEEN OF" where the scan looked back
 *   ptx_shapes grid          prints the blocks of each launch of a layer of Mamba-1 at d_inner 256, batch 1, 1 M rows
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/launch.h"
#include "mbk/mbk.h"
#include "simt/runtime.h"

enum {
    ROWS = 1024,
    LONG = 2048,
    SEEN = 256,
    COLS = 256,
    STATES = 16,
    RANK = 16,
    VOCAB = 16,
    LETTERS = 4096,
    HEADS = 4,
    HEAD = 64,
    SSD_STATES = 64
};

static uint32_t drawn = 12345;
static float draw(float low, float high) {
    drawn = drawn * 1664525u + 1013904223u;
    return low + (high - low) * (float)(drawn >> 8) / 16777216.0f;
}

static mbk_cu_view some(int64_t rows, int64_t cols, mbk_cu_type type, float low, float high) {
    size_t each = type == MBK_CU_F32 ? 4 : 2;
    mbk_cu_view v = {simt_malloc((size_t)(rows * cols) * each), rows, cols, cols, type};
    for (int64_t i = 0; i < rows * cols; i++) {
        float f = draw(low, high);
        uint32_t bits;
        memcpy(&bits, &f, 4);
        if (type == MBK_CU_F32) {
            ((float *)v.p)[i] = f;
        } else {
            ((uint16_t *)v.p)[i] = (uint16_t)(bits >> 16);
        }
    }
    return v;
}
static mbk_cu_view f32(int64_t rows, int64_t cols) {
    return some(rows, cols, MBK_CU_F32, -1, 1);
}
static mbk_cu_view bf16(int64_t rows, int64_t cols) {
    return some(rows, cols, MBK_CU_BF16, -1, 1);
}
static mbk_cu_queue queue(size_t scratch) {
    return (mbk_cu_queue){NULL, scratch ? simt_malloc(scratch) : NULL, scratch, 132};
}
static int32_t *ids(int64_t n) {
    int32_t *p = simt_malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) {
        p[i] = (int32_t)(i * 7 % VOCAB);
    }
    return p;
}
static const mbk_cu_view none;

/* --- Mamba-1 ------------------------------------------------------------------------------------------------------ */
static mbk_cu_conv conv_args(int64_t rows, mbk_cu_type type) {
    return (mbk_cu_conv){
        some(rows, COLS, type, -1, 1), some(rows, COLS, type, -1, 1), f32(4, COLS), f32(1, COLS), f32(4, COLS), {0}};
}

enum { FAST, DEFAULT, SLOW };

/* Steps as a new model has them: exp(U(log 0.001, log 0.1)) behind softplus, rates 1 to N; or so long that nothing is
 * left after a few rows, or so short that all is. */
static mbk_cu_scan scan_args(int64_t rows, mbk_cu_type type, int steps, int train) {
    mbk_cu_scan a = {.y = some(rows, COLS, type, -1, 1),
                     .u = some(rows, COLS, type, -1, 1),
                     .dt = some(rows, COLS, type, -0.3f, 0.3f),
                     .z = some(rows, COLS, type, -1, 1),
                     .b = some(rows, STATES, type, -1, 1),
                     .c = some(rows, STATES, type, -1, 1),
                     .a = f32(STATES, COLS),
                     .d = f32(1, COLS),
                     .bias = f32(1, COLS),
                     .state = f32(STATES, COLS)};
    for (int64_t c = 0; c < COLS; c++) {
        float dt = steps == FAST ? 5.0f : steps == SLOW ? 1e-5f : expf(draw(logf(0.001f), logf(0.1f)));
        ((float *)a.bias.p)[c] = logf(expm1f(dt));
        for (int64_t n = 0; n < STATES; n++) {
            ((float *)a.a.p)[n * COLS + c] = -(float)(n + 1);
        }
    }
    if (type == MBK_CU_BF16) { /* as mamba1.c calls it under bf16 math */
        a.dt.p = NULL;
        a.low = some(rows, RANK, type, -0.3f, 0.3f);
        a.weight = some(COLS, RANK, type, -0.25f, 0.25f);
        a.y = a.u;
    }
    if (train) {
        a.saved = f32((rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * STATES, COLS);
    }
    return a;
}

static int run_scan(mbk_cu_type type, int steps, int train) {
    mbk_cu_scan a = scan_args(type == MBK_CU_BF16 ? LONG : ROWS, type, steps, train);
    a.corrected = simt_malloc(2 * sizeof *a.corrected);
    a.corrected[0] = a.corrected[1] = 0;
    mbk_cu_queue q = queue(mbk_cu_selective_scan_scratch(&a));
    int e = mbk_cu_selective_scan(&q, &a);
    printf("corrected %llu %llu\n", (unsigned long long)a.corrected[0], (unsigned long long)a.corrected[1]);
    return e;
}
static int scan_bf16_fast(void) {
    return run_scan(MBK_CU_BF16, FAST, 0);
}
static int scan_bf16_default(void) {
    return run_scan(MBK_CU_BF16, DEFAULT, 0);
}
static int scan_bf16_slow(void) {
    return run_scan(MBK_CU_BF16, SLOW, 0);
}
static int scan_f32_train(void) {
    return run_scan(MBK_CU_F32, DEFAULT, 1);
}
static int conv_bf16(void) {
    mbk_cu_conv a = conv_args(LONG, MBK_CU_BF16);
    mbk_cu_queue q = queue(mbk_cu_conv1d_silu_scratch(&a));
    return mbk_cu_conv1d_silu(&q, &a);
}
static int conv_f32(void) {
    mbk_cu_conv a = conv_args(ROWS, MBK_CU_F32);
    mbk_cu_queue q = queue(mbk_cu_conv1d_silu_scratch(&a));
    return mbk_cu_conv1d_silu(&q, &a);
}
static int conv_grad(void) {
    mbk_cu_conv_grad a = {f32(ROWS, COLS), f32(4, COLS), f32(1, COLS), f32(4, COLS), f32(ROWS, COLS),
                          f32(ROWS, COLS), f32(4, COLS), f32(1, COLS), f32(4, COLS), {0}};
    mbk_cu_queue q = queue(mbk_cu_conv1d_silu_grad_scratch(&a));
    return mbk_cu_conv1d_silu_grad(&q, &a);
}
static int scan_grad(void) {
    mbk_cu_scan s = scan_args(ROWS, MBK_CU_F32, DEFAULT, 1);
    mbk_cu_scan_grad a = {.du = f32(ROWS, COLS),
                          .ddt = f32(ROWS, COLS),
                          .dz = f32(ROWS, COLS),
                          .db = f32(ROWS, STATES),
                          .dc = f32(ROWS, STATES),
                          .da = f32(STATES, COLS),
                          .dd = f32(1, COLS),
                          .dbias = f32(1, COLS),
                          .dstate = f32(STATES, COLS),
                          .dy = f32(ROWS, COLS),
                          .u = s.u,
                          .dt = s.dt,
                          .b = s.b,
                          .c = s.c,
                          .z = s.z,
                          .a = s.a,
                          .d = s.d,
                          .bias = s.bias,
                          .saved = s.saved};
    mbk_cu_queue q = queue(mbk_cu_selective_scan_grad_scratch(&a));
    return mbk_cu_selective_scan_grad(&q, &a);
}

/* --- Mamba-2 ------------------------------------------------------------------------------------------------------ */
static int ssd(void) {
    mbk_cu_ssd a = {.y = f32(ROWS, HEADS * HEAD),
                    .x = f32(ROWS, HEADS * HEAD),
                    .dt = f32(ROWS, HEADS),
                    .b = f32(ROWS, SSD_STATES),
                    .c = f32(ROWS, SSD_STATES),
                    .a = some(1, HEADS, MBK_CU_F32, -16, -1),
                    .d = f32(1, HEADS),
                    .bias = f32(1, HEADS),
                    .state = f32(HEADS * SSD_STATES, HEAD),
                    .open_x = f32(HEADS * MBK_SSD_BLOCK, HEAD),
                    .open_b = f32(MBK_SSD_BLOCK, SSD_STATES),
                    .open_lam = f32(HEADS, 2 * MBK_SSD_BLOCK),
                    .groups = 1,
                    .dt_max = INFINITY};
    mbk_cu_queue q = queue(mbk_cu_ssd_scratch(&a));
    return mbk_cu_ssd_forward(&q, &a);
}
static int ssd_grad(void) {
    mbk_cu_ssd_grad a = {.dx = f32(ROWS, HEADS * HEAD),
                         .ddt = f32(ROWS, HEADS),
                         .db = f32(ROWS, SSD_STATES),
                         .dc = f32(ROWS, SSD_STATES),
                         .da = f32(1, HEADS),
                         .dd = f32(1, HEADS),
                         .dbias = f32(1, HEADS),
                         .dstate = f32(HEADS * SSD_STATES, HEAD),
                         .dy = f32(ROWS, HEADS * HEAD),
                         .x = f32(ROWS, HEADS * HEAD),
                         .dt = f32(ROWS, HEADS),
                         .b = f32(ROWS, SSD_STATES),
                         .c = f32(ROWS, SSD_STATES),
                         .a = some(1, HEADS, MBK_CU_F32, -16, -1),
                         .d = f32(1, HEADS),
                         .bias = f32(1, HEADS),
                         .saved = f32(MBK_SSD_SAVED(ROWS) * HEADS * SSD_STATES, HEAD),
                         .groups = 1,
                         .dt_max = INFINITY};
    mbk_cu_queue q = queue(mbk_cu_ssd_grad_scratch(&a));
    return mbk_cu_ssd_backward(&q, &a);
}

/* --- attention ---------------------------------------------------------------------------------------------------- */
/* Of every position before, none of them from a cache; pairs of all channels are rotated. */
static mbk_cu_attention attention_args(void) {
    return (mbk_cu_attention){.y = f32(SEEN, HEADS * HEAD),
                              .q = f32(SEEN, HEADS * HEAD),
                              .k = f32(SEEN, HEADS * HEAD),
                              .v = f32(SEEN, HEADS * HEAD),
                              .saved = f32(SEEN, HEADS),
                              .heads = HEADS,
                              .key_heads = HEADS,
                              .rotary = HEAD,
                              .rotary_base = 10000,
                              .scale = 0.125f};
}
static int attention(void) {
    mbk_cu_attention a = attention_args();
    mbk_cu_queue q = queue(mbk_cu_attention_scratch(&a));
    return mbk_cu_attention_forward(&q, &a);
}
static int attention_grad(void) {
    mbk_cu_attention s = attention_args();
    mbk_cu_attention_grad a = {.dq = f32(SEEN, HEADS * HEAD),
                               .dk = f32(SEEN, HEADS * HEAD),
                               .dv = f32(SEEN, HEADS * HEAD),
                               .dy = f32(SEEN, HEADS * HEAD),
                               .y = s.y,
                               .q = s.q,
                               .k = s.k,
                               .v = s.v,
                               .saved = s.saved,
                               .heads = HEADS,
                               .key_heads = HEADS,
                               .rotary = HEAD,
                               .rotary_base = 10000,
                               .scale = 0.125f};
    mbk_cu_queue q = queue(mbk_cu_attention_grad_scratch(&a));
    return mbk_cu_attention_backward(&q, &a);
}

/* --- rows --------------------------------------------------------------------------------------------------------- */
static int embed(void) {
    mbk_cu_view table = f32(VOCAB, COLS);
    mbk_cu_matrix t = {table.p, NULL, VOCAB, COLS, MBK_F32};
    mbk_cu_queue q = queue(0);
    return mbk_cu_embed(&q, f32(ROWS, COLS), &t, ids(ROWS));
}
static int rmsnorm(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_rmsnorm(&q, bf16(ROWS, COLS), f32(ROWS, COLS), f32(1, COLS), 1e-5f, none, none);
}
static int rmsnorm_add(void) {
    mbk_cu_queue q = queue(0);
    mbk_cu_view r = f32(ROWS, COLS);
    return mbk_cu_rmsnorm(&q, bf16(ROWS, COLS), bf16(ROWS, COLS), f32(1, COLS), 1e-5f, r, r);
}
static int layernorm(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_layernorm(&q, f32(ROWS, COLS), f32(ROWS, COLS), f32(1, COLS), f32(1, COLS), 1e-5f);
}
static int rmsnorm_gated(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_rmsnorm_gated(&q, f32(ROWS, COLS), f32(ROWS, COLS), f32(ROWS, COLS), f32(1, COLS), 1e-5f, COLS, 0);
}
static int gate(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_gate(&q, f32(ROWS, COLS), f32(ROWS, COLS), f32(ROWS, COLS));
}
static int logprob(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_logprob(&q, f32(ROWS, 1), f32(ROWS, VOCAB), ids(ROWS));
}
static int gemv(void) {
    mbk_cu_view w = bf16(ROWS, COLS);
    mbk_cu_matrix m = {w.p, NULL, ROWS, COLS, MBK_BF16};
    mbk_cu_queue q = queue(0);
    return mbk_cu_gemv(&q, f32(1, ROWS), f32(1, COLS), &m, 1);
}
static int copy(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_copy(&q, bf16(ROWS, COLS), f32(ROWS, COLS));
}
static int zero(void) {
    mbk_cu_queue q = queue(0);
    mbk_cu_view y = f32(ROWS, 2 * COLS);
    y.cols = COLS;
    return mbk_cu_zero(&q, y);
}
static int add(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_add(&q, f32(ROWS, COLS), f32(ROWS, COLS), f32(ROWS, COLS));
}
static int mul(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_mul(&q, f32(ROWS, COLS), f32(ROWS, COLS), f32(ROWS, COLS));
}
static int neg_exp(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_neg_exp(&q, f32(ROWS, COLS), f32(ROWS, COLS));
}
static int gemm_finish(void) {
    mbk_cu_queue q = queue(0);
    mbk_cu_view y = f32(ROWS, COLS);
    return mbk_cu_gemm_finish(&q, y, f32(1, COLS).p, f32(1, COLS).p, y);
}
static int unpack(void) {
    mbk_cu_queue q = queue(0);
    mbk_cu_matrix m = {bf16(ROWS, COLS).p, NULL, ROWS, COLS, MBK_BF16};
    return mbk_cu_unpack(&q, f32(ROWS, COLS), &m, 0);
}
/* All that a draw can have to do: the best are cut off, of them the nucleus, and of it one is found. */
static int draw_token(void) {
    mbk_cu_queue q = queue(0);
    uint8_t *allowed = simt_malloc(LETTERS);
    double *u = simt_malloc(sizeof *u);
    memset(allowed, 1, LETTERS);
    *u = 0.5;
    mbk_cu_draw a = {.logits = some(1, LETTERS, MBK_CU_F32, -9, 6),
                     .allowed = allowed,
                     .n_allowed = LETTERS,
                     .temperature = 1,
                     .top_p = 0.9,
                     .top_k = 50,
                     .u = u,
                     .drawn = simt_malloc(sizeof(mbk_drawn))};
    return mbk_cu_draw_rows(&q, &a);
}
static int hits(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_hits(&q, f32(ROWS, 1), f32(ROWS, VOCAB), ids(ROWS));
}
static int row_sum(void) {
    mbk_cu_queue q = queue(mbk_cu_row_sum_scratch(ROWS, COLS));
    return mbk_cu_row_sum(&q, f32(2, COLS).p, f32(ROWS, COLS)); /* doubles, of any value */
}
static int pack(void) {
    mbk_cu_queue q = queue(0);
    int32_t *bad = ids(1);
    return mbk_cu_pack(&q, bf16(ROWS, COLS).p, NULL, MBK_BF16, f32(ROWS, COLS), 0, bad);
}
static int bias_grad(void) {
    mbk_cu_queue q = queue(mbk_cu_row_grad_scratch(ROWS, COLS));
    return mbk_cu_bias_grad(&q, f32(1, COLS), f32(ROWS, COLS));
}
static int embed_grad(void) {
    mbk_cu_queue q = queue(mbk_cu_embed_grad_scratch(ROWS, VOCAB, COLS));
    return mbk_cu_embed_grad(&q, f32(VOCAB, COLS), f32(ROWS, COLS), ids(ROWS));
}
static int layernorm_grad(void) {
    mbk_cu_queue q = queue(mbk_cu_row_grad_scratch(ROWS, COLS));
    return mbk_cu_layernorm_grad(&q, f32(ROWS, COLS), f32(1, COLS), f32(1, COLS), f32(ROWS, COLS), f32(ROWS, COLS),
                                 f32(1, COLS), 1e-5f, 1);
}
static int gate_grad(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_gate_grad(&q, f32(ROWS, COLS), f32(ROWS, COLS), f32(ROWS, COLS), f32(ROWS, COLS), f32(ROWS, COLS));
}
static int gated_grad(void) {
    mbk_cu_queue q = queue(mbk_cu_row_grad_scratch(ROWS, COLS));
    return mbk_cu_rmsnorm_gated_grad(&q, f32(ROWS, COLS), f32(ROWS, COLS), f32(1, COLS), f32(ROWS, COLS),
                                     f32(ROWS, COLS), f32(ROWS, COLS), f32(1, COLS), 1e-5f, COLS, 0);
}
static int sum_squares(void) {
    mbk_cu_queue q = queue(mbk_cu_sum_squares_scratch(ROWS, COLS));
    return mbk_cu_sum_squares(&q, f32(1, 2).p, f32(ROWS, COLS));
}
static int rmsnorm_grad(void) {
    mbk_cu_queue q = queue(mbk_cu_row_grad_scratch(ROWS, COLS));
    return mbk_cu_rmsnorm_grad(&q, f32(ROWS, COLS), f32(1, COLS), f32(ROWS, COLS), f32(ROWS, COLS), f32(1, COLS), 1e-5f,
                               1);
}
static int cross_entropy(void) {
    mbk_cu_queue q = queue(0);
    return mbk_cu_cross_entropy(&q, f32(ROWS, 1), f32(ROWS, VOCAB), f32(ROWS, VOCAB), none, ids(ROWS), 1.0f);
}
static int adamw(void) {
    mbk_cu_adamw a = {f32(ROWS, COLS),
                      f32(ROWS, COLS),
                      some(ROWS, COLS, MBK_CU_F32, 0, 1),
                      f32(ROWS, COLS),
                      1e-3,
                      0.9,
                      0.95,
                      1e-8,
                      0.1,
                      1.0,
                      10};
    mbk_cu_queue q = queue(0);
    return mbk_cu_adamw_step(&q, &a);
}

/* --- the grid of a layer ------------------------------------------------------------------------------------------ */
static int note_launch(void *user, const simt_call *call) {
    (void)user;
    printf("launch\t%s\t%llu\n", simt_symbol(call->function),
           (unsigned long long)call->grid.x * call->grid.y * call->grid.z);
    return 0;
}

/* Nothing runs: memory of that size is named, not made. */
static int grid(void) {
    const int64_t rows = 1 << 20, cols = COLS;
    char *base = (char *)(uintptr_t)(UINT64_C(1) << 45);
    simt_memory_add(base, (size_t)1 << 40);
    simt_hook_set(note_launch, NULL);
    mbk_cu_view x = {base, rows, cols, cols, MBK_CU_BF16}, b = {base, rows, STATES, STATES, MBK_CU_BF16};
    mbk_cu_view w = {base, 4, cols, cols, MBK_CU_F32}, a = {base, STATES, cols, cols, MBK_CU_F32};
    mbk_cu_view one = {base, 1, cols, cols, MBK_CU_F32};
    mbk_cu_conv conv = {x, x, w, one, {base, 4, cols, cols, MBK_CU_F32}, {0}};
    mbk_cu_scan scan = {.y = x,
                        .u = x,
                        .z = x,
                        .low = b,
                        .weight = {base, cols, RANK, RANK, MBK_CU_BF16},
                        .b = b,
                        .c = b,
                        .a = a,
                        .d = one,
                        .bias = one,
                        .state = a};
    mbk_cu_queue q = {NULL, base, mbk_cu_selective_scan_scratch(&scan), 132};
    int e = mbk_cu_conv1d_silu(&q, &conv);
    return e ? e : mbk_cu_selective_scan(&q, &scan);
}

static const struct shape {
    const char *name;
    int (*run)(void);
    int rows, cols;
    const char *what;
} shapes[] = {
    {"copy", copy, ROWS, COLS, "f32 to bf16"},
    {"zero", zero, ROWS, COLS, "f32, half of a row"},
    {"add", add, ROWS, COLS, "f32"},
    {"mul", mul, ROWS, COLS, "f32"},
    {"neg_exp", neg_exp, ROWS, COLS, "f32"},
    {"embed", embed, ROWS, COLS, "f32"},
    {"rmsnorm", rmsnorm, ROWS, COLS, "f32 to bf16"},
    {"rmsnorm_add", rmsnorm_add, ROWS, COLS, "bf16, residual f32 read and written"},
    {"layernorm", layernorm, ROWS, COLS, "f32"},
    {"rmsnorm_gated", rmsnorm_gated, ROWS, COLS, "f32"},
    {"gate", gate, ROWS, COLS, "f32"},
    {"conv_bf16", conv_bf16, LONG, COLS, "width 4"},
    {"conv_f32", conv_f32, ROWS, COLS, "width 4"},
    {"scan_bf16_fast", scan_bf16_fast, LONG, COLS, "N 16, steps of rank 16, nothing to look back for"},
    {"scan_bf16_default", scan_bf16_default, LONG, COLS, "N 16, rank 16, steps of a new model"},
    {"scan_bf16_slow", scan_bf16_slow, LONG, COLS, "N 16, rank 16, all looked back for"},
    {"scan_f32_train", scan_f32_train, ROWS, COLS, "N 16, states saved"},
    {"ssd", ssd, ROWS, HEADS *HEAD, "f32, N 64, P 64"},
    {"attention", attention, SEEN, HEADS *HEAD, "f32, P 64, 256 rows, all positions before seen"},
    {"logprob", logprob, ROWS, VOCAB, "f32"},
    {"hits", hits, ROWS, VOCAB, "f32"},
    {"draw", draw_token, 1, LETTERS, "one row, top_k 50, top_p 0.9"},
    {"row_sum", row_sum, ROWS, COLS, "f32 to doubles"},
    {"pack", pack, ROWS, COLS, "f32 to bf16"},
    {"unpack", unpack, ROWS, COLS, "bf16 to f32"},
    {"gemm_finish", gemm_finish, ROWS, COLS, "f32, scales of int8, bias, and what was there"},
    {"gemv", gemv, ROWS, COLS, "one row, bf16 weights"},
    {"conv_grad", conv_grad, ROWS, COLS, "f32, width 4"},
    {"scan_grad", scan_grad, ROWS, COLS, "f32, N 16"},
    {"ssd_grad", ssd_grad, ROWS, HEADS *HEAD, "f32, N 64, P 64"},
    {"attention_grad", attention_grad, SEEN, HEADS *HEAD, "f32, P 64, 256 rows"},
    {"rmsnorm_grad", rmsnorm_grad, ROWS, COLS, "f32"},
    {"layernorm_grad", layernorm_grad, ROWS, COLS, "f32"},
    {"rmsnorm_gated_grad", gated_grad, ROWS, COLS, "f32"},
    {"gate_grad", gate_grad, ROWS, COLS, "f32"},
    {"bias_grad", bias_grad, ROWS, COLS, "f32"},
    {"embed_grad", embed_grad, ROWS, COLS, "f32, 16 symbols"},
    {"cross_entropy", cross_entropy, ROWS, VOCAB, "f32"},
    {"sum_squares", sum_squares, ROWS, COLS, "f32"},
    {"adamw", adamw, ROWS, COLS, "f32"},
};

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "grid") == 0) {
        return grid() != 0;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (argc < 2) {
            printf("%s\t%d\t%d\t%s\n", shapes[i].name, shapes[i].rows, shapes[i].cols, shapes[i].what);
        } else if (strcmp(argv[1], shapes[i].name) == 0) {
            int e = shapes[i].run();
            if (e) {
                fprintf(stderr, "ptx_shapes: %s: error %d\n", shapes[i].name, e);
            }
            return e != 0;
        }
    }
    return argc < 2 ? 0 : 2;
}
