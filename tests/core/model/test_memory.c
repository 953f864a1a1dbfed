/* Every allocation fails once: the answer is "out of memory", nothing leaks, nothing half-made stays. */
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/describe.h"
#include "model/init.h"
#include "model/safetensors.h"
#include "model/shape.h"
#include "model_kit.h"
#include "support/child.h"
#include "support/test.h"
#include "support/tmp.h"

/* There under the address sanitizer only. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* The golden model, and the same as one shard with an index. */
static int make_folders(void *arg) {
    (void)arg;
    mbs_err err = {0};
    mbs_st *st;
    mbs_buf b = MBS_BUF_INIT;
    mkit_golden_folder("golden", 0);
    mkit_golden_folder("sharded", 0);
    OK(mbs_st_open("sharded/model.safetensors", &st, &err), &err);
    mbs_buf_puts(&b, "{\"weight_map\": {");
    for (size_t i = 0; i < mbs_st_count(st); i++) {
        const mbs_st_tensor *t = mbs_st_at(st, i);
        mbs_buf_printf(&b, "%s\"%.*s\": \"a.safetensors\"", i ? "," : "", (int)t->name_len, t->name);
    }
    mbs_buf_puts(&b, "}}");
    test_tmp_write("sharded/model.safetensors.index.json", b.data);
    mbs_buf_free(&b);
    mbs_st_close(st);
    return rename("sharded/model.safetensors", "sharded/a.safetensors");
}

static void ignore(void *sink, const char *key, const char *value) {
    (void)sink;
    (void)key;
    (void)value;
}

static mbs_status stream(mbs_model *m, mbs_err *err) {
    mbs_session *s;
    mbs_buf blob = MBS_BUF_INIT;
    float lp[4];
    mbs_run_out out = {.logprob = lp, .layer = -1};
    mbs_status st = mbs_session_new(m, 4, &s, err);
    if (st < 0) {
        return st;
    }
    st = mbs_session_run(s, (const int32_t[]){1, 2, 3, 4}, 4, &out, err);
    st = st < 0 ? st : mbs_session_save(s, &blob, err);
    st = st < 0 ? st : mbs_session_restore(s, blob.data, blob.len, err);
    mbs_buf_free(&blob);
    mbs_session_free(s);
    return st;
}

static mbs_status work(mbk_ctx *ctx, mbs_err *err) {
    mbs_model *m;
    mbs_expect_report r = {0};
    mbs_shape shape;
    mbs_shape_default(&shape);
    shape.cfg.d_model = 8;
    shape.cfg.n_layer = 1;
    shape.dna = 1;
    mbs_status st = mbs_shape_finish(&shape, err);
    st = st < 0 ? st : mbs_model_init("fresh", &shape.cfg, 1, MBS_INIT_DNA, err);
    st = st < 0 ? st : mbs_model_describe("golden", ignore, NULL, err);
    st = st < 0 ? st : mbs_model_open("sharded", ctx, &m, err);
    if (st < 0) {
        return st;
    }
    st = stream(m, err);
    st = st < 0 ? st : mbs_model_expect(m, MBS_SOURCE_DIR "/tests/data/reference/mamba1_lm.safetensors", &r, err);
    mbs_expect_report_free(&r);
    mbs_model_close(m);
    return st;
}

/* 0: there was no such allocation; 10: it did not matter; 71: out of memory, said and cleaned up; else wrong. */
static int attempt(void *arg) {
    mbs_err err = {0};
    mbk_ctx *ctx;
    setenv("MBS_ALLOC_FAIL_AT", arg, 1);
    if (mbk_cpu_open(MBK_LEVEL_REF, NULL, &ctx) < 0) {
        return 1;
    }
    mbs_status st = work(ctx, &err);
    mbk_close(ctx);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check()) {
        return 2;
    }
    if (st < 0 && (err.status != st || !err.what[0])) {
        return 3;
    }
    int made = access("fresh/config.json", F_OK) == 0;
    if (access(".fresh.mbs-part", F_OK) == 0 || (!made && access("fresh", F_OK) == 0)) {
        return 4;
    }
    int reached = mbs_alloc_count() >= strtoull(arg, NULL, 10);
    return st == MBS_ERR_MEMORY ? 71 : st < 0 ? 5 : reached ? 10 : 0;
}

MBS_TEST(memory, every_allocation_may_fail) {
    char dir[256];
    int k = 0;
    int code;
    int harmless = 0;
    test_tmp_enter(dir);
    CHECK_INT(test_child(make_folders, NULL), 0);
    do {
        char text[16];
        snprintf(text, sizeof text, "%d", ++k);
        code = test_child(attempt, text);
        if (access("fresh", F_OK) == 0) {
            CHECK(rename("fresh", text) == 0);
        }
        CHECK(code == 71 || code == 10 || code == 0, "allocation %d: %d", k, code);
        harmless += code == 10;
    } while (code != 0);
    CHECK(k > 100, "only %d allocations were reached", k - 1);
    CHECK(harmless == 0, "%d failures went unnoticed", harmless);
    test_tmp_leave(dir);
}
