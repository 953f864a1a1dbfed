#include "model_kit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "model/safetensors.h"
#include "support/tmp.h"

void mkit_ok(mbs_status st, const mbs_err *err, const char *file, int line) {
    if (st < 0) {
        char text[3000];
        mbs_err_line(err, text, sizeof text);
        fprintf(stderr, "%s:%d: %s (%d)\n", file, line, text, (int)st);
        exit(1);
    }
}

static void *need(void *p) {
    if (!p) {
        fprintf(stderr, "model_kit: out of memory\n");
        exit(1);
    }
    return p;
}

mbk_ctx *mkit_open(mbk_level level, int test_backend) {
    mbk_ctx *ctx = NULL;
    mbk_status st = test_backend ? mbk_test_open(level, &ctx) : mbk_cpu_open(level, NULL, &ctx);
    if (st < 0) {
        fprintf(stderr, "model_kit: level %s does not open\n", mbk_level_name(level));
        exit(1);
    }
    return ctx;
}

mkit mkit_start(const char *folder, mbk_level level, int test_backend, int64_t max_rows) {
    mbs_err err = {0};
    mkit k = {.ctx = mkit_open(level, test_backend)};
    OK(mbs_model_open(folder, k.ctx, &k.m, &err), &err);
    OK(mbs_session_new(k.m, max_rows, &k.s, &err), &err);
    k.vocab = mbs_model_get_config(k.m)->vocab_rows;
    k.d = mbs_model_get_config(k.m)->d_model;
    return k;
}

void mkit_close(mkit *k) {
    mbs_session_free(k->s);
    mbs_model_close(k->m);
    mbk_close(k->ctx);
    memset(k, 0, sizeof *k);
}

/* The output of gzip -dc. */
static FILE *unzip(const char *path, pid_t *pid) {
    int ends[2];
    if (pipe(ends) != 0 || (*pid = fork()) < 0) {
        perror("gzip");
        exit(1);
    }
    if (*pid == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        execlp("gzip", "gzip", "-dc", path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return need(fdopen(ends[0], "r"));
}

int32_t *mkit_bases(const char *path, int64_t most, int64_t *n) {
    char line[4096];
    struct stat info;
    pid_t pid;
    if (stat(path, &info) != 0) {
        return NULL;
    }
    FILE *f = unzip(path, &pid);
    int32_t *ids = need(malloc((size_t)most * sizeof *ids));
    *n = 0;
    while (*n < most && fgets(line, sizeof line, f)) {
        for (const char *p = line[0] == '>' ? "" : line; *p && *n < most; p++) {
            const char *at = strchr("ACGT", *p);
            if (*p > ' ') {
                ids[(*n)++] = at ? (int32_t)(7 + (at - "ACGT")) : 6;
            }
        }
    }
    fclose(f);
    waitpid(pid, NULL, 0);
    return ids;
}

void mkit_golden_folder(const char *folder, int rename) {
    mbs_err err = {0};
    mbs_st *st;
    mbs_st_writer w;
    mbs_st_decl decls[64];
    char names[64][128];
    size_t n = 0;
    size_t from[64];
    char path[512];
    OK(mbs_st_open(MBS_SOURCE_DIR "/tests/data/reference/mamba1_lm.safetensors", &st, &err), &err);
    for (size_t i = 0; i < mbs_st_count(st); i++) {
        const mbs_st_tensor *t = mbs_st_at(st, i);
        if (strncmp(t->name, "backbone.", 9) != 0) {
            continue;
        }
        snprintf(names[n], sizeof names[n], "%.*s", (int)t->name_len, t->name);
        if (rename && strcmp(names[n], "backbone.embedding.weight") == 0) {
            snprintf(names[n], sizeof names[n], "backbone.embeddings.weight");
        }
        decls[n] = (mbs_st_decl){names[n], (mbs_dtype)t->dtype, t->ndim, {0}};
        memcpy(decls[n].dims, mbs_st_dims(st, t), (size_t)t->ndim * sizeof(int64_t));
        from[n++] = i;
    }
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    OK(mbs_st_writer_open(path, decls, n, &w, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const mbs_st_tensor *t = mbs_st_at(st, from[i]);
        OK(mbs_st_writer_add(&w, mbs_st_data(st, t), (size_t)(t->end - t->begin), &err), &err);
    }
    OK(mbs_st_writer_close(&w, &err), &err);
    mbs_st_close(st);
    snprintf(path, sizeof path, "%s/config.json", folder);
    test_tmp_write(
        path, rename ? "{\"model_type\": \"mamba\", \"hidden_size\": 8, \"num_hidden_layers\": 2, \"vocab_size\": 24,"
                       " \"state_size\": 4, \"time_step_rank\": 2, \"use_bias\": true}"
                     : "{\"d_model\": 8, \"n_layer\": 2, \"vocab_size\": 21, \"ssm_cfg\": {\"d_state\": 4,"
                       " \"dt_rank\": 2}, \"rms_norm\": true, \"pad_vocab_size_multiple\": 8}");
}

int32_t *mkit_ids(const int64_t *ids, int64_t n) {
    int32_t *out = need(malloc((size_t)n * sizeof *out));
    for (int64_t i = 0; i < n; i++) {
        out[i] = (int32_t)ids[i];
    }
    return out;
}

int32_t *mkit_random_ids(int64_t n) {
    int32_t *out = need(malloc((size_t)n * sizeof *out));
    for (int64_t i = 0; i < n; i++) {
        out[i] = (int32_t)(6.1 + 4.8 * mbs_rng_uniform(1, 2, (uint64_t)i));
    }
    return out;
}

int mkit_same(const float *a, const float *b, int64_t n) {
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

double mkit_off(const float *a, const float *b, int64_t n) {
    double most = 0;
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return most / largest;
}
