/* The model stage: one mapping, or several models that are held against each other. */
#include <stdio.h>
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

/* One mapping into the values of the plan's next model, which messages call `label`. */
static void take_model(mbs_load *l, const mbs_yaml_node *node, const char *label, int has_reader) {
    mbs_params *params = mbs_params_new(mbs_model_params, mbs_n_model_params);
    const int first = l->plan->n_models == 0;
    l->d.failed |= !params;
    if (!params) {
        return;
    }
    l->plan->models[l->plan->n_models++] = params;
    if (!mbs_load_is_mapping(l, "model", node)) {
        return;
    }
    mbs_schema s = {.label = label,
                    .rows = mbs_model_params,
                    .n_rows = mbs_n_model_params,
                    .path_option = first ? "-m FOLDER" : NULL,
                    .refuse = mbs_model_refuse};
    mbs_schema_fill(&s, node, params, l->arena, &l->d);
    mbs_model_check(&l->d, node, params, mbs_model_task(params), has_reader);
}

/* What a further model does not say it has from the first. */
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

/* What a model is called, which tells it apart from those before it. */
static void check_name(mbs_load *l, const mbs_yaml_node *at, int i) {
    static const char fits[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *name = mbs_params_string(l->plan->models[i], "name");
    if (!name) {
        mbs_diag_error(&l->d, at->at, "model.%d: 'name' is missing: what its columns are called, as in name: coli", i);
        return;
    }
    if (!name[0] || strlen(name) > 32 || strspn(name, fits) != strlen(name)) {
        mbs_diag_error(&l->d, mbs_yaml_get(at, "name")->at,
                       "model.%d: 'name' is '%.40s', must be up to 32 letters, digits, _ and -", i, name);
        return;
    }
    for (int k = 0; k < i; k++) {
        const char *other = mbs_params_string(l->plan->models[k], "name");
        if (other && strcmp(name, other) == 0) {
            mbs_diag_error(&l->d, mbs_yaml_get(at, "name")->at, "model.%d: both models are called '%s'", i, name);
            return;
        }
    }
}

/* Several models of one run: their names, and what holds for the run as a whole. */
static void check_models(mbs_load *l, const mbs_yaml_node *list) {
    const mbs_plan *p = l->plan;
    static const char *const shared[] = {"task", "chunk", "device"};
    for (int i = 0; i < p->n_models; i++) {
        check_name(l, mbs_yaml_item(list, i), i);
    }
    for (size_t k = 0; k < sizeof shared / sizeof *shared; k++) {
        const mbs_yaml_node *a = mbs_yaml_get(list->first, shared[k]);
        for (int i = 1; i < p->n_models; i++) {
            const mbs_yaml_node *b = mbs_yaml_get(mbs_yaml_item(list, i), shared[k]);
            if (b && (!a || strcmp(a->text, b->text) != 0)) {
                mbs_diag_error(&l->d, b->at, "model.%d: '%s' holds for both models: say it of the first", i, shared[k]);
            }
        }
    }
    if (p->task != MBS_TASK_NONE && !mbs_task_facts_of(p->task)->beside) {
        mbs_diag_error(&l->d, list->at,
                       "model: two models are held against each other by task score, and the task is %s",
                       mbs_task_name(p->task));
    }
}

/* What all models say, as one text. */
static char *models_text(mbs_load *l, const mbs_yaml_node *const *nodes, int all) {
    const int n = l->plan->n_models;
    mbs_buf b = MBS_BUF_INIT;
    for (int i = 0; i < n; i++) {
        char *text = model_text(l, nodes[i], all);
        const char *between = i == 0 ? "" : all ? "}\n          {" : "}, {";
        mbs_buf_printf(&b, "%s%s", between, text ? text : "");
        mbs_free(text);
    }
    mbs_buf whole = MBS_BUF_INIT;
    mbs_buf_printf(&whole, all ? "%s" : n > 1 ? "[{%s}]" : "{%s}", mbs_buf_str(&b));
    char *text = b.failed || whole.failed ? NULL : mbs_strdup(mbs_buf_str(&whole));
    l->d.failed |= !text;
    mbs_buf_free(&b);
    mbs_buf_free(&whole);
    return text;
}

/* The mappings into the plan's models; nodes[i] is what the i-th says, with what it has from the first. */
static void take_models(mbs_load *l, const mbs_yaml_node *list, const mbs_yaml_node **nodes, int has_reader) {
    const size_t before = l->d.errors;
    const mbs_yaml_node *item = list->first;
    for (int i = 0; i < list->n && l->d.errors == before && !l->d.failed; i++, item = item->next) {
        char label[32]; /* errors of the first one would be said again by the others */
        (void)snprintf(label, sizeof label, "model.%d", i);
        nodes[i] = i == 0 ? item : with_first(l, list->first, item);
        if (!l->d.failed) {
            take_model(l, nodes[i], label, has_reader);
        }
        l->plan->task = l->d.failed ? l->plan->task : mbs_model_task(l->plan->models[0]);
    }
    if (l->d.errors == before && !l->d.failed) {
        check_models(l, list);
    }
}

void mbs_load_model(mbs_load *l, const mbs_yaml_node *node, int has_reader) {
    mbs_plan *plan = l->plan;
    const mbs_yaml_node *nodes[MBS_PLAN_MODELS] = {node};
    plan->model_where = mbs_load_place_text(l, node->at);
    if (node->kind == MBS_YAML_LIST && (node->n < 2 || node->n > MBS_PLAN_MODELS)) {
        mbs_diag_error(&l->d, node->at, "model: a list of %d: give one model, or two that are held against each other",
                       node->n);
        return;
    }
    if (node->kind == MBS_YAML_LIST) {
        take_models(l, node, nodes, has_reader);
    } else {
        take_model(l, node, "model", has_reader);
        const mbs_yaml_node *name = mbs_yaml_get(node, "name");
        plan->task = l->d.failed ? plan->task : mbs_model_task(plan->models[0]);
        if (!l->d.failed && name && !mbs_yaml_is_null(name)) {
            mbs_diag_error(&l->d, name->key->at, "model: 'name' is for two models in one run, and here is one");
        }
    }
    if (l->d.errors == 0 && !l->d.failed) {
        plan->model_canonical = models_text(l, nodes, 0);
        plan->model_all = models_text(l, nodes, 1);
    }
}
