#include "simt/typed.h"

#include "simt/runtime.h"
#include "support/test.h"

static uint16_t rounded(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static float widened(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void typed_round(float *v, int64_t n, mbk_cu_type type) {
    for (int64_t i = 0; type == MBK_CU_BF16 && i < n; i++) {
        v[i] = widened(rounded(v[i]));
    }
}

direct_mat typed_new(int64_t rows, int64_t cols, int64_t pad, mbk_cu_type type) {
    if (type == MBK_CU_F32) {
        return direct_new(rows, cols, pad);
    }
    int64_t n = rows * (cols + pad) + pad;
    uint16_t *p = simt_malloc((size_t)(n > 0 ? n : 1) * sizeof *p);
    CHECK(p != NULL);
    return (direct_mat){{p, rows, cols, cols + pad, type}, pad};
}

direct_mat typed_of(int64_t rows, int64_t cols, int64_t pad, mbk_cu_type type, const float *dense) {
    if (type == MBK_CU_F32) {
        return direct_of(rows, cols, pad, dense);
    }
    direct_mat m = typed_new(rows, cols, pad, type);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            ((uint16_t *)m.v.p)[r * m.v.ld + c] = rounded(dense[r * cols + c]);
        }
    }
    return m;
}

float *typed_get(const direct_mat *m) {
    if (m->v.type == MBK_CU_F32) {
        return direct_get(m);
    }
    int64_t n = m->v.rows * m->v.cols;
    float *dense = malloc((size_t)(n > 0 ? n : 1) * sizeof *dense);
    CHECK(dense != NULL);
    const uint16_t *p = m->v.p;
    for (int64_t i = 0; i < m->v.rows * m->v.ld; i++) {
        int64_t r = i / m->v.ld;
        int64_t c = i % m->v.ld;
        if (c < m->v.cols) {
            dense[r * m->v.cols + c] = widened(p[i]);
        } else {
            CHECK(p[i] == (uint16_t)(SIMT_POISON >> (i % 2 * 16)), "row %lld, %lld columns beyond its end",
                  (long long)r, (long long)(c - m->v.cols));
        }
    }
    return dense;
}

mbk_cu_view typed_rows(mbk_cu_view v, int64_t from, int64_t to) {
    if (v.p) {
        v.p = (char *)v.p + from * v.ld * (v.type == MBK_CU_BF16 ? 2 : 4);
        v.rows = to - from;
    }
    return v;
}

void typed_keep(direct_kept *k, const char *what, int i, const direct_mat *out) {
    float *now = typed_get(out);
    if (k->of[i]) {
        CHECK(kit_same(k->of[i], now, k->n[i]), "%s, output %d: other bits", what, i);
        free(now);
    } else {
        k->of[i] = now;
        k->n[i] = out->v.rows * out->v.cols;
    }
}
