#include "run/inputs.h"

#include <string.h>

#include "base/path.h"
#include "base/sha256.h"
#include "model/new_folder.h"
#include "plug/params.h"

#define TOKENIZER_FILE_LIMIT ((size_t)64 << 20)

/* What host->model_file lends to codecs; config.json is part of the model's own hash. */
static const char *const tokenizer_files[] = {MBS_FOLDER_TOKENIZER, "preprocessor_config.json"};
static const char *const model_files[] = {"config.json", "model.safetensors", "model.safetensors.index.json",
                                          "pytorch_model.bin", "pytorch_model.bin.index.json"};

void mbs_inputs_each(const mbs_plan_stage *stage, void (*fn)(void *ctx, const char *path), void *ctx) {
    for (uint32_t i = 0; stage && i < stage->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(stage->desc->params, stage->desc->n_params, i);
        if ((row->flags & MBS_PARAM_F_OUTPUT) || !mbs_params_is_set(stage->params, row->key)) {
            continue;
        }
        if (row->type == MBS_PARAM_PATH && mbs_params_string(stage->params, row->key)) {
            fn(ctx, mbs_params_string(stage->params, row->key));
        }
        for (int64_t k = 0; row->type == MBS_PARAM_PATHS && k < mbs_params_count(stage->params, row->key); k++) {
            fn(ctx, mbs_params_item(stage->params, row->key, k));
        }
    }
}

const char *mbs_plan_folder(const mbs_plan *plan) {
    return plan->models[0] ? mbs_params_string(plan->models[0], "path") : NULL;
}

typedef struct telling {
    mbs_outputs *outputs;
    mbs_err *err;
    mbs_status st;
} telling;

static void tell(void *ctx, const char *path) {
    telling *t = ctx;
    if (t->st == MBS_OK && !mbs_path_is_std(path)) {
        t->st = mbs_outputs_input(t->outputs, path, t->err);
    }
}

/* Calls fn for those of the named files that the model folder has. */
static mbs_status each_model_file(const char *folder, const char *const *names, size_t n,
                                  void (*fn)(void *ctx, const char *path), void *ctx, mbs_err *err) {
    for (size_t i = 0; folder && i < n; i++) {
        char *path = mbs_path_join(folder, names[i]);
        if (!path) {
            return mbs_fail_memory(err, "run", strlen(names[i]));
        }
        if (mbs_path_exists(path)) {
            fn(ctx, path);
        }
        mbs_free(path);
    }
    return MBS_OK;
}

mbs_status mbs_inputs_each_model_file(const mbs_plan *plan, mbs_model_files which,
                                      void (*fn)(void *ctx, const char *path), void *ctx, mbs_err *err) {
    const char *folder = mbs_plan_folder(plan);
    if (which == MBS_MODEL_WEIGHTS) {
        return each_model_file(folder, model_files, sizeof model_files / sizeof *model_files, fn, ctx, err);
    }
    mbs_status st = each_model_file(folder, model_files, 1, fn, ctx, err); /* config.json */
    return st != MBS_OK ? st
                        : each_model_file(folder, tokenizer_files, sizeof tokenizer_files / sizeof *tokenizer_files, fn,
                                          ctx, err);
}

mbs_status mbs_inputs_tell(mbs_stages *s, mbs_err *err) {
    telling t = {s->outputs, err, MBS_OK};
    mbs_inputs_each(s->plan->reader, tell, &t);
    mbs_inputs_each(s->plan->codec, tell, &t);
    char *file = mbs_path_resolve(s->plan->file);
    if (!file) {
        return mbs_fail_memory(err, "run", strlen(s->plan->file));
    }
    tell(&t, file);
    mbs_free(file);
    if (s->plan->task == MBS_TASK_GENERATE && mbs_params_string(s->plan->models[0], "state")) {
        tell(&t, mbs_params_string(s->plan->models[0], "state"));
    }
    mbs_status st = MBS_OK;
    for (int i = 0; i < s->n_models && st == MBS_OK; i++) {
        const char *folder = s->models[i].lender.folder;
        st = each_model_file(folder, model_files, sizeof model_files / sizeof *model_files, tell, &t, err);
        st = st == MBS_OK ? each_model_file(folder, tokenizer_files, sizeof tokenizer_files / sizeof *tokenizer_files,
                                            tell, &t, err)
                          : st;
    }
    return st == MBS_OK ? t.st : st;
}

typedef struct hashing {
    mbs_sha256 sha;
    int n;
    mbs_err *err;
    mbs_status st;
} hashing;

static void hash_file(void *ctx, const char *path) {
    hashing *h = ctx;
    char *data = NULL;
    size_t bytes = 0;
    if (h->st != MBS_OK || mbs_path_is_std(path) || !mbs_path_exists(path) || mbs_path_is_dir(path)) {
        return; /* a word in a path's place, or something whose absence the codec explains better */
    }
    h->st = mbs_path_read(path, TOKENIZER_FILE_LIMIT, &data, &bytes, h->err);
    if (h->st == MBS_OK) {
        mbs_sha256_add(&h->sha, &bytes, sizeof bytes);
        mbs_sha256_add(&h->sha, data, bytes);
        mbs_free(data);
        h->n++;
    }
}

mbs_status mbs_inputs_tokenizer_sha256(const mbs_stages *s, char out[65], mbs_err *err) {
    hashing h = {.n = 0, .err = err, .st = MBS_OK};
    mbs_sha256_init(&h.sha);
    mbs_status st = each_model_file(mbs_plan_folder(s->plan), tokenizer_files,
                                    sizeof tokenizer_files / sizeof *tokenizer_files, hash_file, &h, err);
    mbs_inputs_each(s->plan->codec, hash_file, &h);
    out[0] = 0;
    if (h.n > 0) {
        mbs_sha256_hex(&h.sha, out);
    }
    return st == MBS_OK ? h.st : st;
}
