/*
 * loop_kit.h - a whole training run in well under a second: a tiny model, a pattern that it can learn.
 */
#ifndef MBS_TEST_LOOP_KIT_H
#define MBS_TEST_LOOP_KIT_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/stop.h"
#include "core/train/net_kit.h"
#include "core/train/train_kit.h"
#include "model/init.h"
#include "support/child.h"
#include "train/checkpoint.h"

typedef struct lkit {
    nkit net;
    mbs_spool *spool;
    mbs_train_job job;
    mbs_train_result result;
    mbs_err err;
    int written;                  /* calls of write_rest */
    void (*at_write)(int number); /* told of each */
} lkit;

static inline mbs_status lkit_write_rest(void *ctx, const char *folder, mbs_err *err) {
    lkit *k = ctx;
    char path[512];
    k->written++;
    if (k->at_write) {
        k->at_write(k->written);
    }
    snprintf(path, sizeof path, "%s/config.json", folder);
    char *text;
    size_t len;
    mbs_status st = mbs_path_read("shape/config.json", 1 << 20, &text, &len, err);
    st = st < 0 ? st : mbs_path_write_atomic(path, text, len, err);
    free(text);
    return st;
}

/* A, C, G, T and again, on both strands, but for one in ten: 2000 in three records. */
static inline mbs_spool *lkit_tokens(void) {
    mbs_err err = {0};
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 12, &s, &err));
    int32_t last = 0;
    for (int i = 0; i < 2000; i++) {
        if (i == 0 || i == 700 || i == 720) {
            char name[16];
            snprintf(name, sizeof name, "r%d", i);
            FINE(mbs_spool_record_begin(s, name, NULL, 0, &err));
        }
        double u = mbs_rng_uniform(3, 0, (uint64_t)i);
        last = u < 0.1 ? (int32_t)(40 * u) : (last + 1) % 4;
        int32_t id = 7 + last;
        FINE(mbs_spool_add(s, &id, 1, NULL, &err));
    }
    FINE(mbs_spool_finish(s, &err));
    return s;
}

/* In the current folder. `spool` is taken over; NULL: that of lkit_tokens. */
static inline void lkit_start(lkit *k, mbs_spool *spool, int threads, int64_t classes) {
    static const char *const shape[] = {"vocab", "12", NULL};
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(shape);
    mbs_net_options options = {.rows = 64, .classes = classes};
    memset(k, 0, sizeof *k);
    if (!mbs_path_exists("shape")) {
        FINE(mbs_model_init("shape", &cfg, 1, 0, &err));
    }
    k->net = nkit_fresh(&cfg, &options, MBK_LEVEL_AVX2, threads);
    k->spool = spool ? spool : lkit_tokens();
    k->job = tkit_job(k->spool);
    k->job.net = k->net.net;
    k->job.recipe.window[0] = 32;
    k->job.recipe.batch_tokens = 128;
    k->job.recipe.held_out = 0.2;
    k->job.recipe.reverse_complement = 0.5;
    k->job.recipe.lr = 0.02;
    k->job.write_rest = lkit_write_rest;
    k->job.write_rest_ctx = k;
}

static inline mbs_status lkit_train(lkit *k) {
    mbs_err_clear(&k->err);
    return mbs_train(&k->job, &k->result, &k->err);
}

static inline void lkit_stop(lkit *k) {
    mbs_train_result_free(&k->result);
    nkit_close(&k->net);
    mbs_spool_free(k->spool);
}

#define TRAINED(K) CHECK(lkit_train(&(K)) == MBS_OK, "%s: %s; %s", (K).err.where, (K).err.what, (K).err.fix)

/* A run of its own in this process, from fresh weights. */
static inline mbs_status lkit_once(const char *output, int resume, void (*change)(lkit *k), mbs_err *err) {
    lkit k;
    lkit_start(&k, NULL, 1, 0);
    k.job.output = output;
    k.job.resume = resume;
    if (change) {
        change(&k);
    }
    mbs_status st = lkit_train(&k);
    *err = k.err;
    lkit_stop(&k);
    return st;
}

static inline int lkit_same_files(const char *a, const char *b) {
    mbs_err err = {0};
    char *x, *y;
    size_t nx, ny;
    FINE(mbs_path_read(a, 1 << 24, &x, &nx, &err));
    FINE(mbs_path_read(b, 1 << 24, &y, &ny, &err));
    int same = nx == ny && memcmp(x, y, nx) == 0;
    free(x);
    free(y);
    return same;
}

#endif
