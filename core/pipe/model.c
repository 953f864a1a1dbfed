/* The model stage: one mapping, or two models that are held against each other. */
#include <string.h>

#include "opt/value.h"
#include "pipe/load.h"
#include "pipe/model_params.h"
#include "pipe/schema.h"

/* The model's values that count for its task, as text; `all`: also what cannot change a result. */
static char *model_text(mbs_load *l, const mbs_yaml_node *map, int all) {
    mbs_param *rows = mbs_arena_alloc(l->arena, mbs_n_model_params * sizeof *rows);
    uint32_t n = 0;
    for (uint32_t i = 0; rows && i < mbs_n_model_params; i++) {
        const char *key = mbs_model_params[i].key;
        int of_prompt = strcmp(key, "count") == 0 && l->plan->reader != NULL;
        if (mbs_model_belongs(key, l->plan->task) && !of_prompt) {
            rows[n] = mbs_model_params[i];
            const char *def = mbs_model_default(key, l->plan->task);
            rows[n].def = def ? def : rows[n].def;
            n++;
        }
    }
    mbs_params *params = rows ? mbs_params_new(rows, n) : NULL;
    mbs_buf out = MBS_BUF_INIT;
    int bad = params == NULL;
    for (const mbs_yaml_node *v = map->first; v && !bad; v = v->next) {
        if (mbs_param_find(rows, n, v->key->text) && !mbs_yaml_is_null(v)) {
            bad = mbs_schema_set(params, v, l->arena, NULL) != MBS_OK;
        }
    }
    if (!bad) {
        mbs_params_canonical(params, all, &out);
    }
    char *text = bad || out.failed ? NULL : mbs_strdup(mbs_buf_str(&out));
    mbs_buf_free(&out);
    mbs_params_free(params);
    l->d.failed |= text == NULL;
    return text;
}

/* One mapping into its values. */
static mbs_params *take_model(mbs_load *l, const mbs_yaml_node *node, const char *label, int has_reader) {
    mbs_params *params = mbs_params_new(mbs_model_params, mbs_n_model_params);
    l->d.failed |= !params;
    if (!params || !mbs_load_is_mapping(l, "model", node)) {
        return params;
    }
    mbs_schema s = {.label = label,
                    .rows = mbs_model_params,
                    .n_rows = mbs_n_model_params,
                    .path_option = strcmp(label, "model.1") != 0 ? "-m FOLDER" : NULL,
                    .refuse = mbs_model_refuse};
    mbs_schema_fill(&s, node, params, l->arena, &l->d);
    mbs_model_check(&l->d, node, params, mbs_model_task(params), has_reader);
    return params;
}

/* What the second model does not say it has from the first. */
static const mbs_yaml_node *with_first(mbs_load *l, const mbs_yaml_node *first, const mbs_yaml_node *node) {
    mbs_yaml_node *both = mbs_yaml_new(l->arena, MBS_YAML_MAP, node->at);
    const mbs_yaml_node *from[2] = {node, first};
    for (int i = 0; i < 2 && both && node->kind == MBS_YAML_MAP && first->kind == MBS_YAML_MAP; i++) {
        for (const mbs_yaml_node *n = from[i]->first; n && both; n = n->next) {
            const char *key = n->key->text;
            if (i == 1 && (mbs_yaml_get(node, key) || mbs_words_find("path|name", key) >= 0 ||
                           !mbs_param_find(mbs_model_params, mbs_n_model_params, key))) {
                continue;
            }
            mbs_yaml_node *copy = mbs_arena_alloc(l->arena, sizeof *copy);
            if (copy) {
                *copy = *n;
                copy->next = NULL;
                mbs_yaml_append(both, copy);
            }
            both = copy ? both : NULL;
        }
    }
    l->d.failed |= !both;
    return both && node->kind == MBS_YAML_MAP ? both : node;
}

/* Two models of one run: names that tell them apart, and what holds for the run as a whole. */
static void check_pair(mbs_load *l, const mbs_yaml_node *list) {
    const mbs_plan *p = l->plan;
    const mbs_params *of[2] = {p->model, p->rival};
    static const char *const shared[] = {"task", "chunk", "device"};
    static const char fits[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    for (int i = 0; i < 2; i++) {
        const mbs_yaml_node *at = mbs_yaml_item(list, i);
        const char *name = mbs_params_string(of[i], "name");
        if (!name) {
            mbs_diag_error(&l->d, at->at, "model.%d: 'name' is missing: what its columns are called, as in name: coli",
                           i);
        } else if (!name[0] || strlen(name) > 32 || strspn(name, fits) != strlen(name)) {
            mbs_diag_error(&l->d, mbs_yaml_get(at, "name")->at,
                           "model.%d: 'name' is '%.40s', must be up to 32 letters, digits, _ and -", i, name);
        } else if (i == 1 && mbs_params_string(of[0], "name") && strcmp(name, mbs_params_string(of[0], "name")) == 0) {
            mbs_diag_error(&l->d, mbs_yaml_get(at, "name")->at, "model.1: both models are called '%s'", name);
        }
    }
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        const mbs_yaml_node *a = mbs_yaml_get(list->first, shared[i]);
        const mbs_yaml_node *b = mbs_yaml_get(list->last, shared[i]);
        if (b && (!a || strcmp(a->text, b->text) != 0)) {
            mbs_diag_error(&l->d, b->at, "model.1: '%s' holds for both models: say it of the first", shared[i]);
        }
    }
    if (p->task != MBS_TASK_NONE && p->task != MBS_TASK_SCORE) {
        mbs_diag_error(&l->d, list->at,
                       "model: two models are held against each other by task score, and the task is %s",
                       mbs_task_name(p->task));
    }
}

static void load_pair(mbs_load *l, const mbs_yaml_node *list, int has_reader) {
    mbs_plan *plan = l->plan;
    if (list->n != 2) {
        mbs_diag_error(&l->d, list->at, "model: a list of %d: give one model, or two that are held against each other",
                       list->n);
        return;
    }
    size_t before = l->d.errors;
    plan->model = take_model(l, list->first, "model.0", has_reader);
    const mbs_yaml_node *second = l->d.failed ? NULL : with_first(l, list->first, list->last);
    if (l->d.failed) {
        return;
    }
    plan->task = mbs_model_task(plan->model);
    if (l->d.errors > before) {
        return; /* the second one would say it again */
    }
    plan->rival = take_model(l, second, "model.1", has_reader);
    if (l->d.failed || l->d.errors > before) {
        return;
    }
    check_pair(l, list);
    for (int all = 0; all < 2 && l->d.errors == 0 && !l->d.failed; all++) {
        char *text[2] = {model_text(l, list->first, all), model_text(l, second, all)};
        mbs_buf both = MBS_BUF_INIT;
        mbs_buf_printf(&both, all ? "%s}\n          {%s" : "[{%s}, {%s}]", text[0] ? text[0] : "",
                       text[1] ? text[1] : "");
        char **to = all ? &plan->model_all : &plan->model_canonical;
        *to = both.failed ? NULL : mbs_strdup(mbs_buf_str(&both));
        l->d.failed |= !*to;
        mbs_buf_free(&both);
        mbs_free(text[0]);
        mbs_free(text[1]);
    }
}

void mbs_load_model(mbs_load *l, const mbs_yaml_node *node, int has_reader) {
    mbs_plan *plan = l->plan;
    plan->model_where = mbs_load_place_text(l, node->at);
    if (node->kind == MBS_YAML_LIST) {
        load_pair(l, node, has_reader);
        return;
    }
    plan->model = take_model(l, node, "model", has_reader);
    if (l->d.failed) {
        return;
    }
    plan->task = mbs_model_task(plan->model);
    const mbs_yaml_node *name = mbs_yaml_get(node, "name");
    if (name && !mbs_yaml_is_null(name)) {
        mbs_diag_error(&l->d, name->key->at, "model: 'name' is for two models in one run, and here is one");
    }
    if (l->d.errors == 0 && !l->d.failed) {
        char *text = model_text(l, node, 0);
        mbs_buf braced = MBS_BUF_INIT;
        mbs_buf_printf(&braced, "{%s}", text ? text : "");
        plan->model_canonical = braced.failed ? NULL : mbs_strdup(mbs_buf_str(&braced));
        l->d.failed |= !plan->model_canonical;
        mbs_buf_free(&braced);
        mbs_free(text);
        plan->model_all = model_text(l, node, 1);
    }
}
