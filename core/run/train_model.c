#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/sha256.h"
#include "model/init.h"
#include "model/new_folder.h"
#include "model/start.h"
#include "pipe/recipe.h"
#include "run/inputs.h"
#include "run/shape_file.h"
#include "run/train_impl.h"

#define TOKENIZER_FILE_LIMIT ((size_t)64 << 20)
#define BLOCK ((size_t)1 << 16)

/* --- what is begun with ------------------------------------------------------------------------------------- */

/* A fresh model's files, for the codec: they are on no disk yet. */
static void lend(training *t) {
    t->files[0] = (mbs_lent_file){(char *)(uintptr_t) "config.json", t->config.data, t->config.len, NULL};
    if (t->flags & MBS_INIT_DNA) {
        const char *vocab = mbs_model_dna_vocab(&t->cfg);
        t->files[1] = (mbs_lent_file){(char *)(uintptr_t) "vocab.txt", (char *)(uintptr_t)vocab, strlen(vocab), NULL};
        t->files[0].next = &t->files[1];
    }
    t->engine.fresh = &t->files[0];
}

/* Who reads both ways sees the token that comes next. */
static mbs_status check_loss(const training *t, const char *where, mbs_err *err) {
    if (t->cfg.layout != MBS_LAYOUT_CADUCEUS || t->job.recipe.loss != MBS_LOSS_CAUSAL) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_CONFIG, where, "a model for masked tokens cannot be trained with the loss causal");
    mbs_err_fix(err, "say loss: masked in train, or classify");
    return MBS_ERR_CONFIG;
}

static mbs_status fresh_config(training *t, mbs_err *err) {
    mbs_shape shape;
    mbs_status st =
        mbs_shape_load(mbs_params_string(t->plan->models[0], "init"), NULL, 0, &shape, &t->report->diags, err);
    if (st == MBS_OK) {
        t->cfg = shape.cfg;
        t->flags = (shape.dna ? MBS_INIT_DNA : 0u) | (t->job.write_dtype == MBS_DT_BF16 ? MBS_INIT_BF16 : 0u);
        st = mbs_model_init_check(&t->cfg, t->flags, err);
        st = st == MBS_OK ? check_loss(t, NULL, err) : st;
    }
    if (st != MBS_OK) {
        mbs_err_where(err, "model.init");
        return st;
    }
    mbs_model_put_config(&t->cfg, t->flags, &t->config);
    if (t->config.failed) {
        return mbs_fail_memory(err, "model.init", t->config.len);
    }
    lend(t);
    return MBS_OK;
}

mbs_status mbs_training_config(training *t, mbs_err *err) {
    t->folder = mbs_plan_folder(t->plan);
    t->fresh = t->folder == NULL;
    if (t->fresh) {
        return fresh_config(t, err);
    }
    mbs_status st = mbs_config_load(t->folder, &t->cfg, err);
    if (st == MBS_OK && t->cfg.n_classes > 0 && !mbs_training_classifies(t)) {
        mbs_fail(err, MBS_ERR_CONFIG, t->folder, "this is a classifier, and the loss is not classify");
        mbs_err_fix(err, "take loss: classify, or a model without classes");
        return MBS_ERR_CONFIG;
    }
    return st == MBS_OK ? check_loss(t, t->folder, err) : st;
}

mbs_status mbs_training_known_classes(training *t, mbs_err *err) {
    const mbs_params *p = t->plan->recipe->part[MBS_RECIPE_TRAIN];
    int64_t n = mbs_params_count(p, "classes");
    if (!mbs_training_classifies(t)) {
        return MBS_OK;
    }
    if (n == 0) {
        /* Language models carry names like LABEL_0 too, and a classifier may have none: then the labels say them. */
        mbs_status st = t->fresh || !t->cfg.classifier ? MBS_OK : mbs_classes_load(t->folder, &t->classes, err);
        if (st == MBS_OK && !t->classes.names) {
            mbs_classes_free(&t->classes);
        }
        return st;
    }
    const char **names = mbs_calloc((size_t)n, sizeof *names);
    if (!names) {
        return mbs_fail_memory(err, "train.classes", (size_t)n * sizeof *names);
    }
    for (int64_t i = 0; i < n; i++) {
        names[i] = mbs_params_item(p, "classes", i);
    }
    mbs_status st = mbs_classes_new(names, n, "train.classes", &t->classes, err);
    mbs_free(names);
    /* The same names in a model folder would be bad data; here they are a mistake of the recipe. */
    return st == MBS_ERR_DATA ? err->status = MBS_ERR_CONFIG : st;
}

mbs_status mbs_training_net(training *t, int64_t classes, mbs_err *err) {
    const mbs_params *model = t->plan->models[0];
    const mbs_train_recipe *r = &t->job.recipe;
    mbs_net_options options = {
        .dtype = mbs_params_string(model, "dtype"),
        .math = mbs_params_string(model, "math"),
        .rows = r->rows,
        .truncate = r->truncate,
        .train = mbs_params_string(model, "train"),
        .classes = classes,
        .pool = strcmp(mbs_params_string(model, "pool"), "last") == 0 ? MBS_NET_LAST : MBS_NET_MEAN,
    };
    mbk_ctx *ctx = t->engine.backend.ctx;
    mbs_status st = t->fresh ? mbs_net_fresh(&t->cfg, r->seed, &options, ctx, &t->net, err)
                             : mbs_net_open(t->folder, r->seed, &options, ctx, &t->net, err);
    t->job.net = t->net;
    return st < 0 ? st : mbs_net_halve(t->net, &t->engine.backend, err);
}

/* --- its files ---------------------------------------------------------------------------------------------- */

typedef struct copying {
    const char *folder;
    mbs_err *err;
    mbs_status st;
} copying;

static void copy_file(void *ctx, const char *path) {
    copying *c = ctx;
    char *data = NULL;
    size_t len = 0;
    char *name = mbs_path_base(path);
    if (c->st == MBS_OK) {
        c->st = name ? mbs_path_read(path, TOKENIZER_FILE_LIMIT, &data, &len, c->err)
                     : mbs_fail_memory(c->err, path, strlen(path));
    }
    if (c->st == MBS_OK) {
        c->st = mbs_new_folder_put(c->folder, name, data, len, c->err);
    }
    mbs_free(data);
    mbs_free(name);
}

/* What stood in front of the model, unless the folder that was begun with has said so and was copied. */
static mbs_status write_front(const training *t, const char *folder, mbs_err *err) {
    char *there = t->fresh ? NULL : mbs_path_join(t->folder, MBS_PREPROCESS_FILE);
    if (!mbs_preprocess_wanted(t->plan, t->rate) || (there && mbs_path_exists(there))) {
        mbs_free(there);
        return MBS_OK;
    }
    mbs_free(there);
    mbs_buf text = MBS_BUF_INIT;
    mbs_preprocess_put(t->plan, t->rate, t->channels, &text);
    mbs_status st = text.failed ? mbs_fail_memory(err, folder, text.len)
                                : mbs_new_folder_put(folder, MBS_PREPROCESS_FILE, text.data, text.len, err);
    mbs_buf_free(&text);
    return st;
}

mbs_status mbs_training_write_rest(void *ctx, const char *folder, mbs_err *err) {
    const training *t = ctx;
    copying c = {folder, err, MBS_OK};
    if (t->fresh) {
        c.st = mbs_model_write_config(folder, &t->cfg, t->flags, err);
        for (const mbs_lent_file *f = t->tokenizer; f && c.st == MBS_OK; f = f->next) {
            c.st = mbs_new_folder_put(folder, f->name, f->data, f->bytes, err);
        }
    } else {
        mbs_status st = mbs_inputs_each_model_file(t->plan, MBS_CONFIG_AND_TOKENIZER, copy_file, &c, err);
        c.st = c.st == MBS_OK ? st : c.st;
    }
    c.st = c.st == MBS_OK ? write_front(t, folder, err) : c.st;
    if (c.st == MBS_OK && t->job.start > 0) {
        c.st = mbs_start_write(folder, t->job.start, &t->starts, err);
    }
    if (c.st == MBS_OK && mbs_training_classifies(t)) {
        const char *pool = mbs_params_string(t->plan->models[0], "pool");
        c.st = mbs_classes_write(folder, &t->classes, strcmp(pool, "last") == 0 ? MBS_POOLING_LAST : MBS_POOLING_MEAN,
                                 err);
    }
    return c.st;
}

/* --- its content -------------------------------------------------------------------------------------------- */

static mbs_status add_file(mbs_sha256 *sha, const char *path, mbs_err *err) {
    FILE *f = fopen(path, "rbe");
    char *block = mbs_alloc(BLOCK);
    mbs_status st = MBS_OK;
    if (!f) {
        st = mbs_fail(err, MBS_ERR_NOINPUT, path, "cannot be opened");
    } else if (!block) {
        st = mbs_fail_memory(err, path, BLOCK);
    }
    for (size_t n = 1; st == MBS_OK && n > 0;) {
        n = fread(block, 1, BLOCK, f);
        mbs_sha256_add(sha, block, n);
        if (n < BLOCK && ferror(f)) {
            st = mbs_fail(err, MBS_ERR_IO, path, "cannot be read");
        }
    }
    if (f) {
        fclose(f);
    }
    mbs_free(block);
    return st;
}

static int is_weights(const struct dirent *e) {
    size_t n = strlen(e->d_name);
    return (n > 12 && strcmp(e->d_name + n - 12, ".safetensors") == 0) ||
           (n > 4 && strcmp(e->d_name + n - 4, ".bin") == 0) || strcmp(e->d_name, "config.json") == 0;
}

mbs_status mbs_training_model_sha256(const training *t, char out[65], mbs_err *err) {
    mbs_sha256 sha;
    mbs_sha256_init(&sha);
    if (t->fresh) {
        mbs_sha256_of(t->config.data, t->config.len, out);
        return MBS_OK;
    }
    struct dirent **list = NULL;
    int n = scandir(t->folder, &list, is_weights, alphasort);
    mbs_status st = n < 0 ? mbs_fail_errno(err, MBS_ERR_IO, errno, t->folder, "cannot be listed") : MBS_OK;
    for (int i = 0; i < n; i++) {
        char *path = mbs_path_join(t->folder, list[i]->d_name);
        if (st == MBS_OK) {
            st = path ? add_file(&sha, path, err) : mbs_fail_memory(err, t->folder, 0);
        }
        mbs_free(path);
        free(list[i]);
    }
    free(list);
    mbs_sha256_hex(&sha, out);
    return st;
}
