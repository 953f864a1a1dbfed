/* The selective scan on the emulator: beside the reference for one sequence and many, in f32 and bf16; the same bits
 * under every schedule, wherever whole segments are cut off, and however little scratch there is. */
#include "simt/runtime.h"
#include "simt/typed.h"
#include "support/test.h"

enum { U, DT, Z, B, C, LOW, WEIGHT, A, D, BIAS, H, IN, Y = 0, STATE, SAVED, OUT };

typedef struct scan_case {
    int64_t rows, cols, n, pad;
    mbk_cu_type type;
    int gate, bias, saved, in_place;
    float slow;   /* what dt is shifted by: -4 is slow */
    int64_t rank; /* dt is made of a factor of this rank; 0: it is there */
    int64_t starts;
    int32_t at[8];
} scan_case;

typedef struct scan_data {
    float *of[IN];
    int64_t rows[IN], cols[IN];
    mbk_cu_type type[IN];
} scan_data;

static scan_data data_new(const scan_case *k) {
    scan_data d;
    const int64_t rows[IN] = {k->rows, k->rows, k->rows, k->rows, k->rows, k->rows, k->cols, k->n, 1, 1, k->n};
    const int64_t cols[IN] = {k->cols, k->cols, k->cols, k->n,    k->n,   k->rank,
                              k->rank, k->cols, k->cols, k->cols, k->cols};
    static const float low[IN] = {-1, -3, -3, -1, -1, -1, -1, -16, -1, -2, -1};
    static const float high[IN] = {1, 3, 3, 1, 1, 1, 1, -0.01f, 1, 1, 1};
    for (int i = 0; i < IN; i++) {
        float shift = i == (k->rank ? BIAS : DT) ? k->slow : 0;
        d.rows[i] = rows[i];
        d.cols[i] = cols[i];
        d.type[i] = i <= WEIGHT ? k->type : MBK_CU_F32;
        d.of[i] = kit_random(rows[i] * cols[i], low[i] + shift, high[i] + shift);
        typed_round(d.of[i], rows[i] * cols[i], d.type[i]);
    }
    for (int64_t i = 0; k->rank && i < k->rows * k->cols; i++) {
        const float *a = d.of[LOW] + i / k->cols * k->rank;
        const float *b = d.of[WEIGHT] + i % k->cols * k->rank;
        float sum = 0;
        for (int64_t j = 0; j < k->rank; j++) {
            sum = fmaf(a[j], b[j], sum);
        }
        d.of[DT][i] = sum;
    }
    return d;
}

static void data_free(scan_data *d) {
    for (int i = 0; i < IN; i++) {
        free(d->of[i]);
    }
}

typedef struct scan_mats {
    direct_mat in[IN], y, saved;
    int32_t *at;
} scan_mats;

static int64_t saved_rows(const scan_case *k) {
    return (k->rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * k->n;
}

static scan_mats mats_new(const scan_case *k, const scan_data *d) {
    scan_mats m;
    for (int i = 0; i < IN; i++) {
        m.in[i] = typed_of(d->rows[i], d->cols[i], i <= Z || i == WEIGHT ? k->pad : i % 3, d->type[i], d->of[i]);
    }
    m.y = k->in_place ? m.in[U] : typed_new(k->rows, k->cols, k->pad, k->type);
    m.saved = direct_new(saved_rows(k), k->cols, 1);
    m.at = direct_ids(k->at, k->starts);
    return m;
}

static void mats_free(const scan_case *k, scan_mats *m) {
    direct_free(m->in, IN);
    direct_free(&m->y, k->in_place ? 0 : 1);
    direct_free(&m->saved, 1);
    simt_free(m->at);
}

/* Rows [from, to), with scratch for `segments` segments, or as much as is asked for. */
static void call(const scan_case *k, const scan_mats *m, int64_t from, int64_t to, int64_t segments,
                 uint64_t *corrected) {
    const mbk_cu_view none = {0};
    mbk_cu_scan a = {.y = typed_rows(m->y.v, from, to),
                     .u = typed_rows(m->in[U].v, from, to),
                     .dt = k->rank ? none : typed_rows(m->in[DT].v, from, to),
                     .low = k->rank ? typed_rows(m->in[LOW].v, from, to) : none,
                     .weight = k->rank ? m->in[WEIGHT].v : none,
                     .z = k->gate ? typed_rows(m->in[Z].v, from, to) : none,
                     .b = typed_rows(m->in[B].v, from, to),
                     .c = typed_rows(m->in[C].v, from, to),
                     .a = m->in[A].v,
                     .d = m->in[D].v,
                     .bias = k->bias ? m->in[BIAS].v : none,
                     .state = m->in[H].v,
                     .starts = {m->at, k->starts},
                     .saved = k->saved ? m->saved.v : none,
                     .corrected = corrected};
    size_t scratch = mbk_cu_selective_scan_scratch(&a);
    if (segments > 0 && scratch > 0) {
        scratch = (size_t)(segments * (k->n + 1) * k->cols) * sizeof(float);
    }
    mbk_cu_queue q = direct_queue(scratch);
    CHECK_INT(mbk_cu_selective_scan(&q, &a), 0);
    direct_queue_free(&q);
}

static void keep(const scan_case *k, direct_kept *kept, const char *what, const scan_mats *m) {
    typed_keep(kept, what, Y, &m->y);
    typed_keep(kept, what, STATE, &m->in[H]);
    if (k->saved) {
        typed_keep(kept, what, SAVED, &m->saved);
    }
}

static void beside_ref(const scan_case *k, const scan_data *d, const direct_kept *kept) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat t[IN];
    for (int i = 0; i < IN; i++) {
        t[i] = kit_of(ctx, d->rows[i], d->cols[i], 0, d->of[i]);
    }
    kit_mat y = kit_new(ctx, k->rows, k->cols, 0);
    kit_mat saved = kit_new(ctx, saved_rows(k), k->cols, 0);
    mbk_buf *ids = kit_ids(ctx, k->at, k->starts);
    mbk_scan_args a = {y.m,
                       t[U].m,
                       t[DT].m,
                       t[B].m,
                       t[C].m,
                       k->gate ? t[Z].m : kit_none,
                       t[A].m,
                       t[D].m,
                       k->bias ? t[BIAS].m : kit_none,
                       t[H].m,
                       {ids, 0, k->starts},
                       saved.m};
    CHECK_INT(ctx->ops->selective_scan(ctx, &a), 0);
    char what[128];
    snprintf(what, sizeof what, "%lldx%lld N %lld rank %lld type %d starts %lld", (long long)k->rows,
             (long long)k->cols, (long long)k->n, (long long)k->rank, (int)k->type, (long long)k->starts);
    direct_near(kept, Y, what, kit_get(&y), k->type == MBK_CU_BF16 ? 4e-3 : 3e-6);
    direct_near(kept, STATE, what, kit_get(&t[H]), 3e-6);
    if (k->saved) {
        direct_near(kept, SAVED, what, kit_get(&saved), 3e-6);
    }
    for (int i = 0; i < IN; i++) {
        kit_free(&t[i]);
    }
    kit_free(&y);
    kit_free(&saved);
    ctx->ops->buf_free(ctx, ids);
    kit_close(ctx);
}

static void try(const scan_case *k) {
    scan_data d = data_new(k);
    direct_kept kept = {0};
    EACH_SCHEDULE(i) {
        scan_mats m = mats_new(k, &d);
        call(k, &m, 0, k->rows, 0, NULL);
        keep(k, &kept, direct_schedules[i], &m);
        mats_free(k, &m);
    }
    beside_ref(k, &d, &kept);
    direct_kept_free(&kept);
    data_free(&d);
}

MBS_TEST(cuda_scan, matches_ref) {
    static const scan_case cases[] = {
        {.rows = 1, .cols = 5, .n = 16, .gate = 1, .bias = 1},
        {.rows = 1, .cols = 64, .n = 16, .type = MBK_CU_BF16, .gate = 1, .bias = 1},
        {.rows = 9, .cols = 37, .n = 1, .pad = 3, .saved = 1},
        {.rows = 40, .cols = 130, .n = 4, .pad = 2, .gate = 1, .saved = 1},
        {.rows = 71, .cols = 32, .n = 7, .pad = 8, .type = MBK_CU_BF16, .bias = 1, .saved = 1},
        {.rows = 255, .cols = 20, .n = 8, .gate = 1, .bias = 1, .in_place = 1},
        {.rows = 256, .cols = 20, .n = 16, .pad = 4, .gate = 1, .saved = 1, .slow = -4},
        {.rows = 259, .cols = 12, .n = 16, .gate = 1, .bias = 1, .saved = 1, .in_place = 1, .slow = -7},
        {.rows = 600, .cols = 33, .n = 3, .pad = 1, .bias = 1, .saved = 1, .slow = -5},
        {.rows = 530, .cols = 24, .n = 16, .type = MBK_CU_BF16, .gate = 1, .bias = 1, .saved = 1, .slow = -4},
        {.rows = 300, .cols = 13, .n = 12, .pad = 3, .type = MBK_CU_BF16, .in_place = 1, .slow = -3},
        {.rows = 290, .cols = 9, .n = 17, .gate = 1, .saved = 1, .slow = -4},
        {.rows = 21, .cols = 35, .n = 64, .type = MBK_CU_BF16, .pad = 5, .gate = 1, .bias = 1, .saved = 1},
        {.rows = 10, .cols = 8, .n = 256, .gate = 1, .saved = 1},
        {.rows = 520, .cols = 4, .n = 16, .bias = 1, .slow = 40}, /* A delta up to 600 */
        {.rows = 1, .cols = 5, .n = 16, .rank = 1, .type = MBK_CU_BF16, .bias = 1},
        {.rows = 263, .cols = 40, .n = 16, .rank = 8, .type = MBK_CU_BF16, .gate = 1, .bias = 1, .slow = -7},
        {.rows = 530, .cols = 13, .n = 11, .rank = 3, .type = MBK_CU_BF16, .pad = 3, .gate = 1, .bias = 1, .slow = -6},
        {.rows = 30, .cols = 136, .n = 4, .rank = 48, .type = MBK_CU_BF16, .gate = 1, .in_place = 1},
        {.rows = 21, .cols = 35, .n = 8, .rank = 64, .type = MBK_CU_BF16, .pad = 5, .bias = 1},
        {.rows = 300, .cols = 8, .n = 5, .rank = 20, .type = MBK_CU_BF16, .pad = 8, .gate = 1, .bias = 1, .slow = 3},
    };
    int n = (int)(sizeof cases / sizeof *cases);
    for (int i = 0; i < n; i++) {
        try(&cases[i]);
    }
}

MBS_TEST(cuda_scan, sequences_ride_in_one_call) {
    static const scan_case cases[] = {
        {.rows = 50, .cols = 6, .n = 16, .gate = 1, .saved = 1, .starts = 3, .at = {0, 32, 33}},
        {.rows = 700, .cols = 10, .n = 16, .gate = 1, .saved = 1, .slow = -6, .starts = 4, .at = {7, 255, 256, 511}},
        {.rows = 800, .cols = 8, .n = 4, .bias = 1, .saved = 1, .slow = -6, .starts = 2, .at = {256, 300}},
        {.rows = 530, .cols = 16, .n = 8, .type = MBK_CU_BF16, .saved = 1, .slow = -6, .starts = 2, .at = {100, 512}},
        {.rows = 600,
         .cols = 9,
         .n = 16,
         .type = MBK_CU_BF16,
         .rank = 6,
         .bias = 1,
         .slow = -6,
         .starts = 4,
         .at = {0, 3, 256, 500}},
    };
    int n = (int)(sizeof cases / sizeof *cases);
    for (int i = 0; i < n; i++) {
        try(&cases[i]);
    }
}

/* --- any shape ---------------------------------------------------------------------------------------------------- */
static scan_case draw(int64_t budget) {
    for (;;) {
        scan_case k = {.rows = kit_size(5000),
                       .cols = kit_size(300),
                       .n = kit_size(256),
                       .pad = kit_int(0, 8),
                       .type = kit_int(0, 2) ? MBK_CU_BF16 : MBK_CU_F32,
                       .gate = (int)kit_int(0, 1),
                       .bias = (int)kit_int(0, 1),
                       .in_place = (int)kit_int(0, 1),
                       .slow = kit_float(-9, 2)};
        k.rank = k.type == MBK_CU_BF16 && k.n <= 16 && kit_int(0, 2) ? kit_int(1, MBK_CU_SCAN_RANK) : 0;
        k.saved = !k.rank && kit_int(0, 1);
        k.starts = k.rows > 8 && kit_int(0, 1) ? kit_int(1, 8) : 0;
        for (int64_t i = 0, at = 0; i < k.starts; i++) {
            at = kit_int(at, k.rows - k.starts + i);
            k.at[i] = (int32_t)at++;
        }
        if (k.rows * k.cols * k.n <= budget) {
            return k;
        }
    }
}

/* MBS_CUDA_SHAPES: how many; MBS_CUDA_BUDGET: rows x channels x states of one; MBS_TEST_SEED: which. */
MBS_TEST(cuda_scan, random_shapes) {
    const int64_t budget = direct_budget(30000);
    for (int64_t i = direct_shapes(4); i > 0; i--) {
        scan_case k = draw(budget);
        fprintf(stderr, "  %lldx%lld N %lld rank %lld type %d starts %lld\n", (long long)k.rows, (long long)k.cols,
                (long long)k.n, (long long)k.rank, (int)k.type, (long long)k.starts);
        try(&k);
    }
}

/* One call, calls of whole segments, and one call with scratch for a single segment. */
MBS_TEST(cuda_scan, whole_segments_are_cut_off_anywhere) {
    for (int type = 0; type < 3; type++) {
        const scan_case k = {.rows = 900,
                             .cols = 12,
                             .n = 16,
                             .type = type ? MBK_CU_BF16 : MBK_CU_F32,
                             .rank = type == 2 ? 4 : 0,
                             .gate = 1,
                             .bias = 1,
                             .slow = -5,
                             .pad = type * 4};
        CHECK_INT(simt_schedule("random:7"), 0);
        scan_data d = data_new(&k);
        direct_kept kept = {0};
        for (int64_t step = 4; step >= 0; step--) { /* segments of a call, the first of all rows */
            const int64_t rows = step == 4 ? 1024 : step == 0 ? 1024 : step * MBK_CU_SEGMENT;
            scan_mats m = mats_new(&k, &d);
            for (int64_t from = 0; from < k.rows; from += rows) {
                call(&k, &m, from, from + rows < k.rows ? from + rows : k.rows, step == 0, NULL);
            }
            keep(&k, &kept, step ? "cut" : "scratch for one segment", &m);
            mats_free(&k, &m);
        }
        direct_kept_free(&kept);
        data_free(&d);
    }
}

/* What is looked at before a segment is scanned: all of it where the decay is slow, the last rows where it is fast. */
MBS_TEST(cuda_scan, decay_bounds_what_is_looked_back_at) {
    uint64_t *count = simt_malloc(2 * sizeof *count);
    CHECK_INT(simt_schedule("fifo"), 0);
    for (int fast = 0; fast < 2; fast++) {
        const scan_case k = {.rows = 512, .cols = 7, .n = 4, .slow = fast ? 9 : -12};
        scan_data d = data_new(&k);
        for (int64_t i = 0; fast && i < k.n * k.cols; i++) {
            d.of[A][i] -= 1.0f;
        }
        scan_mats m = mats_new(&k, &d);
        count[0] = count[1] = 0;
        call(&k, &m, 0, k.rows, 0, count);
        CHECK_INT(count[1], 512 * 7);
        CHECK_INT(count[0], fast ? 2 * 8 * 7 : 512 * 7);
        mats_free(&k, &m);
        data_free(&d);
    }
    simt_free(count);
}
