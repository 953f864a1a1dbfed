#include "pipe/json_schema.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "opt/value.h"
#include "pipe/recipe.h"

/* The text grows by members and items; `comma` says whether one stands in front. */
typedef struct writer {
    mbs_buf *out;
    int indent;
    int comma;
} writer;

static void line(writer *w) {
    mbs_buf_puts(w->out, w->comma ? ",\n" : "\n");
    for (int i = 0; i < w->indent; i++) {
        mbs_buf_puts(w->out, "  ");
    }
    w->comma = 1;
}

static void key(writer *w, const char *name) {
    line(w);
    mbs_json_put_string(w->out, name);
    mbs_buf_puts(w->out, ": ");
}

static void open(writer *w, const char *name, char bracket) {
    if (name) {
        key(w, name);
    } else {
        line(w);
    }
    mbs_buf_putc(w->out, bracket);
    w->indent++;
    w->comma = 0;
}

static void close(writer *w, char bracket) {
    w->indent--;
    w->comma = 0;
    line(w);
    mbs_buf_putc(w->out, bracket);
}

static void raw(writer *w, const char *name, const char *json) {
    key(w, name);
    mbs_buf_puts(w->out, json);
}

static void text(writer *w, const char *name, const char *value) {
    key(w, name);
    mbs_json_put_string(w->out, value);
}

/* Words in quotes: "a", "b" */
static void put_words(mbs_buf *out, const char *words) {
    size_t len = 0;
    for (int i = 0;; i++) {
        const char *word = mbs_words_at(words, i, &len);
        if (!word) {
            return;
        }
        char copy[128];
        len = len < sizeof copy ? len : sizeof copy - 1;
        memcpy(copy, word, len);
        copy[len] = '\0';
        mbs_buf_puts(out, i ? ", " : "");
        mbs_json_put_string(out, copy);
    }
}

static void put_number(writer *w, const mbs_param *row, const char *type, const char *pattern) {
    mbs_buf_printf(w->out, "{\"type\": \"%s\"", type);
    if (row->flags & MBS_PARAM_F_RANGE) {
        mbs_buf_puts(w->out, ", \"minimum\": ");
        mbs_json_put_double(w->out, row->min);
        mbs_buf_puts(w->out, ", \"maximum\": ");
        mbs_json_put_double(w->out, row->max);
    } else if (row->type == MBS_PARAM_SIZE || row->type == MBS_PARAM_DURATION) {
        mbs_buf_puts(w->out, ", \"minimum\": 0");
    }
    mbs_buf_puts(w->out, "}, {\"type\": \"string\", \"pattern\": ");
    mbs_json_put_string(w->out, pattern);
    mbs_buf_putc(w->out, '}');
    if (row->words) {
        mbs_buf_puts(w->out, ", {\"enum\": [");
        put_words(w->out, row->words);
        mbs_buf_puts(w->out, "]}");
    }
}

static void put_type(writer *w, const mbs_param *row) {
    static const char single[] = "{\"type\": [\"string\", \"number\"]}";
    key(w, "anyOf");
    mbs_buf_putc(w->out, '[');
    switch (row->type) {
    case MBS_PARAM_BOOL:
        mbs_buf_puts(w->out, "{\"type\": \"boolean\"}, {\"enum\": [\"yes\", \"no\", \"on\", \"off\"]}");
        break;
    case MBS_PARAM_INT:
    case MBS_PARAM_SIZE:
        put_number(w, row, "integer", "^[-+]?[0-9][0-9_.]*(e[0-9]+)?([kMGT]i?)?$");
        break;
    case MBS_PARAM_FLOAT:
        put_number(w, row, "number", "^[-+]?[0-9_.]+(e[-+]?[0-9]+)?([kMGT]i?)?$");
        break;
    case MBS_PARAM_DURATION:
        put_number(w, row, "number", "^[0-9_.]+(us|ms|s|min|h)?$");
        break;
    case MBS_PARAM_ENUM:
        mbs_buf_puts(w->out, "{\"enum\": [");
        put_words(w->out, row->words);
        mbs_buf_puts(w->out, "]}");
        break;
    case MBS_PARAM_LIST:
    case MBS_PARAM_PATHS:
        mbs_buf_printf(w->out, "%s, {\"type\": \"array\", \"items\": %s}", single, single);
        break;
    default:
        mbs_buf_puts(w->out, single);
        break;
    }
    mbs_buf_puts(w->out, ", {\"type\": \"null\"}]");
}

static void put_param(writer *w, const mbs_param *row) {
    mbs_buf help = MBS_BUF_INIT;
    mbs_buf_puts(&help, row->help);
    if (row->unit) {
        mbs_buf_printf(&help, " [%s]", row->unit);
    }
    if (row->def) {
        mbs_buf_printf(&help, " (default: %s)", row->def);
    }
    open(w, row->key, '{');
    text(w, "description", mbs_buf_str(&help));
    put_type(w, row);
    close(w, '}');
    w->out->failed |= help.failed;
    mbs_buf_free(&help);
}

/* The parameters of a table as an object; `plugin` is its name in the pipeline, NULL: the model. */
static void put_table(writer *w, const char *plugin, const mbs_param *rows, uint32_t n, int isolates) {
    raw(w, "type", "\"object\"");
    open(w, "required", '[');
    if (plugin) {
        line(w);
        mbs_buf_puts(w->out, "\"plugin\"");
    }
    for (uint32_t i = 0; i < n; i++) {
        const mbs_param *row = mbs_param_row(rows, n, i);
        /* Of a pipeline's model the root says it: the second of two has its task from the first. */
        if (row->flags & MBS_PARAM_F_REQUIRED && strcmp(row->key, "path") != 0 && rows != mbs_model_params) {
            line(w);
            mbs_json_put_string(w->out, row->key);
        }
    }
    close(w, ']');
    open(w, "properties", '{');
    if (plugin) {
        key(w, "plugin");
        mbs_buf_puts(w->out, "{\"const\": ");
        mbs_json_put_string(w->out, plugin);
        mbs_buf_putc(w->out, '}');
    }
    for (uint32_t i = 0; i < n; i++) {
        put_param(w, mbs_param_row(rows, n, i));
    }
    for (uint32_t i = 0; isolates && i < mbs_n_stage_params; i++) {
        put_param(w, &mbs_stage_params[i]);
    }
    for (int i = MBS_RECIPE_TRAIN + 1; rows == mbs_recipe_tables[MBS_RECIPE_TRAIN].rows && i < MBS_RECIPE_OUTPUT; i++) {
        key(w, mbs_recipe_tables[i].key);
        mbs_buf_printf(w->out, "{\"$ref\": \"#/definitions/%s\"}", mbs_recipe_tables[i].key);
    }
    close(w, '}');
    raw(w, "additionalProperties", "false");
}

static int usable(const mbs_plugin_info *p, int32_t kind) {
    return p->desc && !p->problem && !p->shadowed_by && p->desc->kind == kind;
}

/* A stage of a kind: its plugin by name, and what that name brings with it. */
static void put_kind(writer *w, int32_t kind, const mbs_descriptor **sorted, int n) {
    open(w, mbs_kind_name(kind), '{');
    raw(w, "type", "\"object\"");
    raw(w, "required", "[\"plugin\"]");
    open(w, "properties", '{');
    open(w, "plugin", '{');
    open(w, "anyOf", '[');
    for (int i = 0; i < n; i++) {
        open(w, NULL, '{');
        raw(w, "const", "");
        mbs_json_put_string(w->out, sorted[i]->id);
        text(w, "description", sorted[i]->summary);
        close(w, '}');
    }
    open(w, NULL, '{');
    raw(w, "type", "\"string\"");
    close(w, '}');
    close(w, ']');
    close(w, '}');
    close(w, '}');
    open(w, "allOf", '[');
    for (int i = 0; i < n; i++) {
        open(w, NULL, '{');
        key(w, "if");
        mbs_buf_puts(w->out, "{\"required\": [\"plugin\"], \"properties\": {\"plugin\": {\"const\": ");
        mbs_json_put_string(w->out, sorted[i]->id);
        mbs_buf_puts(w->out, "}}}");
        open(w, "then", '{');
        put_table(w, sorted[i]->id, sorted[i]->params, sorted[i]->n_params, kind != MBS_KIND_WRITER);
        close(w, '}');
        close(w, '}');
    }
    close(w, ']');
    close(w, '}');
}

/* The descriptors of a kind, by name. */
static int sort_kind(const mbs_plugin_info *list, int n, int32_t kind, const mbs_descriptor **sorted) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!usable(&list[i], kind)) {
            continue;
        }
        int at = count++;
        for (; at > 0 && strcmp(sorted[at - 1]->id, list[i].desc->id) > 0; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = list[i].desc;
    }
    return count;
}

static void put_root(writer *w, int recipe) {
    text(w, "$schema", "http://json-schema.org/draft-07/schema#");
    text(w, "$comment", "made from the tables of the plugins: do not edit");
    text(w, "title", recipe ? "a mambaseq recipe for training" : "a mambaseq pipeline");
    raw(w, "type", "\"object\"");
    raw(w, "required", recipe ? "[\"mambaseq\", \"reader\", \"model\", \"train\"]" : "[\"mambaseq\", \"writer\"]");
    raw(w, "additionalProperties", "false");
    open(w, "properties", '{');
    raw(w, "mambaseq", "{\"const\": 1, \"description\": \"which grammar this is\"}");
    raw(w, "plugins",
        "{\"description\": \"folders of plugins, relative to this file\", \"anyOf\": [{\"type\": \"string\"}, "
        "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}]}");
    raw(w, "reader", "{\"$ref\": \"#/definitions/reader\"}");
    raw(w, "codec", "{\"$ref\": \"#/definitions/codec\"}");
    raw(w, "tokenizer", "{\"$ref\": \"#/definitions/codec\", \"description\": \"another name of codec\"}");
    if (recipe) {
        raw(w, "model", "{\"$ref\": \"#/definitions/model\"}");
        raw(w, "train", "{\"$ref\": \"#/definitions/train\"}");
        raw(w, "output", "{\"$ref\": \"#/definitions/output\"}");
        close(w, '}');
        return;
    }
    raw(w, "model",
        "{\"if\": {\"type\": \"array\"}, \"then\": {\"minItems\": 2, \"maxItems\": 2, \"items\": {\"allOf\": "
        "[{\"$ref\": "
        "\"#/definitions/model\"}, {\"required\": [\"name\"]}]}}, \"else\": {\"allOf\": [{\"$ref\": "
        "\"#/definitions/model\"}, {\"required\": [\"task\"]}]}}");
    raw(w, "writer",
        "{\"if\": {\"type\": \"array\"}, \"then\": {\"minItems\": 1, \"items\": {\"$ref\": "
        "\"#/definitions/writer\"}}, \"else\": {\"$ref\": \"#/definitions/writer\"}}");
    close(w, '}');
}

/* What stands beside the stages: the model of a pipeline, or what a recipe has. */
static void put_rest(writer *w, int recipe) {
    open(w, "model", '{');
    put_table(w, NULL, recipe ? mbs_recipe_model_params : mbs_model_params,
              recipe ? mbs_n_recipe_model_params : mbs_n_model_params, 0);
    close(w, '}');
    for (int i = 0; recipe && i < MBS_RECIPE_PARTS; i++) {
        open(w, mbs_recipe_tables[i].key, '{');
        text(w, "description", mbs_recipe_tables[i].about);
        put_table(w, NULL, mbs_recipe_tables[i].rows, mbs_recipe_tables[i].n_rows, 0);
        close(w, '}');
    }
}

static mbs_status put_schema(mbs_registry *registry, int recipe, mbs_buf *out, mbs_err *err) {
    const mbs_plugin_info *list = NULL;
    int n = 0;
    mbs_status status = mbs_registry_scan(registry, &list, &n, err);
    if (status != MBS_OK) {
        return status;
    }
    const mbs_descriptor **sorted = mbs_calloc((size_t)n + 1, sizeof *sorted);
    if (!sorted) {
        return mbs_fail_memory(err, "schema", (size_t)n * sizeof *sorted);
    }
    mbs_buf_putc(out, '{');
    writer w = {out, 1, 0};
    put_root(&w, recipe);
    open(&w, "definitions", '{');
    static const int32_t kinds[] = {MBS_KIND_READER, MBS_KIND_CODEC, MBS_KIND_WRITER};
    for (size_t k = 0; k < (recipe ? 2u : 3u); k++) {
        put_kind(&w, kinds[k], sorted, sort_kind(list, n, kinds[k], sorted));
    }
    put_rest(&w, recipe);
    close(&w, '}');
    close(&w, '}');
    mbs_buf_putc(out, '\n');
    mbs_free(sorted);
    return out->failed ? mbs_fail_memory(err, "schema", out->len) : MBS_OK;
}

mbs_status mbs_plan_json_schema(mbs_registry *registry, mbs_buf *out, mbs_err *err) {
    return put_schema(registry, 0, out, err);
}

mbs_status mbs_recipe_json_schema(mbs_registry *registry, mbs_buf *out, mbs_err *err) {
    return put_schema(registry, 1, out, err);
}
