/* Weights in their own format on the emulator: the bytes of packing, what is read back, and products of few rows, whose
 * bits depend neither on how many rows there are nor on how the same numbers are held. */
#include <math.h>

#include "mbk/mbk.h"
#include "simt/runtime.h"
#include "simt/typed.h"
#include "support/test.h"

static const mbk_cu_queue queue = {.multiprocessors = 4};
static const size_t sizes[] = {4, 2, 1};

/* A packed matrix and what it holds. */
typedef struct packed {
    mbk_cu_matrix m;
    void *data;
    float *scale, *held; /* held: int8 not scaled */
    int32_t bad;
} packed;

static packed pack(const float *w, int64_t n_out, int64_t n_in, int dtype, int turned) {
    packed p = {.data = simt_malloc((size_t)(n_out * n_in) * sizes[dtype]),
                .scale = simt_malloc((size_t)n_out * sizeof(float)),
                .held = calloc((size_t)(n_out * n_in), sizeof(float))};
    direct_mat src = turned ? direct_new(n_in, n_out, 3) : direct_of(n_out, n_in, 2, w);
    for (int64_t i = 0; turned && i < n_out * n_in; i++) {
        ((float *)src.v.p)[i % n_in * src.v.ld + i / n_in] = w[i];
    }
    int32_t zero = 0;
    int32_t *bad = direct_ids(&zero, 1);
    CHECK_INT(mbk_cu_pack(&queue, p.data, dtype == MBK_I8 ? p.scale : NULL, dtype, src.v, turned, bad), 0);
    p.bad = *bad;
    p.m = (mbk_cu_matrix){p.data, dtype == MBK_I8 ? p.scale : NULL, n_out, n_in, dtype};
    for (int64_t i = 0; i < n_out * n_in; i++) {
        uint32_t bits = dtype == MBK_BF16 ? (uint32_t)((uint16_t *)p.data)[i] << 16 : 0;
        memcpy(&p.held[i], dtype == MBK_F32 ? (const void *)((float *)p.data + i) : (const void *)&bits, sizeof bits);
        p.held[i] = dtype == MBK_I8 ? (float)((int8_t *)p.data)[i] : p.held[i];
    }
    simt_free(bad);
    direct_free(&src, 1);
    return p;
}

static void packed_free(packed *p) {
    simt_free(p->data);
    simt_free(p->scale);
    free(p->held);
}

/* What is held is w, w rounded to bf16, or q = w / scale to the nearest with scale = the largest / 127. */
static void held_check(const packed *p, const float *w) {
    for (int64_t i = 0; i < p->m.n_out * p->m.n_in; i++) {
        float want = w[i];
        typed_round(&want, 1, p->m.dtype == MBK_BF16 ? MBK_CU_BF16 : MBK_CU_F32);
        if (p->m.dtype == MBK_I8) {
            int64_t r = i / p->m.n_in;
            float top = 0;
            for (int64_t k = 0; k < p->m.n_in; k++) {
                top = fmaxf(top, fabsf(w[r * p->m.n_in + k]));
            }
            CHECK(p->scale[r] == top / 127.0f, "scale of row %lld: %g", (long long)r, (double)p->scale[r]);
            want = top > 0 ? (float)nearbyint((double)w[i] / (double)p->scale[r]) : 0.0f;
        }
        CHECK(p->held[i] == want, "number %lld: %g for %g", (long long)i, (double)p->held[i], (double)want);
    }
}

MBS_TEST(cuda_weight, packs_as_prepare_does) {
    static const int64_t shapes[][2] = {{1, 1}, {5, 70}, {33, 31}, {64, 32}, {40, 129}};
    EACH_SCHEDULE(s) {
        for (int i = 0; i < 5 * 3 * 2; i++) {
            const int64_t n_out = shapes[i / 6][0], n_in = shapes[i / 6][1];
            float *w = kit_random(n_out * n_in, -2, 2);
            for (int64_t k = 0; n_out > 3 && k < n_in; k++) {
                w[3 * n_in + k] = 0.0f;
            }
            packed p = pack(w, n_out, n_in, i / 2 % 3, i % 2);
            CHECK_INT(p.bad, 0);
            held_check(&p, w);
            packed_free(&p);
            w[n_out * n_in - 1] = i % 2 ? NAN : -INFINITY;
            p = pack(w, n_out, n_in, i / 2 % 3, i % 2);
            CHECK_INT(p.bad, i / 2 % 3 != MBK_F32);
            packed_free(&p);
            free(w);
        }
    }
}

static void read_back_try(int64_t n_out, int64_t n_in, int64_t rows, int dtype, mbk_cu_type type) {
    const int64_t first = n_out - (rows < n_out ? rows : n_out);
    float *w = kit_random(n_out * n_in, -2, 2);
    packed p = pack(w, n_out, n_in, dtype, 0);
    int32_t *ids = calloc((size_t)rows, sizeof *ids);
    for (int r = 0; r < rows; r++) {
        ids[r] = (int32_t)kit_int(0, n_out - 1);
    }
    int32_t *at = direct_ids(ids, rows);
    direct_mat y[2] = {typed_new(rows, n_in, 4, type), typed_new(n_out - first, n_in, 1, type)};
    CHECK_INT(mbk_cu_embed(&queue, y[0].v, &p.m, at), 0);
    CHECK_INT(mbk_cu_unpack(&queue, y[1].v, &p.m, first), 0);
    float *got[2] = {typed_get(&y[0]), typed_get(&y[1])};
    for (int64_t j = 0; j < rows * n_in; j++) {
        const int64_t r = j / n_in;
        float picked = p.held[ids[r] * n_in + j % n_in] * (p.m.scale ? p.scale[ids[r]] : 1.0f);
        typed_round(&picked, 1, type);
        CHECK(got[0][j] == picked, "dtype %d, number %lld", p.m.dtype, (long long)j);
    }
    for (int64_t j = 0; j < (n_out - first) * n_in; j++) {
        float in_turn = p.held[first * n_in + j];
        typed_round(&in_turn, 1, type);
        CHECK(got[1][j] == in_turn, "dtype %d, number %lld in turn", p.m.dtype, (long long)j);
    }
    free(got[0]);
    free(got[1]);
    free(ids);
    direct_free(y, 2);
    simt_free(at);
    packed_free(&p);
    free(w);
}

MBS_TEST(cuda_weight, rows_are_read_back) {
    static const int64_t cols[] = {1, 8, 30, 132};
    CHECK_INT(simt_schedule("random:3"), 0);
    for (int i = 0; i < 4 * 3 * 2; i++) {
        read_back_try(50, cols[i / 6], 37, i / 2 % 3, (mbk_cu_type)(i % 2));
    }
}

/* y of `rows` rows, dense. */
static float *product(const packed *p, const float *x, int64_t rows, int round_x) {
    direct_mat in = direct_of(rows, p->m.n_in, 4, x);
    direct_mat y = direct_new(rows, p->m.n_out, 3);
    CHECK_INT(mbk_cu_gemv(&queue, y.v, in.v, &p->m, round_x), 0);
    float *got = direct_get(&y);
    direct_free(&in, 1);
    direct_free(&y, 1);
    return got;
}

static void product_try(int64_t n_out, int64_t n_in, int round_x) {
    float *w = kit_random(n_out * n_in, -1, 1);
    typed_round(w, n_out * n_in, MBK_CU_BF16);
    float *x = kit_random(8 * n_in, -1, 1);
    float *bf16 = NULL;
    for (int dtype = MBK_I8; dtype >= MBK_F32; dtype--) {
        packed p = pack(w, n_out, n_in, dtype, 0);
        float *all = product(&p, x, 8, round_x);
        for (int64_t i = 0; i < 8 * n_out; i++) {
            double sum = 0.0, size = 0.0;
            for (int64_t k = 0; k < n_in; k++) {
                float in = x[i / n_out * n_in + k];
                typed_round(&in, 1, round_x ? MBK_CU_BF16 : MBK_CU_F32);
                double one = (double)in * (double)p.held[i % n_out * n_in + k];
                sum += one;
                size += fabs(one);
            }
            CHECK(fabs((double)all[i] - sum) <= 1e-6 * size, "dtype %d, %lld: %g for %g", dtype, (long long)i,
                  (double)all[i], sum);
        }
        for (int64_t rows = 1; rows < 8; rows += 2) {
            float *few = product(&p, x, rows, round_x);
            CHECK(kit_same(few, all, rows * n_out), "%lld rows have other bits", (long long)rows);
            free(few);
        }
        CHECK(dtype != MBK_F32 || kit_same(all, bf16, 8 * n_out), "bf16 has other bits than f32");
        free(bf16);
        bf16 = all;
        packed_free(&p);
    }
    free(bf16);
    free(x);
    free(w);
}

MBS_TEST(cuda_weight, few_rows_times_a_matrix) {
    EACH_SCHEDULE(s) {
        product_try(3, 1, 0);
        product_try(9, 40, 1);
        product_try(6, 515, 0);
        product_try(5, 1032, 1);
    }
}

/* MBS_CUDA_SHAPES: how many; MBS_CUDA_BUDGET: rows x columns of one; MBS_TEST_SEED: which. */
MBS_TEST(cuda_weight, random_shapes) {
    const int64_t budget = direct_budget(30000) / 16;
    for (int64_t i = direct_shapes(4); i > 0;) {
        const int64_t n_out = kit_size(5000), n_in = kit_size(300), rows = kit_size(500);
        if (n_out * n_in > budget || rows * n_in > budget) {
            continue;
        }
        fprintf(stderr, "  %lldx%lld, %lld rows\n", (long long)n_out, (long long)n_in, (long long)rows);
        EACH_SCHEDULE(s) {
            for (int j = 0; j < 6; j++) {
                read_back_try(n_out, n_in, rows, j / 2, (mbk_cu_type)(j % 2));
            }
            product_try(n_out, n_in, s % 2);
        }
        i--;
    }
}
