/*
 * Products as cuBLAS takes them (column-major), in stream order. The sums run in double over eight interleaved parts,
 * which no kernel of the product does. A product of rows with a weight (A transposed, B not) has the same number of
 * rows (n) whenever it is called: a library may sum otherwise where a call has more rows, and a row's bits must not
 * depend on who rides along. So the first such call says the size of a tile, and another size ends the program.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

struct cublasContext {
    cudaStream_t stream;
    cublasMath_t math;
    cublasPointerMode_t pointers;
    void *workspace;
    size_t workspace_bytes;
};

static int handles;
static int tile_rows;

int fake_handle_count(void) {
    return handles;
}

#define CUBLAS_CALL(FALLBACK)                                                                                          \
    fake_lock();                                                                                                       \
    int fake_asked = fake_enter(__func__, FALLBACK);                                                                   \
    if (fake_asked) {                                                                                                  \
        return leave((cublasStatus_t)fake_asked);                                                                      \
    }
static cublasStatus_t leave(cublasStatus_t st) {
    fake_unlock();
    return st;
}

static struct cublasContext *need_handle(const char *who, cublasHandle_t h) {
    if (!h) {
        fake_abuse("%s: no handle", who);
    }
    return h;
}

cublasStatus_t cublasCreate_v2(cublasHandle_t *out) {
    CUBLAS_CALL(CUBLAS_STATUS_ALLOC_FAILED)
    *out = NULL;
    if (fake_sticky()) {
        return leave(CUBLAS_STATUS_NOT_INITIALIZED);
    }
    *out = fake_calloc(sizeof **out);
    handles++;
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t h) {
    fake_lock();
    int asked = fake_enter(__func__, CUBLAS_STATUS_EXECUTION_FAILED);
    free(need_handle(__func__, h));
    handles--;
    return leave((cublasStatus_t)asked);
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t stream) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    fake_stream(__func__, stream);
    struct cublasContext *c = need_handle(__func__, h);
    c->stream = stream;
    c->workspace = NULL; /* as the real one: back to the default */
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasGetStream_v2(cublasHandle_t h, cudaStream_t *stream) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    *stream = need_handle(__func__, h)->stream;
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t h, void *p, size_t bytes) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    struct cublasContext *c = need_handle(__func__, h);
    if (p) {
        fake_memory_need(__func__, p, bytes, FAKE_DEVICE);
    }
    if ((uintptr_t)p % 256) {
        return leave(CUBLAS_STATUS_INVALID_VALUE);
    }
    c->workspace = p;
    c->workspace_bytes = bytes;
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasSetMathMode(cublasHandle_t h, cublasMath_t math) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    need_handle(__func__, h)->math = math;
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasGetMathMode(cublasHandle_t h, cublasMath_t *math) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    *math = need_handle(__func__, h)->math;
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t h, cublasPointerMode_t mode) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    need_handle(__func__, h)->pointers = mode;
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasSetAtomicsMode(cublasHandle_t h, cublasAtomicsMode_t mode) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    need_handle(__func__, h);
    if (mode == CUBLAS_ATOMICS_ALLOWED) {
        fake_abuse("%s: sums by atomics have no fixed order", __func__);
    }
    return leave(CUBLAS_STATUS_SUCCESS);
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t h, int *version) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    (void)h;
    *version = CUBLAS_VERSION;
    return leave(CUBLAS_STATUS_SUCCESS);
}

const char *cublasGetStatusName(cublasStatus_t st) {
    switch (st) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
        return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
        return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
        return "CUBLAS_STATUS_LICENSE_ERROR";
    default:
        return "CUBLAS_STATUS_UNKNOWN";
    }
}

const char *cublasGetStatusString(cublasStatus_t st) {
    return st == CUBLAS_STATUS_SUCCESS        ? "success"
           : st == CUBLAS_STATUS_ALLOC_FAILED ? "the resource allocation failed"
                                              : "an internal operation failed";
}

/* --- products ----------------------------------------------------------------------------------------------------- */
typedef struct operand {
    const void *p;
    int64_t ld, stride;
    cudaDataType type;
    int turned;         /* element (i, j) of op(X) is X[i ld + j], not X[j ld + i] */
    int64_t rows, cols; /* as stored */
} operand;

typedef struct product {
    operand a, b, c;
    int64_t m, n, k, count;
    float alpha, beta;
    const float *alpha_at, *beta_at; /* in device memory, else NULL */
    int tf32;
    const char *who;
} product;

static size_t type_bytes(cudaDataType t) {
    return t == CUDA_R_32F ? 4 : t == CUDA_R_16BF ? 2 : 0;
}

static float widen(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static uint16_t narrow(float f) {
    uint32_t bits = bits_of(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Ten bits of mantissa, to nearest, ties away. */
static float to_tf32(float f) {
    uint32_t bits = bits_of(f);
    if ((bits & 0x7f800000u) != 0x7f800000u) {
        bits = (bits + 0x1000u) & 0xffffe000u;
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float element(const operand *x, const unsigned char *p, int64_t i) {
    if (x->type == CUDA_R_32F) {
        float f;
        memcpy(&f, p + i * 4, sizeof f);
        return f;
    }
    uint16_t h;
    memcpy(&h, p + i * 2, sizeof h);
    return widen(h);
}

/* The `outer` vectors of length k along which the sums run, one after the other. */
static float *vectors(const operand *x, int64_t batch, int along_ld, int64_t outer, int64_t k, int tf32) {
    const unsigned char *p = (const unsigned char *)x->p + (size_t)(batch * x->stride) * type_bytes(x->type);
    float *out = fake_calloc((size_t)(outer * k) * sizeof *out);
    for (int64_t i = 0; i < outer; i++) {
        for (int64_t l = 0; l < k; l++) {
            float f = element(x, p, along_ld ? l * x->ld + i : i * x->ld + l);
            out[i * k + l] = tf32 ? to_tf32(f) : f;
        }
    }
    return out;
}

/* The same sums with wider registers where the machine has them. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static double
dot(const float *a, const float *b, int64_t k) {
    double part[8] = {0};
    int64_t l = 0;
    for (; l + 8 <= k; l += 8) {
        for (int j = 0; j < 8; j++) {
            part[j] += (double)a[l + j] * (double)b[l + j];
        }
    }
    double rest = 0;
    for (; l < k; l++) {
        rest += (double)a[l] * (double)b[l];
    }
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7])) + rest;
}

static size_t extent(const operand *x, int64_t batches) {
    if (!x->rows || !x->cols || !batches) {
        return 0;
    }
    return (size_t)((batches - 1) * x->stride + (x->cols - 1) * x->ld + x->rows) * type_bytes(x->type);
}

static void need_operands(const product *g) {
    fake_memory_need(g->who, g->c.p, extent(&g->c, g->count), FAKE_DEVICE);
    if (g->k) {
        fake_memory_need(g->who, g->a.p, extent(&g->a, g->count), FAKE_DEVICE);
        fake_memory_need(g->who, g->b.p, extent(&g->b, g->count), FAKE_DEVICE);
    }
}

static void run_product(void *arg) {
    const product *g = arg;
    need_operands(g);
    fake_count_executed();
    float alpha = g->alpha_at ? *g->alpha_at : g->alpha;
    float beta = g->beta_at ? *g->beta_at : g->beta;
    for (int64_t batch = 0; batch < g->count; batch++) {
        float *a = vectors(&g->a, batch, !g->a.turned, g->m, g->k, g->tf32);
        float *b = vectors(&g->b, batch, g->b.turned, g->n, g->k, g->tf32);
        unsigned char *c;
        memcpy(&c, &g->c.p, sizeof c);
        c += (size_t)(batch * g->c.stride) * type_bytes(g->c.type);
        for (int64_t j = 0; j < g->n; j++) {
            for (int64_t i = 0; i < g->m; i++) {
                int64_t at = j * g->c.ld + i;
                double sum = (double)alpha * dot(a + i * g->k, b + j * g->k, g->k);
                if (beta != 0) { /* else C may hold anything */
                    sum += (double)beta * (double)element(&g->c, c, at);
                }
                float f = (float)sum;
                uint16_t h = narrow(f);
                if (g->c.type == CUDA_R_32F) {
                    memcpy(c + at * 4, &f, sizeof f);
                } else {
                    memcpy(c + at * 2, &h, sizeof h);
                }
            }
        }
        free(a);
        free(b);
    }
}

static int overlaps(const operand *x, const operand *y, int64_t count) {
    uintptr_t a = (uintptr_t)x->p;
    uintptr_t b = (uintptr_t)y->p;
    return a < b + extent(y, count) && b < a + extent(x, count);
}

static int64_t least(int64_t rows) {
    return rows > 1 ? rows : 1;
}

/* The rules of the documentation, and those of this backend. */
static cublasStatus_t check(const struct cublasContext *h, const product *g, int batched) {
    const operand *x[] = {&g->a, &g->b, &g->c};
    if (g->m < 0 || g->n < 0 || g->k < 0 || g->count < 0) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    for (int i = 0; i < 3; i++) {
        if (x[i]->ld < least(x[i]->rows) || !type_bytes(x[i]->type)) {
            return CUBLAS_STATUS_INVALID_VALUE;
        }
        if ((uintptr_t)x[i]->p % type_bytes(x[i]->type)) {
            fake_abuse("%s: %p is not aligned to its type", g->who, x[i]->p);
        }
    }
    if (g->a.type != g->b.type || (g->a.type == CUDA_R_32F && g->c.type != CUDA_R_32F)) {
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (!g->m || !g->n || !g->count) {
        return CUBLAS_STATUS_SUCCESS;
    }
    need_operands(g);
    if (overlaps(&g->c, &g->a, g->count) || overlaps(&g->c, &g->b, g->count)) {
        fake_abuse("%s: C overlaps A or B", g->who);
    }
    if (!batched && g->a.turned && !g->b.turned) {
        tile_rows = tile_rows ? tile_rows : (int)g->n;
        if (g->n != tile_rows) {
            fake_abuse("%s: a product of %lld rows, where others had %d: a row's bits would depend on it", g->who,
                       (long long)g->n, tile_rows);
        }
    }
    (void)h;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t issue(struct cublasContext *h, product g, int batched, const void *alpha, const void *beta) {
    if (fake_sticky()) {
        return CUBLAS_STATUS_EXECUTION_FAILED;
    }
    cublasStatus_t st = check(h, &g, batched);
    if (st != CUBLAS_STATUS_SUCCESS || !g.m || !g.n || !g.count) {
        return st;
    }
    if (h->pointers == CUBLAS_POINTER_MODE_DEVICE) {
        fake_memory_need(g.who, alpha, sizeof(float), FAKE_DEVICE);
        fake_memory_need(g.who, beta, sizeof(float), FAKE_DEVICE);
        g.alpha_at = alpha;
        g.beta_at = beta;
    } else {
        memcpy(&g.alpha, alpha, sizeof g.alpha);
        memcpy(&g.beta, beta, sizeof g.beta);
    }
    g.tf32 = g.tf32 || (h->math == CUBLAS_TF32_TENSOR_OP_MATH && g.a.type == CUDA_R_32F);
    product *kept = fake_calloc(sizeof *kept);
    *kept = g;
    fake_issue(fake_stream(g.who, h->stream), run_product, free, kept);
    return CUBLAS_STATUS_SUCCESS;
}

static operand left(cublasOperation_t op, const void *p, cudaDataType type, int64_t ld, int64_t stride, int64_t m,
                    int64_t k) {
    int turned = op != CUBLAS_OP_N;
    return (operand){p, ld, stride, type, turned, turned ? k : m, turned ? m : k};
}

static operand result(const void *p, cudaDataType type, int64_t ld, int64_t stride, int64_t m, int64_t n) {
    return (operand){p, ld, stride, type, 0, m, n};
}

cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                            const void *alpha, const void *a, cudaDataType at, int lda, const void *b, cudaDataType bt,
                            int ldb, const void *beta, void *c, cudaDataType ct, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algo) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    (void)algo;
    product g = {left(ta, a, at, lda, 0, m, k),
                 left(tb, b, bt, ldb, 0, k, n),
                 result(c, ct, ldc, 0, m, n),
                 m,
                 n,
                 k,
                 1,
                 0,
                 0,
                 NULL,
                 NULL,
                 compute == CUBLAS_COMPUTE_32F_FAST_TF32,
                 __func__};
    return leave(issue(need_handle(__func__, h), g, 0, alpha, beta));
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                              const float *alpha, const float *a, int lda, const float *b, int ldb, const float *beta,
                              float *c, int ldc) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    product g = {left(ta, a, CUDA_R_32F, lda, 0, m, k),
                 left(tb, b, CUDA_R_32F, ldb, 0, k, n),
                 result(c, CUDA_R_32F, ldc, 0, m, n),
                 m,
                 n,
                 k,
                 1,
                 0,
                 0,
                 NULL,
                 NULL,
                 0,
                 __func__};
    return leave(issue(need_handle(__func__, h), g, 0, alpha, beta));
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n,
                                          int k, const void *alpha, const void *a, cudaDataType at, int lda,
                                          long long sa, const void *b, cudaDataType bt, int ldb, long long sb,
                                          const void *beta, void *c, cudaDataType ct, int ldc, long long sc, int count,
                                          cublasComputeType_t compute, cublasGemmAlgo_t algo) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    (void)algo;
    product g = {left(ta, a, at, lda, sa, m, k),
                 left(tb, b, bt, ldb, sb, k, n),
                 result(c, ct, ldc, sc, m, n),
                 m,
                 n,
                 k,
                 count,
                 0,
                 0,
                 NULL,
                 NULL,
                 compute == CUBLAS_COMPUTE_32F_FAST_TF32,
                 __func__};
    return leave(issue(need_handle(__func__, h), g, 1, alpha, beta));
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n,
                                         int k, const float *alpha, const float *a, int lda, long long sa,
                                         const float *b, int ldb, long long sb, const float *beta, float *c, int ldc,
                                         long long sc, int count) {
    CUBLAS_CALL(CUBLAS_STATUS_EXECUTION_FAILED)
    product g = {left(ta, a, CUDA_R_32F, lda, sa, m, k),
                 left(tb, b, CUDA_R_32F, ldb, sb, k, n),
                 result(c, CUDA_R_32F, ldc, sc, m, n),
                 m,
                 n,
                 k,
                 count,
                 0,
                 0,
                 NULL,
                 NULL,
                 0,
                 __func__};
    return leave(issue(need_handle(__func__, h), g, 1, alpha, beta));
}
