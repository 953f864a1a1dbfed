/* What treats rows one by one, on the emulator: beside its formula in double, in f32 and bf16, aligned and not, in
 * place and not, with the same bits under every schedule. */
#include <math.h>

#include "simt/runtime.h"
#include "simt/typed.h"
#include "support/test.h"

/* Numbers of a tensor on the host and on the device. */
typedef struct pair {
    float *v;
    direct_mat m;
    int64_t n;
} pair;

static pair pair_new(int64_t rows, int64_t cols, int64_t pad, mbk_cu_type type, float low, float high) {
    pair p = {kit_random(rows * cols, low, high), {{0}, 0}, rows * cols};
    typed_round(p.v, p.n, type);
    p.m = typed_of(rows, cols, pad, type, p.v);
    return p;
}

static void pair_free(pair *p) {
    free(p->v);
    direct_free(&p->m, 1);
}

static const mbk_cu_view none = {0};
static const mbk_cu_queue queue = {.multiprocessors = 4};

static double silu(double x) {
    return x / (1.0 + exp(-x));
}

/* --- number by number --------------------------------------------------------------------------------------------- */
enum { COPY, ZERO, ADD, MUL, GATE, NEG_EXP, FINISH, MAPS };

static double map_one(int op, double x, double r, double scale, double bias) {
    switch (op) {
    case ZERO:
        return 0.0;
    case ADD:
        return x + r;
    case MUL:
        return x * r;
    case GATE:
        return x * silu(r);
    case NEG_EXP:
        return -exp(x);
    case FINISH:
        return x * scale + bias + r;
    case COPY:
    default:
        return x;
    }
}

static int map_call(int op, mbk_cu_view y, mbk_cu_view x, mbk_cu_view r, const float *scale, const float *bias) {
    switch (op) {
    case ZERO:
        return mbk_cu_zero(&queue, y);
    case ADD:
        return mbk_cu_add(&queue, y, x, r);
    case MUL:
        return mbk_cu_mul(&queue, y, x, r);
    case GATE:
        return mbk_cu_gate(&queue, y, x, r);
    case NEG_EXP:
        return mbk_cu_neg_exp(&queue, y, x);
    case FINISH:
        return mbk_cu_gemm_finish(&queue, y, scale, bias, r);
    case COPY:
    default:
        return mbk_cu_copy(&queue, y, x);
    }
}

static void map_try(int op, int64_t rows, int64_t cols, int64_t pad, mbk_cu_type from, mbk_cu_type to) {
    const int in_place = op == FINISH || (op != COPY && kit_int(0, 1));
    pair x = pair_new(rows, cols, pad, from, -3, 3);
    pair r = pair_new(rows, cols, pad, MBK_CU_F32, -3, 3);
    pair scale = pair_new(1, cols, 0, MBK_CU_F32, -1, 1);
    pair bias = pair_new(1, cols, 0, MBK_CU_F32, -1, 1);
    direct_mat y = in_place ? x.m : typed_new(rows, cols, pad, to);
    CHECK_INT(map_call(op, y.v, x.m.v, r.m.v, scale.m.v.p, bias.m.v.p), 0);
    float *got = typed_get(&y);
    for (int64_t i = 0; i < x.n; i++) {
        double want = map_one(op, (double)x.v[i], (double)r.v[i], (double)scale.v[i % cols], (double)bias.v[i % cols]);
        double room = to == MBK_CU_BF16 ? (fabs(want) + 0.1) / 256 : (fabs(want) + 2.0) * 1e-6;
        CHECK(fabs((double)got[i] - want) <= room, "op %d, %lldx%lld + %lld: %g for %g", op, (long long)rows,
              (long long)cols, (long long)pad, (double)got[i], want);
    }
    free(got);
    direct_free(&y, in_place ? 0 : 1);
    pair_free(&x);
    pair_free(&r);
    pair_free(&scale);
    pair_free(&bias);
}

MBS_TEST(cuda_rows, number_by_number) {
    static const int64_t cols[] = {1, 3, 4, 8, 17, 32, 132, 300};
    CHECK_INT(simt_schedule("random:1"), 0);
    for (int op = 0; op < MAPS; op++) {
        for (int i = 0; i < 8; i++) {
            int types = op == COPY ? 4 : op == ZERO || op == FINISH ? 2 : 1;
            for (int t = 0; t < types; t++) {
                mbk_cu_type from = (mbk_cu_type)(t & 1);
                mbk_cu_type to = op == COPY ? (mbk_cu_type)(t >> 1) : from;
                map_try(op, kit_int(1, 70), cols[i], 4 * (i % 3) + (i % 4 == 3), from, to);
            }
        }
    }
}

/* --- norms -------------------------------------------------------------------------------------------------------- */
typedef struct norm_case {
    int64_t rows, cols, pad;
    mbk_cu_type x, y, r;
    int residual, sum, in_place;
} norm_case;

static void norm_check(const norm_case *k, const float *got, const double *v, const float *w, double mean) {
    for (int64_t r = 0; r < k->rows; r++) {
        const double *row = v + r * k->cols;
        double m = 0.0;
        double squares = 0.0;
        for (int64_t c = 0; c < k->cols; c++) {
            m += mean * row[c] / (double)k->cols;
        }
        for (int64_t c = 0; c < k->cols; c++) {
            squares += (row[c] - m) * (row[c] - m);
        }
        double scale = 1.0 / sqrt(squares / (double)k->cols + 1e-5);
        for (int64_t c = 0; c < k->cols; c++) {
            double want = (row[c] - m) * scale * (double)w[c] + mean * (double)w[k->cols + c];
            double room = k->y == MBK_CU_BF16 ? 1.0 / 256 * (fabs(want) + 0.1) : 3e-6 * (fabs(want) + 1.0);
            CHECK(fabs((double)got[r * k->cols + c] - want) <= room, "%lldx%lld, row %lld column %lld: %g for %g",
                  (long long)k->rows, (long long)k->cols, (long long)r, (long long)c, (double)got[r * k->cols + c],
                  want);
        }
    }
}

static void rms_try(const norm_case *k) {
    pair x = pair_new(k->rows, k->cols, k->pad, k->x, -2, 2);
    pair res = pair_new(k->rows, k->cols, k->pad, k->r, -2, 2);
    pair w = pair_new(1, 2 * k->cols, 0, MBK_CU_F32, -1, 1);
    w.m.v.cols = k->cols;
    direct_kept kept = {0};
    double *v = calloc((size_t)x.n, sizeof *v);
    for (int64_t i = 0; i < x.n; i++) {
        v[i] = (double)(k->residual ? x.v[i] + res.v[i] : x.v[i]);
    }
    EACH_SCHEDULE(s) {
        direct_mat from = typed_of(k->rows, k->cols, k->pad, k->x, x.v);
        direct_mat y = k->in_place ? from : typed_new(k->rows, k->cols, k->pad, k->y);
        direct_mat sum = typed_of(k->rows, k->cols, k->pad, k->r, res.v);
        CHECK_INT(mbk_cu_rmsnorm(&queue, y.v, from.v, w.m.v, 1e-5f, k->residual ? sum.v : none, k->sum ? sum.v : none),
                  0);
        typed_keep(&kept, "rmsnorm", 0, &y);
        typed_keep(&kept, "its sum", 1, &sum); /* the residual lay where the sum goes */
        direct_free(&from, 1);
        direct_free(&y, k->in_place ? 0 : 1);
        direct_free(&sum, 1);
    }
    norm_check(k, kept.of[0], v, w.v, 0.0);
    for (int64_t i = 0; k->sum && i < x.n; i++) {
        float want = (float)v[i];
        typed_round(&want, 1, k->r);
        CHECK(kept.of[1][i] == want, "sum %lld", (long long)i);
    }
    free(v);
    direct_kept_free(&kept);
    pair_free(&x);
    pair_free(&res);
    pair_free(&w);
}

MBS_TEST(cuda_rows, rmsnorm) {
    static const norm_case cases[] = {
        {.rows = 9, .cols = 1},
        {.rows = 17, .cols = 100, .in_place = 1},
        {.rows = 3, .cols = 1023, .pad = 2},
        {.rows = 3, .cols = 1028, .residual = 1, .sum = 1},
        {.rows = 5, .cols = 64, .pad = 4, .x = MBK_CU_BF16, .y = MBK_CU_BF16, .residual = 1, .sum = 1},
        {.rows = 5, .cols = 33, .x = MBK_CU_BF16, .residual = 1, .sum = 1, .r = MBK_CU_BF16},
        {.rows = 4, .cols = 96, .y = MBK_CU_BF16, .residual = 1, .r = MBK_CU_BF16},
        {.rows = 2, .cols = 8300, .residual = 1, .sum = 1},
        {.rows = 2, .cols = 8200, .y = MBK_CU_BF16, .sum = 1},
    };
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        rms_try(&cases[i]);
    }
}

static void layer_try(const norm_case *k) {
    pair x = pair_new(k->rows, k->cols, k->pad, MBK_CU_F32, -1, 3);
    pair w = pair_new(2, k->cols, 0, MBK_CU_F32, -1, 1);
    direct_kept kept = {0};
    double *v = calloc((size_t)x.n, sizeof *v);
    for (int64_t j = 0; j < x.n; j++) {
        v[j] = (double)x.v[j];
    }
    EACH_SCHEDULE(s) {
        direct_mat y = direct_new(k->rows, k->cols, 1);
        CHECK_INT(mbk_cu_layernorm(&queue, y.v, x.m.v, typed_rows(w.m.v, 0, 1), typed_rows(w.m.v, 1, 2), 1e-5f), 0);
        direct_keep(&kept, "layernorm", &y, 1);
        direct_free(&y, 1);
    }
    norm_check(k, kept.of[0], v, w.v, 1.0);
    free(v);
    direct_kept_free(&kept);
    pair_free(&x);
    pair_free(&w);
}

MBS_TEST(cuda_rows, layernorm) {
    static const int64_t cols[] = {2, 31, 64, 1025, 8200};
    for (int i = 0; i < 5; i++) {
        const norm_case k = {.rows = 5, .cols = cols[i], .pad = i % 2 * 3};
        layer_try(&k);
    }
}

static void gated_check(const float *got, const pair *x, const pair *z, const pair *w, int64_t cols, int64_t group,
                        int norm_first) {
    for (int64_t at = 0; at < x->n; at += group) {
        double squares = 0.0;
        for (int64_t i = at; i < at + group; i++) {
            double v = (double)x->v[i] * (norm_first ? 1.0 : silu((double)z->v[i]));
            squares += v * v;
        }
        for (int64_t i = at; i < at + group; i++) {
            double scale = 1.0 / sqrt(squares / (double)group + 1e-5);
            double want = (double)x->v[i] * silu((double)z->v[i]) * scale * (double)w->v[i % cols];
            CHECK(fabs((double)got[i] - want) <= 3e-6 * (fabs(want) + 1.0), "group %lld, %lld: %g for %g",
                  (long long)group, (long long)i, (double)got[i], want);
        }
    }
}

static void gated_try(int64_t rows, int64_t cols, int64_t group, int in_place, int norm_first) {
    pair x = pair_new(rows, cols, 4, MBK_CU_F32, -2, 2);
    pair z = pair_new(rows, cols, 0, MBK_CU_F32, -4, 4);
    pair w = pair_new(1, cols, 0, MBK_CU_F32, -1, 1);
    direct_kept kept = {0};
    EACH_SCHEDULE(s) {
        direct_mat y = direct_of(rows, cols, 4, x.v);
        CHECK_INT(mbk_cu_rmsnorm_gated(&queue, y.v, in_place ? y.v : x.m.v, z.m.v, w.m.v, 1e-5f, group, norm_first), 0);
        direct_keep(&kept, "rmsnorm_gated", &y, 1);
        direct_free(&y, 1);
    }
    gated_check(kept.of[0], &x, &z, &w, cols, group, norm_first);
    direct_kept_free(&kept);
    pair_free(&x);
    pair_free(&z);
    pair_free(&w);
}

MBS_TEST(cuda_rows, rmsnorm_gated) {
    static const int64_t shapes[][3] = {{7, 48, 8}, {5, 66, 33}, {3, 2080, 1040}, {2, 8200, 8200}};
    for (int i = 0; i < 8; i++) {
        gated_try(shapes[i / 2][0], shapes[i / 2][1], shapes[i / 2][2], i / 2 % 2 == 0, i % 2);
    }
}

/* MBS_CUDA_SHAPES: how many; MBS_CUDA_BUDGET: rows x columns of one; MBS_TEST_SEED: which. */
MBS_TEST(cuda_rows, random_shapes) {
    const int64_t budget = direct_budget(30000) / 4;
    for (int64_t i = direct_shapes(8); i > 0;) {
        const norm_case k = {.rows = kit_size(5000),
                             .cols = kit_size(300),
                             .pad = kit_int(0, 8),
                             .x = (mbk_cu_type)kit_int(0, 1),
                             .y = (mbk_cu_type)kit_int(0, 1),
                             .r = (mbk_cu_type)kit_int(0, 1),
                             .residual = (int)kit_int(0, 1),
                             .sum = (int)kit_int(0, 1)};
        if (k.rows * k.cols > budget) {
            continue;
        }
        fprintf(stderr, "  %lldx%lld + %lld types %d %d %d\n", (long long)k.rows, (long long)k.cols, (long long)k.pad,
                (int)k.x, (int)k.y, (int)k.r);
        rms_try(&k);
        const norm_case f32 = {.rows = k.rows, .cols = k.cols + 8, .pad = k.pad};
        layer_try(&f32);
        gated_try(k.rows, 2 * k.cols, kit_int(0, 1) ? k.cols : 2, k.sum, k.residual);
        EACH_SCHEDULE(schedule) {
            for (int op = 0; op < MAPS; op++) {
                map_try(op, k.rows, k.cols, k.pad, op == COPY || op == ZERO || op == FINISH ? k.x : MBK_CU_F32,
                        op == COPY                   ? k.y
                        : op == ZERO || op == FINISH ? k.x
                                                     : MBK_CU_F32);
            }
        }
        i--;
    }
}

/* --- logits ------------------------------------------------------------------------------------------------------- */
static void logits_check(const pair *x, int64_t cols, const int32_t *ids, const float *lp, const float *hit) {
    for (int64_t r = 0; r * cols < x->n; r++) {
        const float *row = x->v + r * cols;
        double sum = 0.0;
        int64_t best = 0;
        for (int64_t c = 0; c < cols; c++) {
            sum += exp((double)row[c]);
            best = row[c] > row[best] ? c : best;
        }
        if (ids[r] < 0) {
            CHECK(lp[r] != lp[r] && hit[r] == 0.0f, "row %lld has no symbol", (long long)r);
            continue;
        }
        double want = (double)row[ids[r]] - log(sum);
        CHECK(fabs((double)lp[r] - want) <= 2e-6 * (1.0 + fabs(want)), "row %lld: %g for %g", (long long)r,
              (double)lp[r], want);
        CHECK((hit[r] > 0.0f) == (ids[r] == best), "row %lld: hit %g", (long long)r, (double)hit[r]);
    }
}

MBS_TEST(cuda_rows, logits) {
    static const int64_t shapes[][2] = {{1, 1}, {40, 5}, {33, 64}, {9, 65}, {5, 300}, {3, 2049}, {2, 5000}};
    for (int i = 0; i < 7; i++) {
        const int64_t rows = shapes[i][0], cols = shapes[i][1];
        pair x = pair_new(rows, cols, i % 3, MBK_CU_F32, -8, 8);
        int32_t *ids = calloc((size_t)rows, sizeof *ids);
        for (int64_t r = 0; r < rows; r++) {
            ids[r] = (int32_t)kit_int(-1, cols - 1);
            float *row = (float *)x.m.v.p + r * x.m.v.ld;
            if (r % 3 == 0 && ids[r] >= 0) { /* the best, once with an equal one at the end */
                row[ids[r]] = x.v[r * cols + ids[r]] = 9.0f;
                row[cols - 1] = x.v[r * cols + cols - 1] = r % 2 ? 9.0f : x.v[r * cols + cols - 1];
            }
        }
        int32_t *at = direct_ids(ids, rows);
        direct_kept kept = {0};
        EACH_SCHEDULE(s) {
            direct_mat out[2] = {direct_new(rows, 1, 2), direct_new(rows, 1, 0)};
            CHECK_INT(mbk_cu_logprob(&queue, out[0].v, x.m.v, at), 0);
            CHECK_INT(mbk_cu_hits(&queue, out[1].v, x.m.v, at), 0);
            direct_keep(&kept, "logits", out, 2);
            direct_free(out, 2);
        }
        logits_check(&x, cols, ids, kept.of[0], kept.of[1]);
        direct_kept_free(&kept);
        simt_free(at);
        free(ids);
        pair_free(&x);
    }
}

/* --- the sum over rows -------------------------------------------------------------------------------------------- */
/* In the order of the rows: cut anywhere, the same bits, which are those of a plain loop. */
MBS_TEST(cuda_rows, row_sum) {
    const int64_t rows = 300, cols = 37;
    CHECK_INT(mbk_cu_row_sum_scratch(rows, cols), 0);
    pair x = pair_new(rows, cols, 1, MBK_CU_F32, -1, 3);
    double *want = calloc((size_t)cols, sizeof *want);
    for (int64_t i = 0; i < x.n; i++) {
        want[i % cols] += (double)x.v[i];
    }
    EACH_SCHEDULE(s) {
        double *acc = simt_malloc((size_t)cols * sizeof *acc);
        memset(acc, 0, (size_t)cols * sizeof *acc);
        CHECK_INT(mbk_cu_row_sum(&queue, acc, typed_rows(x.m.v, 0, 129)), 0);
        CHECK_INT(mbk_cu_row_sum(&queue, acc, typed_rows(x.m.v, 129, rows)), 0);
        CHECK(memcmp(acc, want, (size_t)cols * sizeof *acc) == 0, "other sums");
        simt_free(acc);
    }
    free(want);
    pair_free(&x);
}
