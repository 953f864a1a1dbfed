#include "simt/direct.h"

#include "simt/runtime.h"
#include "support/test.h"

#ifdef MBS_SIMT_RACE /* found by order, not by luck: one schedule will do */
enum { RACE = 1 };
const char *const direct_schedules[] = {"random:1", NULL};
#else
enum { RACE = 0 };
const char *const direct_schedules[] = {"fifo", "lifo", "random:1", "random:2", "random:3", NULL};
#endif

int64_t direct_shapes(int64_t usual) {
    return kit_setting("MBS_CUDA_SHAPES", RACE ? 2 : usual);
}

int64_t direct_budget(int64_t usual) {
    return kit_setting("MBS_CUDA_BUDGET", RACE ? usual / 10 : usual);
}

direct_mat direct_new(int64_t rows, int64_t cols, int64_t pad) {
    int64_t n = rows * (cols + pad) + pad;
    float *p = simt_malloc((size_t)(n > 0 ? n : 1) * sizeof(float));
    CHECK(p != NULL);
    return (direct_mat){{p, rows, cols, cols + pad, MBK_CU_F32}, pad};
}

direct_mat direct_of(int64_t rows, int64_t cols, int64_t pad, const float *dense) {
    direct_mat m = direct_new(rows, cols, pad);
    for (int64_t r = 0; r < rows; r++) {
        memcpy((float *)m.v.p + r * m.v.ld, dense + r * cols, (size_t)cols * sizeof(float));
    }
    return m;
}

int32_t *direct_ids(const int32_t *ids, int64_t n) {
    int32_t *p = simt_malloc((size_t)(n > 0 ? n : 1) * sizeof *p);
    CHECK(p != NULL);
    memcpy(p, ids, (size_t)n * sizeof *p);
    return p;
}

void direct_free(direct_mat *m, int n) {
    for (int i = 0; i < n; i++) {
        if (m[i].v.p) {
            simt_free(m[i].v.p);
        }
    }
}

float *direct_get(const direct_mat *m) {
    int64_t n = m->v.rows * m->v.cols;
    float *dense = malloc((size_t)(n > 0 ? n : 1) * sizeof *dense);
    CHECK(dense != NULL);
    for (int64_t r = 0; r < m->v.rows; r++) {
        const float *row = (const float *)m->v.p + r * m->v.ld;
        memcpy(dense + r * m->v.cols, row, (size_t)m->v.cols * sizeof *dense);
        for (int64_t c = m->v.cols; c < m->v.ld; c++) {
            uint32_t bits;
            memcpy(&bits, row + c, sizeof bits);
            CHECK(bits == SIMT_POISON, "row %lld, %lld columns beyond its end", (long long)r,
                  (long long)(c - m->v.cols));
        }
    }
    return dense;
}

mbk_cu_queue direct_queue(size_t scratch) {
    mbk_cu_queue q = {
        .scratch = scratch > 0 ? simt_malloc(scratch) : NULL, .scratch_bytes = scratch, .multiprocessors = 4};
    CHECK(scratch == 0 || q.scratch != NULL);
    return q;
}

void direct_queue_free(mbk_cu_queue *q) {
    if (q->scratch) {
        simt_free(q->scratch);
    }
}

void direct_keep(direct_kept *k, const char *what, const direct_mat *out, int n) {
    CHECK(n <= DIRECT_OUTS);
    for (int i = 0; i < n; i++) {
        if (!out[i].v.p) {
            continue;
        }
        float *now = direct_get(&out[i]);
        if (k->of[i]) {
            CHECK(kit_same(k->of[i], now, k->n[i]), "%s, output %d: other bits under another schedule", what, i);
            free(now);
        } else {
            k->of[i] = now;
            k->n[i] = out[i].v.rows * out[i].v.cols;
        }
    }
}

void direct_near(const direct_kept *k, int i, const char *what, float *want, double limit) {
    double err = kit_maxrel(k->of[i], want, k->n[i]);
    CHECK(err <= limit, "%s: %g", what, err);
    free(want);
}

void direct_kept_free(direct_kept *k) {
    for (int i = 0; i < DIRECT_OUTS; i++) {
        free(k->of[i]);
        k->of[i] = NULL;
    }
}
