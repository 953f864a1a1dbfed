#include "pipe/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "opt/nearest.h"
#include "opt/value.h"
#include "pipe/load.h"
#include "pipe/preprocess.h"
#include "pipe/recipe.h"
#include "pipe/schema.h"
#include "plug/params.h"

static const char pipeline_keys[] = "mambaseq|reader|codec|tokenizer|model|writer|plugins";
static const char recipe_keys[] = "mambaseq|reader|codec|tokenizer|model|train|output|plugins";

static void say_unknown(mbs_load *l, const mbs_yaml_node *n, int recipe) {
    const char *key = n->key->text;
    if (strcmp(key, "filters") == 0) {
        mbs_diag_error(&l->d, n->key->at, "'filters' is reserved and not available in this version");
    } else if (recipe && strcmp(key, "writer") == 0) {
        mbs_diag_error(&l->d, n->key->at, "'writer' has no place in a recipe: the model goes to 'output'");
    } else {
        mbs_nearest near;
        mbs_nearest_init(&near, key);
        mbs_nearest_offer_words(&near, recipe ? recipe_keys : pipeline_keys);
        mbs_diag_error(&l->d, n->key->at, "'%s' is not a part of a %s, %s%s%s", key, recipe ? "recipe" : "pipeline",
                       near.at  ? "did you mean '"
                       : recipe ? "there is reader, codec, model, train, output, plugins"
                                : "there is reader, codec, model, writer, plugins",
                       near.at ? near.best : "", near.at ? "'?" : "");
    }
}

/* Whether it is a recipe; -1 after an error: of the kind that is not wanted. */
static int check_kind(mbs_load *l, mbs_plan_kind kind) {
    const mbs_yaml_node *train = mbs_yaml_get(l->root, "train");
    const mbs_yaml_node *n = train ? train : mbs_yaml_get(l->root, "output");
    if (n && kind == MBS_PLAN_PIPELINE) {
        mbs_diag_error(&l->d, n->key->at, "'%s' makes this a recipe for training: use 'mambaseq train %s'",
                       n->key->text, l->d.file);
        return -1;
    }
    if (!n && kind == MBS_PLAN_RECIPE) {
        mbs_diag_error(&l->d, l->root->at, "no 'train' and no 'output': %s 'mambaseq run %s'",
                       mbs_yaml_get(l->root, "writer") ? "this is a pipeline, use"
                                                       : "this is no recipe; a pipeline is for",
                       l->d.file);
        return -1;
    }
    return n != NULL;
}

static void check_version(mbs_load *l) {
    const mbs_yaml_node *n = mbs_yaml_get(l->root, "mambaseq");
    if (!n || mbs_yaml_is_null(n)) {
        mbs_diag_error(&l->d, n ? n->at : l->root->at, "'mambaseq: 1' is missing: it says which grammar this is");
    } else if (n->kind != MBS_YAML_SCALAR || (strcmp(n->text, "1") != 0 && !n->bad)) {
        mbs_diag_error(&l->d, n->at, "'mambaseq' is %s%s%s, this version reads 1",
                       n->kind == MBS_YAML_SCALAR ? "'" : mbs_schema_kind(n), n->text,
                       n->kind == MBS_YAML_SCALAR ? "'" : "");
    }
}

/* A folder of the file is beside it, one of the command line below the current folder. */
static char *folder_path(mbs_load *l, const mbs_yaml_node *n) {
    if (n->at.set >= 0 || strncmp(n->text, "share:", 6) == 0 || mbs_path_is_std(l->plan->file)) {
        return mbs_path_resolve(n->text);
    }
    char *file = mbs_path_resolve(l->plan->file);
    char *dir = file ? mbs_path_dir(file) : NULL;
    char *path = dir ? mbs_path_join(dir, n->text) : NULL;
    mbs_free(dir);
    mbs_free(file);
    return path;
}

static void add_folder(mbs_load *l, const mbs_yaml_node *n) {
    if (n->kind != MBS_YAML_SCALAR || mbs_yaml_is_null(n) || n->text[0] == '\0') {
        mbs_diag_error(&l->d, n->at, "'plugins' holds %s, must be folders", mbs_schema_kind(n));
        return;
    }
    mbs_err err;
    mbs_err_clear(&err);
    char *path = folder_path(l, n);
    mbs_status status = path ? mbs_registry_add_dir(l->registry, path, &err) : MBS_ERR_MEMORY;
    mbs_free(path);
    if (status == MBS_ERR_MEMORY) {
        l->d.failed = 1;
    } else if (status != MBS_OK) {
        char line[2048];
        mbs_err_line(&err, line, sizeof line);
        mbs_diag_status(&l->d, n->at, status, "'plugins': %s", line);
    }
}

/* Each goes in front of those added before, so the last comes first. */
static void add_folders(mbs_load *l, const mbs_yaml_node *n) {
    if (!n || n->bad || mbs_yaml_is_null(n)) {
        return;
    }
    if (n->kind != MBS_YAML_LIST) {
        add_folder(l, n);
        return;
    }
    for (int i = n->n - 1; i >= 0; i--) {
        add_folder(l, mbs_yaml_item(n, i));
    }
}

/* The node under `key`, NULL where it is not there or nothing. */
static mbs_yaml_node *told(const mbs_load *l, const char *key) {
    mbs_yaml_node *n = mbs_yaml_get(l->root, key);
    return n && !mbs_yaml_is_null(n) ? n : NULL;
}

static mbs_plan_stage *new_stages(mbs_load *l, int n) {
    mbs_plan_stage *s = mbs_calloc((size_t)n, sizeof *s);
    l->d.failed |= s == NULL;
    return s;
}

/* The codec as the pipeline names it, or as the model folder does, or the only one there is. */
static void name_codec(mbs_load *l, const mbs_yaml_node *model, const mbs_preprocess *pre) {
    mbs_plan *p = l->plan;
    const mbs_yaml_node *codec = told(l, "codec");
    const mbs_yaml_node *tokenizer = told(l, "tokenizer");
    if (codec && tokenizer) {
        mbs_diag_error(&l->d, tokenizer->key->at,
                       "'tokenizer' is another name of 'codec', and both are there: delete one");
    }
    const mbs_yaml_node *n = codec ? codec : tokenizer;
    if (!n && (!model || !p->models[0] || l->d.failed)) {
        return;
    }
    /* Without a reader only generation goes on; a reader that is not known says nothing about the codec. */
    int decodes = p->task != MBS_TASK_NONE && !mbs_task_facts_of(p->task)->gives;
    const char *type = p->task == MBS_TASK_DECOMPRESS ? "verbatim/u8"
                       : p->reader && p->reader->desc ? p->reader->desc->produces
                                                      : NULL;
    if (!n && ((p->reader && !type) || (!p->reader && !decodes))) {
        return;
    }
    if (!n && type && (!decodes || p->task == MBS_TASK_IMPUTE) && mbs_load_feeds_model(type)) {
        return; /* what a model takes; the ids are checked against its vocabulary */
    }
    const size_t errors = l->d.errors;
    const mbs_descriptor *found = n ? NULL : mbs_preprocess_codec(l, pre, type, model);
    found = n || found || l->d.errors > errors ? found : mbs_load_find_codec(l, type, decodes, model);
    if (!n && !found) {
        return;
    }
    p->codec = new_stages(l, 1);
    if (p->codec && n) {
        mbs_load_stage(l, MBS_KIND_CODEC, n->key->text, NULL, n, p->codec);
    } else if (p->codec) {
        mbs_load_default_stage(l, found, "codec", model, p->codec);
    }
}

/* What is not filled has to come back as it stood. */
static void want_spelling(mbs_load *l, const mbs_yaml_node *node) {
    const mbs_plan_stage *codec = l->plan->codec;
    static const char *const yes[] = {"true"};
    mbs_buf why = MBS_BUF_INIT;
    if (!codec || !codec->desc || !codec->params) {
        if (!codec) {
            mbs_diag_error(&l->d, node->at, "model: task impute needs a codec that turns tokens back, as bases does");
        }
        return;
    }
    if (!mbs_param_find(codec->desc->params, codec->desc->n_params, "spelling")) {
        mbs_diag_error(&l->d, node->at, "%s: cannot keep how letters were spelled, which task impute needs: take bases",
                       codec->label);
    } else if (mbs_params_told(codec->params, "spelling") && !mbs_params_bool(codec->params, "spelling")) {
        mbs_diag_error(&l->d, node->at, "%s: task impute needs spelling: true, leave it out", codec->label);
    } else {
        l->d.failed |= mbs_params_set(codec->params, "spelling", yes, 1, 0, &why) != MBS_OK;
    }
    mbs_buf_free(&why);
}

static void load_codec(mbs_load *l, const mbs_yaml_node *reader, const mbs_yaml_node *model) {
    mbs_preprocess pre = {0};
    const mbs_yaml_node *codec = told(l, told(l, "codec") ? "codec" : "tokenizer");
    if (model) {
        const mbs_yaml_node *one = model->kind == MBS_YAML_LIST && model->first ? model->first : model;
        mbs_preprocess_load(l, l->plan->models[0], one, &pre);
    }
    name_codec(l, model, &pre);
    if (model) {
        mbs_preprocess_apply(l, &pre, NULL, reader, codec);
    }
    for (int i = 1; i < l->plan->n_models && !l->d.failed; i++) { /* which agree with all that the first one has said */
        mbs_preprocess other = {0};
        mbs_preprocess_load(l, l->plan->models[i], mbs_yaml_item(model, i), &other);
        mbs_preprocess_apply(l, &other, &pre, reader, codec);
        mbs_preprocess_free(&other);
    }
    if (l->plan->task == MBS_TASK_IMPUTE && !l->d.failed) {
        want_spelling(l, codec ? codec : model);
    }
    mbs_preprocess_free(&pre);
}

static void load_writers(mbs_load *l) {
    const mbs_yaml_node *n = told(l, "writer");
    if (!n || (n->kind == MBS_YAML_LIST && n->n == 0)) {
        mbs_diag_error(&l->d, n ? n->at : l->root->at, "'writer' is missing: nothing would be written");
        return;
    }
    int count = n->kind == MBS_YAML_LIST ? n->n : 1;
    l->plan->writers = new_stages(l, count);
    if (!l->plan->writers) {
        return;
    }
    l->plan->n_writers = count;
    const mbs_yaml_node *item = n->kind == MBS_YAML_LIST ? n->first : n;
    for (int i = 0; i < count && !l->d.failed; i++, item = item->next) {
        char name[32] = "writer";
        if (count > 1) {
            snprintf(name, sizeof name, "writer.%d", i);
        }
        mbs_load_stage(l, MBS_KIND_WRITER, name, i == 0 ? "-o FILE" : NULL, item, &l->plan->writers[i]);
    }
}

/* Model and codec, and what comes behind them. */
static void load_rest(mbs_load *l, const mbs_yaml_node *reader, const mbs_yaml_node *model, int recipe) {
    mbs_plan *p = l->plan;
    if (recipe) {
        mbs_load_recipe(l, model);
    } else if (model) {
        mbs_load_model(l, model, reader != NULL);
    }
    if (!reader &&
        (recipe || !model || (p->task != MBS_TASK_NONE && !(mbs_task_facts_of(p->task)->is & MBS_TASK_UNPROMPTED)))) {
        mbs_diag_error(&l->d, l->root->at, "'reader' is missing%s", recipe ? "" : ": only task generate goes without");
    }
    if (recipe && !model) {
        mbs_diag_error(&l->d, l->root->at, "'model' is missing: what to begin with, as in model: {init: SHAPE}");
    }
    if (!l->d.failed) {
        load_codec(l, reader, model);
    }
    if (!l->d.failed && !recipe) {
        load_writers(l);
    }
    if (!l->d.failed) {
        mbs_load_check_types(l);
        mbs_load_name_outputs(l);
    }
}

static void check_tree(mbs_load *l, mbs_plan_kind kind) {
    int recipe = check_kind(l, kind);
    if (recipe < 0) {
        return;
    }
    for (const mbs_yaml_node *n = l->root->first; n; n = n->next) {
        if (mbs_words_find(recipe ? recipe_keys : pipeline_keys, n->key->text) < 0) {
            say_unknown(l, n, recipe);
        }
    }
    check_version(l);
    add_folders(l, mbs_yaml_get(l->root, "plugins"));
    mbs_plan *p = l->plan;
    const mbs_yaml_node *reader = told(l, "reader");
    if (reader) {
        p->reader = new_stages(l, 1);
    }
    if (p->reader) {
        mbs_load_stage(l, MBS_KIND_READER, "reader", "-i FILE", reader, p->reader);
    }
    if (!l->d.failed) {
        load_rest(l, reader, told(l, "model"), recipe);
    }
}

static mbs_status finish(mbs_load *l, mbs_buf *diags, mbs_err *err) {
    if (diags) {
        mbs_diag_print(&l->d, diags);
    }
    if (l->d.failed || (diags && diags->failed)) {
        return mbs_fail_memory(err, l->d.file, l->d.text.len);
    }
    if (l->d.errors > 0) {
        return mbs_fail(err, l->d.status, l->d.file, "%zu error%s", l->d.errors, l->d.errors == 1 ? "" : "s");
    }
    return MBS_OK;
}

mbs_status mbs_plan_load(const char *file, const mbs_plan_set *sets, int n_sets, mbs_registry *registry, mbs_plan **out,
                         mbs_buf *diags, mbs_err *err) {
    return mbs_plan_load_as(MBS_PLAN_PIPELINE, file, sets, n_sets, registry, out, diags, err);
}

mbs_status mbs_plan_load_as(mbs_plan_kind kind, const char *file, const mbs_plan_set *sets, int n_sets,
                            mbs_registry *registry, mbs_plan **out, mbs_buf *diags, mbs_err *err) {
    *out = NULL;
    mbs_load l = {.registry = registry};
    l.d.file = mbs_path_is_std(file) ? "<stdin>" : file;
    l.d.sets = sets;
    l.arena = mbs_arena_new();
    l.plan = mbs_calloc(1, sizeof *l.plan);
    char *data = NULL;
    mbs_status status = MBS_OK;
    if (l.plan) {
        l.plan->file = mbs_strdup(file);
    }
    if (!l.arena || !l.plan || !l.plan->file) {
        l.d.failed = 1;
    } else {
        status = mbs_load_read(&l, file, &data, err);
    }
    if (status == MBS_OK && !l.d.failed && l.d.errors == 0) {
        l.root = mbs_load_tree(&l, n_sets);
    }
    if (l.root && !l.d.failed) {
        check_tree(&l, kind);
    }
    if (status == MBS_OK) {
        status = finish(&l, diags, err);
    }
    if (status == MBS_OK) {
        *out = l.plan;
    } else {
        mbs_plan_free(l.plan);
    }
    mbs_diag_free(&l.d);
    mbs_arena_free(l.arena);
    mbs_free(data);
    return status;
}

void mbs_plan_free(mbs_plan *plan) {
    if (!plan) {
        return;
    }
    for (int i = 0; i < plan->n_writers; i++) {
        mbs_load_stage_free(&plan->writers[i]);
    }
    mbs_load_stage_free(plan->reader);
    mbs_load_stage_free(plan->codec);
    for (int i = 0; i < plan->n_models; i++) {
        mbs_params_free(plan->models[i]);
    }
    mbs_recipe_free(plan->recipe);
    mbs_free(plan->reader);
    mbs_free(plan->codec);
    mbs_free(plan->writers);
    mbs_free(plan->model_canonical);
    mbs_free(plan->model_all);
    mbs_free(plan->model_where);
    mbs_free(plan->file);
    mbs_free(plan);
}

const char *mbs_plan_inputs_key(const mbs_plan_stage *reader) {
    for (uint32_t i = 0; reader && i < reader->desc->n_params; i++) {
        const mbs_param *row = mbs_param_row(reader->desc->params, reader->desc->n_params, i);
        if (row->type == MBS_PARAM_PATHS && mbs_params_is_set(reader->params, row->key)) {
            return row->key;
        }
    }
    return NULL;
}
