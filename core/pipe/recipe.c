#include "pipe/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "opt/value.h"
#include "pipe/load.h"
#include "pipe/model_params.h"
#include "pipe/schema.h"

static const char nested[] = "split|optimizer|schedule|eval|checkpoint";

/* Keys that only mean something with a loss, each with those. */
static const struct {
    const char *key;
    const char *losses;
} of_loss[] = {
    {"mask_rate", "masked"},
    {"soft_mask", "causal|masked"},
    {"classes", "classify"},
    {"pool", "classify"},
};

static const mbs_param *row_of(mbs_recipe_part part, const char *key) {
    return mbs_param_find(mbs_recipe_tables[part].rows, mbs_recipe_tables[part].n_rows, key);
}

/* A key that stands in the wrong part of the grammar. */
static int refuse_misplaced(mbs_diags *d, const mbs_yaml_node *value, mbs_recipe_part here) {
    const char *key = value->key->text;
    if (row_of(here, key)) {
        return 0;
    }
    for (int i = 0; i < MBS_RECIPE_PARTS; i++) {
        if (row_of((mbs_recipe_part)i, key) && strcmp(key, "path") != 0 && strcmp(key, "dtype") != 0) {
            mbs_diag_error(d, value->key->at, "%s: '%s' belongs to %s", mbs_recipe_tables[here].path, key,
                           mbs_recipe_tables[i].path);
            return 1;
        }
    }
    return 0;
}

/* One for each table, since a schema's function is told nothing else. */
#define REFUSE(NAME, PART)                                                                                             \
    static int NAME(mbs_diags *d, const mbs_yaml_node *value) {                                                        \
        return refuse_misplaced(d, value, PART);                                                                       \
    }
REFUSE(refuse_train, MBS_RECIPE_TRAIN)
REFUSE(refuse_split, MBS_RECIPE_SPLIT)
REFUSE(refuse_optimizer, MBS_RECIPE_OPTIMIZER)
REFUSE(refuse_schedule, MBS_RECIPE_SCHEDULE)
REFUSE(refuse_eval, MBS_RECIPE_EVAL)
REFUSE(refuse_checkpoint, MBS_RECIPE_CHECKPOINT)
REFUSE(refuse_output, MBS_RECIPE_OUTPUT)

static int (*const refuse[MBS_RECIPE_PARTS])(mbs_diags *d, const mbs_yaml_node *value) = {
    refuse_train, refuse_split, refuse_optimizer, refuse_schedule, refuse_eval, refuse_checkpoint, refuse_output};

/* Keys of the model stage of a pipeline that a recipe says elsewhere. */
static int refuse_model(mbs_diags *d, const mbs_yaml_node *value) {
    const char *key = value->key->text;
    if (mbs_param_find(mbs_recipe_model_params, mbs_n_recipe_model_params, key) ||
        !mbs_param_find(mbs_model_params, mbs_n_model_params, key)) {
        return 0;
    }
    mbs_diag_error(d, value->key->at, "model: '%s' belongs to a pipeline%s", key,
                   strcmp(key, "task") == 0    ? ": what is learnt is train.loss"
                   : strcmp(key, "seed") == 0  ? ": the seed of a training is train.seed"
                   : strcmp(key, "chunk") == 0 ? ": what goes through the model at once is train.rows"
                                               : ", and means nothing to training");
    return 1;
}

/* What stands below a node of the tree, an empty mapping where there is nothing; NULL after an error. */
static const mbs_yaml_node *part_node(mbs_load *l, mbs_recipe_part part, const mbs_yaml_node *parent) {
    const mbs_recipe_table *t = &mbs_recipe_tables[part];
    const mbs_yaml_node *n = parent ? mbs_yaml_get(parent, t->key) : NULL;
    if (!n || mbs_yaml_is_null(n)) {
        mbs_yaml_node *empty = mbs_yaml_new(l->arena, MBS_YAML_MAP, n ? n->at : parent ? parent->at : l->root->at);
        l->d.failed |= empty == NULL;
        return empty;
    }
    if (n->kind != MBS_YAML_MAP && !n->bad) {
        mbs_diag_error(&l->d, n->at, "%s: is %s, must be a mapping, as in %s: {%s: ...}", t->path, mbs_schema_kind(n),
                       t->key, t->rows[0].key);
    }
    return n->kind == MBS_YAML_MAP ? n : NULL;
}

static void fill_part(mbs_load *l, mbs_recipe_part part, const mbs_yaml_node *node) {
    const mbs_recipe_table *t = &mbs_recipe_tables[part];
    mbs_recipe *r = l->plan->recipe;
    r->part[part] = mbs_params_new(t->rows, t->n_rows);
    if (!r->part[part]) {
        l->d.failed = 1;
    } else if (node) {
        mbs_schema s = {.label = t->path,
                        .rows = t->rows,
                        .n_rows = t->n_rows,
                        .nested = part == MBS_RECIPE_TRAIN ? nested : NULL,
                        .path_option = part == MBS_RECIPE_OUTPUT ? "-o FOLDER" : NULL,
                        .refuse = refuse[part]};
        mbs_schema_fill(&s, node, r->part[part], l->arena, &l->d);
    }
}

/* --- what belongs together ----------------------------------------------------------------------------------- */

/* Where a key stands, or the mapping that it would stand in. */
static mbs_place place_of(const mbs_yaml_node *map, const char *key) {
    const mbs_yaml_node *n = map ? mbs_yaml_get(map, key) : NULL;
    return n ? n->at : map ? map->at : (mbs_place){-1, 1, 1};
}

static int64_t whole(const mbs_recipe *r, mbs_recipe_part part, const char *key) {
    return mbs_params_int(r->part[part], key);
}

static int told(const mbs_recipe *r, mbs_recipe_part part, const char *key) {
    return mbs_params_told(r->part[part], key);
}

/* The place of item i of a list, or of the single value that stands for one. */
static mbs_place item_place(const mbs_yaml_node *map, const char *key, int i) {
    const mbs_yaml_node *n = mbs_yaml_get(map, key);
    const mbs_yaml_node *item = n && n->kind == MBS_YAML_LIST ? mbs_yaml_item(n, i) : n;
    return item ? item->at : map->at;
}

static void check_windows(mbs_load *l, const mbs_yaml_node *map) {
    mbs_recipe *r = l->plan->recipe;
    const mbs_params *p = r->part[MBS_RECIPE_TRAIN];
    const char *order = mbs_params_string(p, "order");
    const char *start = mbs_params_string(p, "start");
    const char *loss = mbs_params_string(p, "loss");
    int streams = strcmp(order, "stream") == 0;
    if (mbs_words_find("record|class", start) >= 0 && (strcmp(order, "random") == 0 || strcmp(loss, "causal") != 0)) {
        mbs_diag_error(&l->d, place_of(map, "start"),
                       "train: 'start' is %s, which needs order stream or records and loss causal", start);
    }
    if (told(r, MBS_RECIPE_TRAIN, "start_unknown") && mbs_words_find("auto|class", start) < 0) {
        mbs_diag_error(&l->d, place_of(map, "start_unknown"), "train: 'start_unknown' belongs to start: class");
    }
    if (strcmp(order, "records") == 0 && strcmp(loss, "masked") == 0) {
        mbs_diag_error(&l->d, place_of(map, "order"), "train: order records is there with loss causal and classify");
    }
    int64_t batch = mbs_params_int(p, "batch_tokens");
    if (mbs_params_int(p, "rows") % 64 != 0) {
        mbs_diag_error(&l->d, place_of(map, "rows"), "train: 'rows' is %lld, must be a multiple of 64",
                       (long long)mbs_params_int(p, "rows"));
    }
    r->n_windows = (int)mbs_params_count(p, "window");
    for (int i = 0; i < r->n_windows; i++) {
        mbs_buf why = MBS_BUF_INIT;
        const char *text = mbs_params_item(p, "window", i);
        if (mbs_value_size(text, &r->window[i], &why) != 0 ||
            mbs_value_range(text, (double)r->window[i], 2, 1e9, "tokens", &why) != 0) {
            mbs_diag_error(&l->d, item_place(map, "window", i), "train: 'window' %s", mbs_buf_str(&why));
        } else if (batch % r->window[i] != 0) {
            mbs_diag_error(&l->d, place_of(map, told(r, MBS_RECIPE_TRAIN, "batch_tokens") ? "batch_tokens" : "window"),
                           "train: 'batch_tokens' is %lld, must be a whole number of windows of %lld tokens",
                           (long long)batch, (long long)r->window[i]);
        }
        mbs_buf_free(&why);
    }
    if (streams && told(r, MBS_RECIPE_TRAIN, "window") && r->n_windows > 1) {
        mbs_diag_error(&l->d, place_of(map, "window"), "train: with order stream records are whole: give one window");
    }
}

static void check_windows_from(mbs_load *l, const mbs_yaml_node *map) {
    mbs_recipe *r = l->plan->recipe;
    const mbs_params *p = r->part[MBS_RECIPE_TRAIN];
    int n = (int)mbs_params_count(p, "window_from");
    if (n == 0 && r->n_windows > 1) {
        mbs_diag_error(&l->d, place_of(map, "window"),
                       "train: 'window_from' is missing: from which share of the steps on each of the %d windows "
                       "holds, the first from 0",
                       r->n_windows);
    } else if (n > 0 && n != r->n_windows) {
        mbs_diag_error(&l->d, place_of(map, "window_from"),
                       "train: 'window_from' has %d items, and there %s %d window%s", n,
                       r->n_windows == 1 ? "is" : "are", r->n_windows, r->n_windows == 1 ? "" : "s");
    }
    for (int i = 0; i < n && n == r->n_windows; i++) {
        mbs_buf why = MBS_BUF_INIT;
        double *from = &r->window_from[i];
        int bad = mbs_value_float(mbs_params_item(p, "window_from", i), from, &why) != 0;
        if (bad) {
            mbs_diag_error(&l->d, item_place(map, "window_from", i), "train: 'window_from' %s", mbs_buf_str(&why));
        } else if ((i == 0 && *from != 0) || (i > 0 && !(*from > from[-1] && *from < 1))) {
            mbs_diag_error(&l->d, item_place(map, "window_from", i),
                           "train: 'window_from' begins with 0 and rises, below 1");
        }
        mbs_buf_free(&why);
    }
}

static void check_betas(mbs_load *l, const mbs_yaml_node *map) {
    mbs_recipe *r = l->plan->recipe;
    const mbs_params *p = r->part[MBS_RECIPE_OPTIMIZER];
    for (int i = 0; i < 2 && mbs_params_count(p, "betas") == 2; i++) {
        mbs_buf why = MBS_BUF_INIT;
        const char *text = mbs_params_item(p, "betas", i);
        if (mbs_value_float(text, &r->betas[i], &why) != 0 ||
            mbs_value_range(text, r->betas[i], 0, 1 - 1e-12, NULL, &why) != 0) {
            mbs_diag_error(&l->d, item_place(map, "betas", i), "train.optimizer: 'betas' %s", mbs_buf_str(&why));
        }
        mbs_buf_free(&why);
    }
}

/* Keys that need another loss. */
static void check_loss(mbs_load *l, const mbs_yaml_node *train, const mbs_yaml_node *model) {
    const char *loss = mbs_params_string(l->plan->recipe->part[MBS_RECIPE_TRAIN], "loss");
    for (size_t i = 0; i < sizeof of_loss / sizeof of_loss[0]; i++) {
        int of_model = strcmp(of_loss[i].key, "pool") == 0;
        const mbs_yaml_node *n =
            of_model ? (model ? mbs_yaml_get(model, "pool") : NULL) : mbs_yaml_get(train, of_loss[i].key);
        if (n && !mbs_yaml_is_null(n) && mbs_words_find(of_loss[i].losses, loss) < 0) {
            mbs_buf words = MBS_BUF_INIT;
            mbs_words_list(of_loss[i].losses, &words);
            mbs_diag_error(&l->d, n->key->at, "%s: '%s' belongs to loss %s, and the loss is %s",
                           of_model ? "model" : "train", of_loss[i].key, mbs_buf_str(&words), loss);
            mbs_buf_free(&words);
        }
    }
}

static void check_train(mbs_load *l, const mbs_yaml_node *map) {
    const mbs_recipe *r = l->plan->recipe;
    int64_t rows = whole(r, MBS_RECIPE_TRAIN, "rows");
    int64_t truncate = whole(r, MBS_RECIPE_TRAIN, "truncate");
    if (truncate % rows != 0) {
        mbs_diag_error(&l->d, place_of(map, "truncate"), "train: 'truncate' is %lld, must be a multiple of rows, %lld",
                       (long long)truncate, (long long)rows);
    }
}

static void check_split(mbs_load *l, const mbs_yaml_node *map) {
    const mbs_recipe *r = l->plan->recipe;
    if (told(r, MBS_RECIPE_SPLIT, "held_out") && told(r, MBS_RECIPE_SPLIT, "held_out_bed")) {
        mbs_diag_error(
            &l->d, place_of(map, "held_out_bed"),
            "train.split: 'held_out' and 'held_out_bed' are both there: delete one (--set train.split.held_out=null)");
    }
    static const char *const regions[] = {"held_out_bed", "train_bed"};
    const char *loss = mbs_params_string(r->part[MBS_RECIPE_TRAIN], "loss");
    for (size_t i = 0; i < 2 && strcmp(loss, "classify") == 0; i++) {
        if (told(r, MBS_RECIPE_SPLIT, regions[i])) {
            mbs_diag_error(&l->d, place_of(map, regions[i]),
                           "train.split: '%s' holds regions, and with loss classify records are held out whole",
                           regions[i]);
        }
    }
}

/* Who a record is of matters only where whole records are held out. */
static void check_split_by(mbs_load *l, const mbs_yaml_node *map) {
    const mbs_recipe *r = l->plan->recipe;
    const char *loss = mbs_params_string(r->part[MBS_RECIPE_TRAIN], "loss");
    if (told(r, MBS_RECIPE_SPLIT, "by") && strcmp(loss, "classify") != 0) {
        mbs_diag_error(&l->d, place_of(map, "by"), "train.split: 'by' belongs to loss classify, and the loss is %s",
                       loss);
    } else if (told(r, MBS_RECIPE_SPLIT, "by") && !mbs_recipe_holds_out(r)) {
        mbs_diag_error(&l->d, place_of(map, "by"), "train.split: 'by' is told, and nothing is held out");
    }
}

static void check_schedule(mbs_load *l, const mbs_yaml_node *map) {
    const mbs_recipe *r = l->plan->recipe;
    double lr = mbs_params_float(r->part[MBS_RECIPE_OPTIMIZER], "lr");
    double min_lr = mbs_params_float(r->part[MBS_RECIPE_SCHEDULE], "min_lr");
    double warmup = mbs_params_float(r->part[MBS_RECIPE_SCHEDULE], "warmup");
    const char *decay = mbs_params_string(r->part[MBS_RECIPE_SCHEDULE], "decay");
    int64_t steps = whole(r, MBS_RECIPE_TRAIN, "steps");
    if (told(r, MBS_RECIPE_SCHEDULE, "min_lr") && strcmp(decay, "constant") == 0) {
        mbs_diag_error(&l->d, place_of(map, "min_lr"), "train.schedule: with decay constant the rate does not fall");
    } else if (min_lr > lr) {
        mbs_diag_error(&l->d, place_of(map, "min_lr"), "train.schedule: 'min_lr' is %g, and the largest rate is %g",
                       min_lr, lr);
    }
    if (warmup >= 1 && (warmup > (double)steps || warmup != (double)(int64_t)warmup)) {
        mbs_diag_error(&l->d, place_of(map, "warmup"),
                       "train.schedule: 'warmup' is %g: below 1 it is a share of the steps, else a whole number of "
                       "at most %lld",
                       warmup, (long long)steps);
    }
}

static void check_eval(mbs_load *l, const mbs_yaml_node *map) {
    const mbs_recipe *r = l->plan->recipe;
    int none = !mbs_recipe_holds_out(r);
    static const char *const keys[] = {"every", "tokens", "patience"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && none; i++) {
        if (told(r, MBS_RECIPE_EVAL, keys[i]) && whole(r, MBS_RECIPE_EVAL, keys[i]) > 0) {
            mbs_diag_error(&l->d, place_of(map, keys[i]),
                           "train.eval: '%s' is told, and nothing is held out: delete it (--set train.eval=null)",
                           keys[i]);
        }
    }
    if (!none && whole(r, MBS_RECIPE_EVAL, "patience") > 0 && whole(r, MBS_RECIPE_EVAL, "every") == 0) {
        mbs_diag_error(&l->d, place_of(map, "patience"),
                       "train.eval: 'patience' counts evaluations during the training, and 'every' is 0");
    }
    const char *loss = mbs_params_string(r->part[MBS_RECIPE_TRAIN], "loss");
    if (!none && whole(r, MBS_RECIPE_EVAL, "tokens") == 1 && strcmp(loss, "causal") == 0) {
        mbs_diag_error(
            &l->d, place_of(map, "tokens"),
            "train.eval: 'tokens' is 1, which has nothing before it to be told by: take 2 or more, or 0 for all");
    }
}

/* all, head, last_12 */
static int is_train_word(const char *s) {
    if (strcmp(s, "all") == 0 || strcmp(s, "head") == 0) {
        return 1;
    }
    size_t n = strncmp(s, "last_", 5) == 0 ? strspn(s + 5, "0123456789") : 0;
    return n >= 1 && n <= 5 && s[5 + n] == '\0' && strspn(s + 5, "0") < n;
}

static void check_model(mbs_load *l, const mbs_yaml_node *map) {
    const mbs_params *p = l->plan->models[0];
    int init = mbs_params_told(p, "init");
    int path = mbs_params_told(p, "path");
    const char *word = mbs_params_string(p, "train");
    if (init && path) {
        mbs_diag_error(&l->d, place_of(map, "path"),
                       "model: 'init' begins with a fresh model, 'path' with one that is there: delete one, as with "
                       "--set model.init=null");
    } else if (!init && !path && l->d.errors == 0) {
        mbs_diag_error(&l->d, map->at,
                       "model: say what to begin with: init: SHAPE for a fresh model, or path: FOLDER (-m FOLDER)");
    }
    if (!mbs_model_is_device(mbs_params_string(p, "device"))) {
        mbs_diag_error(&l->d, place_of(map, "device"), "model: 'device' is '%s', must be auto, cpu, cuda or cuda:N",
                       mbs_params_string(p, "device"));
    }
    if (!is_train_word(word)) {
        mbs_diag_error(&l->d, place_of(map, "train"), "model: 'train' is '%s', must be all, head or last_K, as last_2",
                       word);
    } else if (init && strcmp(word, "all") != 0) {
        mbs_diag_error(&l->d, place_of(map, "train"),
                       "model: 'train' is for a model that is there (path): of a fresh one all is trained");
    }
}

static void load_model(mbs_load *l, const mbs_yaml_node *node) {
    mbs_plan *p = l->plan;
    p->models[0] = mbs_params_new(mbs_recipe_model_params, mbs_n_recipe_model_params);
    l->d.failed |= p->models[0] == NULL;
    p->n_models = 1;
    if (!p->models[0] || node->bad) {
        return;
    }
    if (node->kind != MBS_YAML_MAP) {
        mbs_diag_error(&l->d, node->at, "model: is %s, must be a mapping, as in model: {init: SHAPE}",
                       mbs_schema_kind(node));
        return;
    }
    mbs_schema s = {
        .label = "model", .rows = mbs_recipe_model_params, .n_rows = mbs_n_recipe_model_params, .refuse = refuse_model};
    mbs_schema_fill(&s, node, p->models[0], l->arena, &l->d);
    check_model(l, node);
}

void mbs_load_recipe(mbs_load *l, const mbs_yaml_node *model) {
    mbs_recipe *r = mbs_calloc(1, sizeof *r);
    const mbs_yaml_node *node[MBS_RECIPE_PARTS] = {NULL};
    l->plan->recipe = r;
    l->d.failed |= r == NULL;
    if (model && r) {
        load_model(l, model);
    }
    for (int i = 0; i < MBS_RECIPE_PARTS && !l->d.failed; i++) {
        int top = i == MBS_RECIPE_TRAIN || i == MBS_RECIPE_OUTPUT;
        node[i] = part_node(l, (mbs_recipe_part)i, top ? l->root : node[MBS_RECIPE_TRAIN]);
        if (!l->d.failed) {
            fill_part(l, (mbs_recipe_part)i, node[i]);
        }
    }
    for (int i = 0; i < MBS_RECIPE_PARTS; i++) {
        if (l->d.failed || !node[i]) {
            return;
        }
    }
    check_windows(l, node[MBS_RECIPE_TRAIN]);
    check_windows_from(l, node[MBS_RECIPE_TRAIN]);
    check_train(l, node[MBS_RECIPE_TRAIN]);
    check_loss(l, node[MBS_RECIPE_TRAIN], model && model->kind == MBS_YAML_MAP ? model : NULL);
    check_split(l, node[MBS_RECIPE_SPLIT]);
    check_split_by(l, node[MBS_RECIPE_SPLIT]);
    check_betas(l, node[MBS_RECIPE_OPTIMIZER]);
    check_schedule(l, node[MBS_RECIPE_SCHEDULE]);
    check_eval(l, node[MBS_RECIPE_EVAL]);
}

void mbs_recipe_free(mbs_recipe *recipe) {
    for (int i = 0; recipe && i < MBS_RECIPE_PARTS; i++) {
        mbs_params_free(recipe->part[i]);
    }
    mbs_free(recipe);
}
