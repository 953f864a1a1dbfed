/* The causal convolution on the emulator: beside the reference, in f32 and bf16, aligned and not, for one sequence and
 * many; the same bits under every schedule and wherever rows are cut, and a state that is the last inputs. */
#include "simt/runtime.h"
#include "simt/typed.h"
#include "support/test.h"

typedef struct conv_case {
    int64_t rows, cols, width, pad;
    mbk_cu_type type;
    int bias;
    int64_t starts;
    int32_t at[8];
} conv_case;

enum { X, W, BIAS, STATE, IN };

typedef struct conv_data {
    float *of[IN];
} conv_data;

static conv_data data_new(const conv_case *k) {
    conv_data d = {{kit_random(k->rows * k->cols, -2, 2), kit_random(k->width * k->cols, -1, 1),
                    kit_random(k->cols, -1, 1), kit_random(k->width * k->cols, -2, 2)}};
    typed_round(d.of[X], k->rows * k->cols, k->type);
    return d;
}

static void data_free(conv_data *d) {
    for (int i = 0; i < IN; i++) {
        free(d->of[i]);
    }
}

/* All rows, `step` at a time, on a device of so many multiprocessors: a thread takes few rows or many. */
static void run(const conv_case *k, const conv_data *d, int64_t step, int size, direct_kept *kept, const char *what) {
    const mbk_cu_view none = {0};
    direct_mat x = typed_of(k->rows, k->cols, k->pad, k->type, d->of[X]);
    direct_mat y = typed_new(k->rows, k->cols, k->pad, k->type);
    direct_mat m[3] = {direct_of(k->width, k->cols, k->pad, d->of[W]), direct_of(1, k->cols, 0, d->of[BIAS]),
                       direct_of(k->width, k->cols, k->pad, d->of[STATE])};
    int32_t *at = direct_ids(k->at, k->starts);
    for (int64_t from = 0; from < k->rows; from += step) {
        int64_t to = from + step < k->rows ? from + step : k->rows;
        mbk_cu_conv a = {typed_rows(y.v, from, to),
                         typed_rows(x.v, from, to),
                         m[0].v,
                         k->bias ? m[1].v : none,
                         m[2].v,
                         {at, k->starts}};
        mbk_cu_queue q = direct_queue(mbk_cu_conv1d_silu_scratch(&a));
        q.multiprocessors = size;
        CHECK_INT(mbk_cu_conv1d_silu(&q, &a), 0);
        direct_queue_free(&q);
    }
    typed_keep(kept, what, 0, &y);
    typed_keep(kept, what, 1, &m[2]);
    direct_free(&x, 1);
    direct_free(&y, 1);
    direct_free(m, 3);
    simt_free(at);
}

static void beside_ref(const conv_case *k, const conv_data *d, const direct_kept *kept) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat x = kit_of(ctx, k->rows, k->cols, 0, d->of[X]);
    kit_mat w = kit_of(ctx, k->width, k->cols, 0, d->of[W]);
    kit_mat bias = kit_of(ctx, 1, k->cols, 0, d->of[BIAS]);
    kit_mat state = kit_of(ctx, k->width, k->cols, 0, d->of[STATE]);
    kit_mat y = kit_new(ctx, k->rows, k->cols, 0);
    mbk_buf *ids = kit_ids(ctx, k->at, k->starts);
    mbk_starts starts = {ids, 0, k->starts};
    CHECK_INT(ctx->ops->conv1d_silu(ctx, y.m, x.m, w.m, k->bias ? bias.m : kit_none, state.m, starts), 0);
    char what[96];
    snprintf(what, sizeof what, "%lldx%lld W %lld type %d", (long long)k->rows, (long long)k->cols, (long long)k->width,
             (int)k->type);
    direct_near(kept, 0, what, kit_get(&y), k->type == MBK_CU_BF16 ? 4e-3 : 2e-6);
    direct_near(kept, 1, what, kit_get(&state), 0);
    kit_mat *all[] = {&x, &w, &bias, &state, &y};
    for (int i = 0; i < 5; i++) {
        kit_free(all[i]);
    }
    ctx->ops->buf_free(ctx, ids);
    kit_close(ctx);
}

static void try(const conv_case *k) {
    static const int64_t cuts[] = {1, 3, 64, 129};
    conv_data d = data_new(k);
    direct_kept kept = {0};
    EACH_SCHEDULE(i) {
        run(k, &d, k->rows, i % 2 * 4, &kept, direct_schedules[i]);
    }
    beside_ref(k, &d, &kept);
    for (int i = 0; k->starts == 0 && i < 4; i++) {
        if (cuts[i] < k->rows && k->rows / cuts[i] < 80) {
            run(k, &d, cuts[i], i % 2 * 4, &kept, "cut");
        }
    }
    direct_kept_free(&kept);
    data_free(&d);
}

MBS_TEST(cuda_conv, matches_ref_and_is_cut_anywhere) {
    static const conv_case cases[] = {
        {.rows = 1, .cols = 7, .width = 4, .bias = 1},
        {.rows = 70, .cols = 33, .width = 4, .bias = 1},
        {.rows = 300, .cols = 132, .width = 4, .pad = 4},
        {.rows = 65, .cols = 10, .width = 4, .type = MBK_CU_BF16, .bias = 1},
        {.rows = 200, .cols = 72, .width = 4, .pad = 8, .type = MBK_CU_BF16, .bias = 1},
        {.rows = 67, .cols = 40, .width = 1, .bias = 1},
        {.rows = 130, .cols = 6, .width = 2, .type = MBK_CU_BF16},
        {.rows = 5, .cols = 3, .width = 16, .pad = 1},
        {.rows = 150, .cols = 9, .width = 16, .bias = 1},
    };
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        try(&cases[i]);
    }
}

MBS_TEST(cuda_conv, sequences_ride_in_one_call) {
    static const conv_case cases[] = {
        {.rows = 40, .cols = 8, .width = 4, .bias = 1, .starts = 3, .at = {0, 3, 38}},
        {.rows = 200, .cols = 20, .width = 4, .pad = 3, .bias = 1, .starts = 4, .at = {63, 64, 66, 198}},
        {.rows = 200, .cols = 16, .width = 4, .type = MBK_CU_BF16, .starts = 2, .at = {62, 130}},
        {.rows = 90, .cols = 5, .width = 7, .bias = 1, .starts = 3, .at = {61, 70, 86}},
    };
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        try(&cases[i]);
    }
}

/* MBS_CUDA_SHAPES: how many; MBS_CUDA_BUDGET: rows x channels of one; MBS_TEST_SEED: which. */
MBS_TEST(cuda_conv, random_shapes) {
    const int64_t budget = direct_budget(30000) / 2;
    for (int64_t i = direct_shapes(8); i > 0;) {
        conv_case k = {.rows = kit_size(5000),
                       .cols = kit_size(300),
                       .width = kit_int(0, 2) ? 4 : kit_int(1, 16),
                       .pad = kit_int(0, 8),
                       .type = kit_int(0, 2) ? MBK_CU_BF16 : MBK_CU_F32,
                       .bias = (int)kit_int(0, 1)};
        k.starts = k.rows > 8 && kit_int(0, 1) ? kit_int(1, 8) : 0;
        for (int64_t j = 0, at = 0; j < k.starts; j++) {
            at = kit_int(at, k.rows - k.starts + j);
            k.at[j] = (int32_t)at++;
        }
        if (k.rows * k.cols <= budget) {
            fprintf(stderr, "  %lldx%lld W %lld type %d starts %lld\n", (long long)k.rows, (long long)k.cols,
                    (long long)k.width, (int)k.type, (long long)k.starts);
            try(&k);
            i--;
        }
    }
}
