#include <string.h>

#include "opt/nearest.h"
#include "pipe/load.h"
#include "pipe/schema.h"

char *mbs_load_place_text(mbs_load *l, mbs_place at) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_diag_place(&l->d, at, &b);
    char *text = b.failed ? NULL : mbs_strdup(mbs_buf_str(&b));
    mbs_buf_free(&b);
    l->d.failed |= text == NULL;
    return text;
}

int mbs_load_is_mapping(mbs_load *l, const char *name, const mbs_yaml_node *node) {
    static const char id[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (node->kind == MBS_YAML_MAP) {
        return 1;
    }
    if (node->bad) {
        return 0;
    }
    int is_id = node->text[0] != '\0' && strlen(node->text) < 40 && strspn(node->text, id) == strlen(node->text);
    const char *plugin = is_id ? node->text : "NAME";
    int len = (int)strcspn(name, ".");
    if (strcmp(name, "model") == 0) {
        mbs_diag_error(&l->d, node->at, "model: is %s, must be a mapping, as in model: {path: FOLDER, task: score}",
                       mbs_schema_kind(node));
    } else {
        mbs_diag_error(&l->d, node->at, "%s: is %s, must be a mapping, as in %.*s: {plugin: %s%s}", name,
                       mbs_schema_kind(node), len, name, plugin,
                       strncmp(name, "reader", 6) == 0 || strncmp(name, "writer", 6) == 0 ? ", path: FILE" : "");
    }
    return 0;
}

const mbs_param mbs_stage_params[] = {
    MBS_PARAM("isolate", MBS_PARAM_BOOL, NULL, "run this plugin in a worker process, which may crash without the run"),
    MBS_PARAM_RANGE("isolate_timeout", MBS_PARAM_DURATION, NULL, 0.001, 1e6, "seconds",
                    "with isolate: end the run when one call of the plugin lasts longer"),
};
const uint32_t mbs_n_stage_params = sizeof mbs_stage_params / sizeof mbs_stage_params[0];

/* Whether the stage is to be isolated, as told or as its plugin wants it. */
static void take_isolation(mbs_load *l, const mbs_yaml_node *map, const mbs_params *host, mbs_plan_stage *stage) {
    stage->isolate = mbs_params_told(host, "isolate") ? mbs_params_bool(host, "isolate")
                                                      : (stage->desc->flags & MBS_DESC_ISOLATE) != 0;
    stage->isolate_timeout = mbs_params_told(host, "isolate_timeout") ? mbs_params_float(host, "isolate_timeout") : 0;
    if (stage->isolate_timeout > 0 && !stage->isolate) {
        mbs_diag_error(&l->d, mbs_yaml_get(map, "isolate_timeout")->at,
                       "%s: 'isolate_timeout' only holds together with isolate: true", stage->label);
    }
}

/* Refuses the host's keys where they have no place. */
static int refuse_isolation(mbs_diags *d, const mbs_yaml_node *value) {
    if (!mbs_param_find(mbs_stage_params, mbs_n_stage_params, value->key->text)) {
        return 0;
    }
    mbs_diag_error(d, value->key->at, "'%s' is for readers and codecs: a writer runs in the program itself",
                   value->key->text);
    return 1;
}

static void fill(mbs_load *l, const mbs_yaml_node *map, const char *option, mbs_plan_stage *stage) {
    mbs_schema s = {.label = stage->label,
                    .rows = stage->desc->params,
                    .n_rows = stage->desc->n_params,
                    .also = "plugin",
                    .path_option = option};
    if (stage->desc->kind == MBS_KIND_WRITER) {
        s.refuse = refuse_isolation;
    } else {
        s.host_rows = mbs_stage_params;
        s.n_host_rows = mbs_n_stage_params;
        s.host = mbs_params_new(mbs_stage_params, mbs_n_stage_params);
    }
    stage->params = mbs_params_new(s.rows, s.n_rows);
    if (!stage->params || (s.host_rows && !s.host)) {
        l->d.failed = 1;
    } else {
        mbs_schema_fill(&s, map, stage->params, l->arena, &l->d);
    }
    if (s.host && !l->d.failed) {
        take_isolation(l, map, s.host, stage);
    }
    mbs_params_free(s.host);
}

static void name_stage(mbs_load *l, const char *name, mbs_place at, mbs_plan_stage *stage) {
    mbs_buf label = MBS_BUF_INIT;
    mbs_buf_printf(&label, "%s '%s'", name, stage->desc->id);
    stage->label = label.failed ? NULL : mbs_strdup(mbs_buf_str(&label));
    mbs_buf_free(&label);
    stage->where = mbs_load_place_text(l, at);
    l->d.failed |= stage->label == NULL;
}

/* No `plugin:`, maybe because it is misspelt. */
static void say_no_plugin(mbs_load *l, const char *name, const mbs_yaml_node *map) {
    for (const mbs_yaml_node *n = map->first; n; n = n->next) {
        mbs_nearest near;
        mbs_nearest_init(&near, n->key->text);
        mbs_nearest_offer(&near, "plugin");
        if (near.at && near.distance > 0) {
            mbs_diag_error(&l->d, n->key->at, "%s: '%s' is not a parameter, did you mean 'plugin'?", name,
                           n->key->text);
            return;
        }
    }
    mbs_diag_error(&l->d, map->at, "%s: 'plugin' is missing: 'mambaseq plugin list' shows what there is", name);
}

/* The descriptor that `plugin:` names, or NULL. */
static const mbs_descriptor *find(mbs_load *l, int32_t kind, const char *name, const mbs_yaml_node *map) {
    const mbs_yaml_node *plugin = mbs_yaml_get(map, "plugin");
    if (!plugin || mbs_yaml_is_null(plugin)) {
        say_no_plugin(l, name, map);
        return NULL;
    }
    if (plugin->bad) {
        return NULL;
    }
    if (plugin->kind != MBS_YAML_SCALAR || plugin->text[0] == '\0') {
        mbs_diag_error(&l->d, plugin->at, "%s: 'plugin' is %s, must be the name of one", name,
                       plugin->kind == MBS_YAML_SCALAR ? "empty" : mbs_schema_kind(plugin));
        return NULL;
    }
    mbs_err err;
    mbs_err_clear(&err);
    const mbs_descriptor *desc = NULL;
    mbs_status status = mbs_registry_find(l->registry, kind, plugin->text, &desc, &err);
    if (status != MBS_OK) {
        char line[2048];
        mbs_err_line(&err, line, sizeof line);
        /* The registry says "reader 'x': ..." itself where it looked for a name. */
        int named = strncmp(line, name, strcspn(name, ".")) == 0;
        mbs_diag_status(&l->d, plugin->at, status, "%s%s%s", named ? "" : name, named ? "" : ": ", line);
        return NULL;
    }
    return desc;
}

void mbs_load_stage(mbs_load *l, int32_t kind, const char *name, const char *option, const mbs_yaml_node *node,
                    mbs_plan_stage *stage) {
    stage->desc = mbs_load_is_mapping(l, name, node) ? find(l, kind, name, node) : NULL;
    if (stage->desc) {
        name_stage(l, name, node->at, stage);
    }
    if (stage->desc && !l->d.failed) {
        fill(l, node, option, stage);
    }
}

void mbs_load_default_stage(mbs_load *l, const mbs_descriptor *desc, const char *name, const mbs_yaml_node *node,
                            mbs_plan_stage *stage) {
    const mbs_yaml_node empty = {.kind = MBS_YAML_MAP, .at = node->at, .text = ""};
    stage->desc = desc;
    name_stage(l, name, node->at, stage);
    if (!l->d.failed) {
        fill(l, &empty, NULL, stage);
    }
}

void mbs_load_stage_free(mbs_plan_stage *stage) {
    if (stage) {
        mbs_params_free(stage->params);
        mbs_free(stage->label);
        mbs_free(stage->where);
    }
}
