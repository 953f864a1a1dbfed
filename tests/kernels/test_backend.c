/* The test backend: memory that faults outside operations, and the same bits as the plain level through it. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "kit.h"
#include "support/test.h"

/* The signal that ends a child which does `what` to the buffer, 0 where it lives. */
static int signal_of(mbk_buf *buf, int what) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        volatile unsigned char *p = buf->data;
        if (what == 0) {
            (void)p[0];
        } else if (what == 1) {
            p[buf->head.bytes - 1] = 1;
        }
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    /* A sanitizer turns the signal into an exit status of its own. */
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

MBS_TEST(backend, peeking_faults_outside_operations) {
    mbk_ctx *ctx = NULL;
    CHECK_INT(mbk_test_open(MBK_LEVEL_REF, &ctx), 0);
    CHECK_STR(ctx->ops->name, "test");
    kit_mat x = kit_new(ctx, 4, 5, 0);
    float *a = kit_random(20, -1, 1);
    kit_put(&x, a);
    CHECK_INT(ctx->ops->add(ctx, x.m, x.m, x.m), 0);
    CHECK(signal_of(x.m.buf, 0) != 0, "a read went through");
    CHECK(signal_of(x.m.buf, 1) != 0, "a write went through");
    CHECK_INT(signal_of(x.m.buf, 2), 0);
    float *got = kit_get(&x);
    for (int i = 0; i < 20; i++) {
        CHECK(got[i] == 2 * a[i], "the operation itself sees it");
    }
    free(got);
    free(a);
    kit_free(&x);
    mbk_close(ctx);
}

enum { L = 23, C = 37, N = 5, W = 4, V = 19 };

/* Every operation once, from the same numbers; the results in one dense array, to be freed. */
static float *everything(mbk_ctx *ctx, const float *num, int64_t *count) {
    const mbk_ops *ops = ctx->ops;
    static const int32_t ids[L] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 0};
    mbk_buf *idb = kit_ids(ctx, ids, L);
    kit_mat table = kit_of(ctx, V, C, 1, num);
    kit_mat w1 = kit_of(ctx, 1, C, 0, num + 100);
    kit_mat b1 = kit_of(ctx, 1, C, 0, num + 200);
    kit_mat h = kit_new(ctx, L, C, 3);
    kit_mat x = kit_new(ctx, L, C, 0);
    kit_mat y = kit_new(ctx, L, C, 2);
    kit_mat dt = kit_of(ctx, L, C, 0, num + 50);
    kit_mat bc = kit_of(ctx, L, 2 * N, 0, num + 70);
    kit_mat taps = kit_of(ctx, W, C, 0, num + 10);
    kit_mat conv = kit_of(ctx, W, C, 0, num + 20);
    kit_mat a = kit_of(ctx, N, C, 0, num + 30);
    kit_mat ssm = kit_of(ctx, N, C, 0, num + 40);
    kit_mat logits = kit_new(ctx, L, V, 0);
    kit_mat lp = kit_new(ctx, L, 1, 0);
    mbk_weight *head = NULL;
    mbk_buf *acc = NULL;
    CHECK_INT(ops->reserve(ctx, L, C), 0);
    CHECK_INT(ops->prepare(ctx, num, V, C, (mbk_format){MBK_F32, MBK_MATH_F32}, &head), 0);
    CHECK_INT(ops->buf_new(ctx, V * sizeof(double), &acc), 0);
    CHECK_INT(ops->embed(ctx, h.m, head, idb, 0), 0);
    CHECK_INT(ops->rmsnorm(ctx, x.m, h.m, w1.m, 1e-5f), 0);
    CHECK_INT(ops->conv1d_silu(ctx, y.m, x.m, taps.m, b1.m, conv.m, kit_whole), 0);
    mbk_scan_args scan = {
        y.m,   y.m,       dt.m,    kit_cols(&bc, 0, N), kit_cols(&bc, N, 2 * N), x.m, a.m, w1.m, kit_none,
        ssm.m, kit_whole, kit_none};
    CHECK_INT(ops->selective_scan(ctx, &scan), 0);
    CHECK_INT(ops->add(ctx, h.m, h.m, y.m), 0);
    CHECK_INT(ops->layernorm(ctx, h.m, h.m, w1.m, b1.m, 1e-5f), 0);
    CHECK_INT(ops->zero(ctx, logits.m), 0);
    CHECK_INT(ops->gemm(ctx, logits.m, h.m, head, kit_none, 1), 0);
    CHECK_INT(ops->logprob(ctx, lp.m, logits.m, idb, 0), 0);
    CHECK_INT(ops->row_sum(ctx, acc, 0, logits.m), 0);
    CHECK_INT(ops->copy(ctx, dt.m, h.m), 0);
    CHECK_INT(ops->sync(ctx), 0);

    kit_mat *out[] = {&h, &y, &conv, &ssm, &logits, &lp, &dt};
    *count = 2 * V;
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        *count += out[i]->m.rows * out[i]->m.cols;
    }
    float *all = kit_random(*count, 0, 0);
    CHECK_INT(ops->download(ctx, all, acc, 0, V * sizeof(double)), 0);
    int64_t n = 2 * V;
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        float *dense = kit_get(out[i]);
        CHECK(kit_canaries(out[i]));
        memcpy(all + n, dense, (size_t)(out[i]->m.rows * out[i]->m.cols) * sizeof *all);
        n += out[i]->m.rows * out[i]->m.cols;
        free(dense);
    }
    kit_mat *every[] = {&table, &w1, &b1, &h, &x, &y, &dt, &bc, &taps, &conv, &a, &ssm, &logits, &lp};
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        kit_free(every[i]);
    }
    ops->weight_free(ctx, head);
    ops->buf_free(ctx, acc);
    ops->buf_free(ctx, idb);
    return all;
}

MBS_TEST(backend, every_operation_gives_the_bits_of_its_level) {
    float *num = kit_random(2000, -1, 0);
    EACH_LEVEL(level) {
        mbk_ctx *plain = kit_open(level, 1);
        mbk_ctx *test = NULL;
        CHECK_INT(mbk_test_open(level, &test), 0);
        int64_t n = 0;
        float *want = everything(plain, num, &n);
        float *got = everything(test, num, &n);
        CHECK(kit_same(want, got, n), "%s", mbk_level_name(level));
        free(want);
        free(got);
        mbk_close(plain);
        mbk_close(test);
    }
    free(num);
}
