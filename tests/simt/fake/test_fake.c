/* The fake runtime: what it computes, what it refuses, and that it finds what host code forgets. */
#include "simt/fake/fake.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "simt/runtime.h"
#include "support/child.h"
#include "support/test.h"

static void fine(cudaError_t e, const char *what) {
    CHECK(e == cudaSuccess, "%s: %s", what, cudaGetErrorName(e));
}
#define FINE(CALL) fine(CALL, #CALL)

static void start(uint64_t seed) {
    mbk_fake_control.fail(NULL, 0, 0);
    mbk_fake_control.memory((size_t)64 << 20);
    mbk_fake_control.schedule(seed);
    mbk_fake_control.revive();
}

static void nothing_left(void) {
    fake_use u = mbk_fake_control.use();
    CHECK(!u.device_blocks && !u.pinned_blocks && !u.streams && !u.events && !u.graphs && !u.handles && !u.device_bytes,
          "%lld blocks, %lld pinned, %lld streams, %lld events, %lld graphs, %lld handles", (long long)u.device_blocks,
          (long long)u.pinned_blocks, (long long)u.streams, (long long)u.events, (long long)u.graphs,
          (long long)u.handles);
}

/* --- a kernel: y_i = 2 x_i + 1, one block --------------------------------------------------------------------------
 */
typedef struct twice_args {
    float *y;
    const float *x;
    int64_t n;
} twice_args;

static void twice_thunk(const void *function, const unsigned char *args) {
    (void)function;
    const twice_args *a = (const twice_args *)(const void *)args;
    for (int64_t i = simt_thread(); i < a->n; i += 64) {
        a->y[i] = 2 * a->x[i] + 1;
    }
}

static void fake_twice(void) { /* its address names the kernel */
}

static int twice(cudaStream_t s, float *y, const float *x, int64_t n, size_t shared) {
    static const simt_param params[] = {{0, 8, 1}, {8, 8, 1}, {16, 8, 0}};
    static const simt_signature signature = {twice_thunk, params, 3, sizeof(twice_args)};
    simt_call call = {.signature = &signature, .grid = {1, 1, 1}, .block = {64, 1, 1}, .shared_bytes = shared};
    void (*name)(void) = fake_twice;
    memcpy(&call.function, &name, sizeof name);
    call.stream = s;
    twice_args a = {y, x, n};
    memcpy(call.args, &a, sizeof a);
    return simt_launch(&call);
}

/* --- a pipeline of chunks: upload, compute, download, with two buffers ---------------------------------------------
 */
enum { CHUNKS = 6, N = 200 };
enum drop { NOTHING, UPLOAD_WAIT, COMPUTE_WAIT, REUSE_WAIT, LAST_SYNC };

static int pipeline(enum drop drop) {
    cudaStream_t up;
    cudaStream_t go;
    cudaEvent_t there[2];
    cudaEvent_t done[2];
    float *x[2];
    float *y[2];
    float *in[2];
    float *out;
    FINE(cudaStreamCreateWithFlags(&up, cudaStreamNonBlocking));
    FINE(cudaStreamCreateWithFlags(&go, cudaStreamNonBlocking));
    FINE(cudaMallocHost((void **)&out, CHUNKS * N * sizeof(float)));
    for (int i = 0; i < 2; i++) {
        FINE(cudaEventCreateWithFlags(&there[i], cudaEventDisableTiming));
        FINE(cudaEventCreateWithFlags(&done[i], cudaEventDisableTiming));
        FINE(cudaMalloc((void **)&x[i], N * sizeof(float)));
        FINE(cudaMalloc((void **)&y[i], N * sizeof(float)));
        FINE(cudaMallocHost((void **)&in[i], N * sizeof(float)));
    }
    for (int k = 0; k < CHUNKS; k++) {
        int b = k % 2;
        if (k >= 2 && drop != REUSE_WAIT) {
            FINE(cudaEventSynchronize(there[b])); /* the pinned buffer is free again */
        }
        for (int i = 0; i < N; i++) {
            in[b][i] = (float)(k * N + i);
        }
        if (k >= 2 && drop != COMPUTE_WAIT) {
            FINE(cudaStreamWaitEvent(up, done[b], 0));
        }
        FINE(cudaMemcpyAsync(x[b], in[b], N * sizeof(float), cudaMemcpyHostToDevice, up));
        FINE(cudaEventRecord(there[b], up));
        if (drop != UPLOAD_WAIT) {
            FINE(cudaStreamWaitEvent(go, there[b], 0));
        }
        CHECK_INT(twice(go, y[b], x[b], N, 0), 0);
        FINE(cudaEventRecord(done[b], go));
        FINE(cudaMemcpyAsync(out + k * N, y[b], N * sizeof(float), cudaMemcpyDeviceToHost, go));
    }
    if (drop != LAST_SYNC) {
        FINE(cudaStreamSynchronize(go));
    }
    int right = 1;
    for (int i = 0; i < CHUNKS * N; i++) {
        right = right && out[i] == 2.0f * (float)i + 1;
    }
    FINE(cudaDeviceSynchronize());
    for (int i = 0; i < 2; i++) {
        FINE(cudaEventDestroy(there[i]));
        FINE(cudaEventDestroy(done[i]));
        FINE(cudaFree(x[i]));
        FINE(cudaFree(y[i]));
        FINE(cudaFreeHost(in[i]));
    }
    FINE(cudaFreeHost(out));
    FINE(cudaStreamDestroy(up));
    FINE(cudaStreamDestroy(go));
    return right;
}

MBS_TEST(fake, a_wait_that_is_missing_is_seen) {
    for (uint64_t seed = 0; seed <= 10; seed++) {
        start(seed);
        CHECK(pipeline(NOTHING), "seed %llu", (unsigned long long)seed);
        nothing_left();
    }
    for (int drop = UPLOAD_WAIT; drop <= LAST_SYNC; drop++) {
        int seen = 0;
        for (uint64_t seed = 1; seed <= 10; seed++) {
            start(seed);
            seen += !pipeline((enum drop)drop);
        }
        fprintf(stderr, "  wait %d removed: seen by %d of 10 seeds\n", drop, seen);
        CHECK(seen >= 6, "wait %d: %d of 10", drop, seen);
        start(0);
        CHECK(pipeline((enum drop)drop), "an eager device hides it");
    }
}

/* --- memory --------------------------------------------------------------------------------------------------------
 */
MBS_TEST(fake, new_memory_is_nan_and_ends_at_the_limit) {
    start(1);
    float *p = NULL;
    float *q = NULL;
    float back[8];
    FINE(cudaMalloc((void **)&p, sizeof back));
    FINE(cudaMemcpy(back, p, sizeof back, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 8; i++) {
        CHECK(isnan(back[i]));
    }
    mbk_fake_control.memory(1 << 20);
    size_t left = 0;
    size_t total = 0;
    FINE(cudaMemGetInfo(&left, &total));
    CHECK_INT(total, 1 << 20);
    CHECK_INT(cudaMalloc((void **)&q, left + 1), cudaErrorMemoryAllocation);
    CHECK(q == NULL);
    CHECK_INT(cudaGetLastError(), cudaErrorMemoryAllocation);
    CHECK_INT(cudaGetLastError(), cudaSuccess);
    FINE(cudaMalloc((void **)&q, left));
    FINE(cudaFree(q));
    FINE(cudaFree(p));
    nothing_left();
}

static int misuse(void *arg) {
    int what = *(int *)arg;
    float host[16] = {0};
    float *p = NULL;
    float *x = NULL;
    cudaStream_t s;
    cudaMalloc((void **)&p, 40);
    cudaMalloc((void **)&x, 40);
    cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    switch (what) {
    case 0: /* four bytes too many */
        cudaMemcpyAsync(p, host, 44, cudaMemcpyHostToDevice, s);
        break;
    case 1: /* not device memory */
        cudaMemcpyAsync(host, host, 4, cudaMemcpyHostToDevice, s);
        break;
    case 2: /* the other way round */
        cudaMemcpyAsync(p, host, 4, cudaMemcpyDeviceToHost, s);
        break;
    case 3:
        cudaFree(p);
        cudaFree(p);
        break;
    case 4: /* a row too many */
        cudaMemset2DAsync(p, 16, 0, 12, 3, s);
        break;
    case 5: /* gone before its turn comes */
        cudaFree(p);
        cudaMemsetAsync(p, 0, 4, s);
        break;
    case 6: /* a kernel writes over the end */
        twice(s, p, x, 11, 0);
        cudaDeviceSynchronize();
        break;
    case 7:
        twice(s, host, x, 1, 0);
        break;
    default: /* a stream that is gone */
        cudaStreamDestroy(s);
        cudaStreamSynchronize(s);
        break;
    }
    return 0;
}

MBS_TEST(fake, misuse_ends_the_program) {
    start(1);
    for (int what = 0; what <= 8; what++) {
        int got = test_child(misuse, &what);
        CHECK(got != 0, "misuse %d went by", what);
    }
}

/* --- failures ------------------------------------------------------------------------------------------------------
 */
MBS_TEST(fake, the_call_asked_for_fails_once) {
    start(1);
    void *p[3] = {NULL};
    mbk_fake_control.fail("cudaMalloc", 2, 0);
    FINE(cudaMalloc(&p[0], 8));
    CHECK_INT(cudaMalloc(&p[1], 8), cudaErrorMemoryAllocation);
    CHECK(mbk_fake_control.failed());
    FINE(cudaMalloc(&p[2], 8));
    CHECK_INT(mbk_fake_control.calls(), 3);
    mbk_fake_control.fail("any", 1, cudaErrorIllegalAddress);
    CHECK_INT(cudaMemsetAsync(p[0], 0, 8, NULL), cudaErrorIllegalAddress);
    /* The context is ruined: everything says so, and what is freed is free nevertheless. */
    CHECK_INT(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    CHECK_INT(cudaGetLastError(), cudaErrorIllegalAddress);
    CHECK_INT(cudaGetLastError(), cudaErrorIllegalAddress);
    CHECK_INT(cudaFree(p[0]), cudaErrorIllegalAddress);
    CHECK_INT(cudaFree(p[2]), cudaErrorIllegalAddress);
    nothing_left();
    mbk_fake_control.revive();
    FINE(cudaDeviceSynchronize());
}

MBS_TEST(fake, much_shared_memory_is_asked_for_first) {
    start(1);
    float *p = NULL;
    FINE(cudaMalloc((void **)&p, 64));
    void (*name)(void) = fake_twice;
    const void *kernel;
    memcpy(&kernel, &name, sizeof kernel);
    CHECK_INT(twice(NULL, p, p, 16, 49153), cudaErrorInvalidValue);
    CHECK_INT(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 300 << 10),
              cudaErrorInvalidValue);
    FINE(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 49153));
    CHECK_INT(twice(NULL, p, p, 16, 49153), 0);
    FINE(cudaDeviceSynchronize());
    FINE(cudaFree(p));
}

/* --- graphs --------------------------------------------------------------------------------------------------------
 */
MBS_TEST(fake, a_captured_graph_does_its_work_at_each_launch) {
    for (uint64_t seed = 0; seed <= 3; seed++) {
        start(seed);
        cudaStream_t s;
        cudaGraph_t g;
        cudaGraphExec_t x;
        float *p;
        float *pin;
        FINE(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
        FINE(cudaMalloc((void **)&p, 2 * sizeof(float)));
        FINE(cudaMallocHost((void **)&pin, sizeof(float)));
        FINE(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
        FINE(cudaMemcpyAsync(p, pin, sizeof(float), cudaMemcpyHostToDevice, s));
        CHECK_INT(twice(s, p + 1, p, 1, 0), 0);
        FINE(cudaMemcpyAsync(pin, p + 1, sizeof(float), cudaMemcpyDeviceToHost, s));
        FINE(cudaStreamEndCapture(s, &g));
        FINE(cudaGraphInstantiate(&x, g, 0));
        FINE(cudaGraphDestroy(g));
        *pin = 1; /* read at each launch, not when it was captured */
        for (int i = 0; i < 3; i++) {
            FINE(cudaGraphLaunch(x, s));
        }
        FINE(cudaGraphExecDestroy(x)); /* the launches that wait go on */
        FINE(cudaStreamSynchronize(s));
        CHECK(*pin == 15, "%g", (double)*pin);

        void *q = NULL;
        FINE(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
        CHECK_INT(cudaMalloc(&q, 8), cudaErrorStreamCaptureUnsupported);
        CHECK_INT(cudaStreamEndCapture(s, &g), cudaErrorStreamCaptureInvalidated);
        FINE(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
        CHECK_INT(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
        CHECK_INT(cudaStreamEndCapture(s, &g), cudaErrorStreamCaptureInvalidated);
        FINE(cudaFree(p));
        FINE(cudaFreeHost(pin));
        FINE(cudaStreamDestroy(s));
        nothing_left();
    }
}

/* --- products ------------------------------------------------------------------------------------------------------
 */
static float at(const float *p, int turned, int ld, int i, int j) {
    return turned ? p[i * ld + j] : p[j * ld + i];
}

static void check_product(cublasHandle_t h, int ta, int tb, int m, int n, int k, float beta) {
    int lda = (ta ? k : m) + 3;
    int ldb = (tb ? n : k) + 2;
    int ldc = m + 1;
    int na = lda * (ta ? m : k);
    int nb = ldb * (tb ? k : n);
    int nc = ldc * n;
    float *host = malloc((size_t)(na + nb + nc) * sizeof *host);
    float *a = host;
    float *b = a + na;
    float *c = b + nb;
    for (int i = 0; i < na + nb + nc; i++) {
        host[i] = (float)((i * 7919) % 23 - 11);
    }
    float *dev;
    FINE(cudaMalloc((void **)&dev, (size_t)(na + nb + nc) * sizeof *dev));
    FINE(cudaMemcpy(dev, host, (size_t)(na + nb + nc) * sizeof *dev, cudaMemcpyHostToDevice));
    float alpha = 0.5f;
    CHECK_INT(cublasGemmEx(h, ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &alpha, dev,
                           CUDA_R_32F, lda, dev + na, CUDA_R_32F, ldb, &beta, dev + na + nb, CUDA_R_32F, ldc,
                           CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
              CUBLAS_STATUS_SUCCESS);
    float *got = malloc((size_t)nc * sizeof *got);
    FINE(cudaDeviceSynchronize());
    FINE(cudaMemcpy(got, dev + na + nb, (size_t)nc * sizeof *got, cudaMemcpyDeviceToHost));
    for (int j = 0; j < n; j++) {
        for (int i = 0; i <= m; i++) {
            float want = c[j * ldc + i];
            if (i < m) {
                float sum = 0;
                for (int l = 0; l < k; l++) {
                    sum += at(a, ta, lda, i, l) * at(b, tb, ldb, l, j);
                }
                want = alpha * sum + beta * want;
            }
            CHECK(got[j * ldc + i] == want, "%d%d [%d, %d]", ta, tb, i, j);
        }
    }
    FINE(cudaFree(dev));
    free(host);
    free(got);
}

static int bad_product(void *arg) {
    int what = *(int *)arg;
    cublasHandle_t h;
    float *p;
    cublasCreate(&h);
    cudaMalloc((void **)&p, 4096);
    cudaMemset(p, 0, 4096);
    float one = 1;
    int rows = what == 0 ? 5 : 7;
    const float *x = what == 1 ? p + 500 : p;
    float *y = what == 2 ? p + 20 : p + 800;
    cublasSgemm(h, CUBLAS_OP_T, CUBLAS_OP_N, 3, 7, 8, &one, p, 8, p + 100, 8, &one, p + 700, 3);
    cublasSgemm(h, CUBLAS_OP_T, CUBLAS_OP_N, 3, rows, 8, &one, p, 8, what == 1 ? x + 500 : x + 100, 8, &one, y, 3);
    return 0;
}

MBS_TEST(fake, products_and_their_rules) {
    start(2);
    cublasHandle_t h;
    CHECK_INT(cublasCreate(&h), CUBLAS_STATUS_SUCCESS);
    for (int ta = 0; ta < 2; ta++) {
        for (int tb = 0; tb < 2; tb++) {
            check_product(h, ta, tb, 5, 7, 19, 0);
            check_product(h, ta, tb, 8, 7, 3, 2);
        }
    }
    float one = 1;
    CHECK_INT(cublasSgemm(h, CUBLAS_OP_T, CUBLAS_OP_N, 3, 7, 8, &one, NULL, 7, NULL, 8, &one, NULL, 3),
              CUBLAS_STATUS_INVALID_VALUE); /* lda < k */
    CHECK_INT(cublasDestroy(h), CUBLAS_STATUS_SUCCESS);
    nothing_left();
    for (int what = 0; what <= 3; what++) {
        CHECK((test_child(bad_product, &what) != 0) == (what < 3), "bad product %d", what);
    }
}
