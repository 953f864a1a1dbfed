#include "pipe/schema.h"

#include <string.h>

#include "opt/nearest.h"
#include "opt/value.h"
#include "pipe/commas.h"
#include "pipe/yaml_hint.h"

const char *mbs_schema_kind(const mbs_yaml_node *n) {
    if (mbs_yaml_is_null(n)) {
        return "nothing";
    }
    return n->kind == MBS_YAML_SCALAR ? "a text" : n->kind == MBS_YAML_LIST ? "a list" : "a mapping";
}

/* Keys as a sentence takes them. */
static void put_keys(const mbs_schema *s, mbs_buf *out) {
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const mbs_param *row = mbs_param_row(s->rows, s->n_rows, i);
        if (!(row->flags & MBS_PARAM_F_DEPRECATED)) {
            mbs_buf_printf(out, "%s%s", out->len ? ", " : "", row->key);
        }
    }
    size_t len = 0;
    const char *word;
    for (int i = 0; s->nested && (word = mbs_words_at(s->nested, i, &len)) != NULL; i++) {
        mbs_buf_printf(out, "%s%.*s", out->len ? ", " : "", (int)len, word);
    }
    mbs_buf_puts(out, out->len ? "" : "none");
}

/* The parameter whose key, with ':' behind it, an unknown key begins with: "path:x" without a blank. */
static const mbs_param *without_blank(const mbs_schema *s, const mbs_yaml_node *value) {
    const char *key = value->key->text;
    const char *colon = strchr(key, ':');
    for (uint32_t i = 0; colon && mbs_yaml_is_null(value) && i < s->n_rows; i++) {
        const mbs_param *row = mbs_param_row(s->rows, s->n_rows, i);
        if (strlen(row->key) == (size_t)(colon - key) && strncmp(row->key, key, (size_t)(colon - key)) == 0) {
            return row;
        }
    }
    return NULL;
}

/* The parameter that an unknown key was meant to be, NULL: no idea. */
static const char *meant(const mbs_schema *s, const mbs_yaml_node *value, mbs_nearest *near) {
    const mbs_param *row = without_blank(s, value);
    if (row) {
        return row->key;
    }
    mbs_nearest_init(near, value->key->text);
    for (uint32_t i = 0; i < s->n_rows; i++) {
        mbs_nearest_offer(near, mbs_param_row(s->rows, s->n_rows, i)->key);
    }
    if (s->nested) {
        mbs_nearest_offer_words(near, s->nested);
    }
    int found = near->at != NULL;
    for (uint32_t i = 0; i < s->n_host_rows && !found; i++) {
        mbs_nearest_offer(near, mbs_param_row(s->host_rows, s->n_host_rows, i)->key);
    }
    return near->at ? near->best : NULL;
}

static void say_unknown(const mbs_schema *s, const mbs_yaml_node *value, mbs_diags *d) {
    const char *key = value->key->text;
    mbs_nearest nearest;
    const char *near = meant(s, value, &nearest);
    mbs_buf keys = MBS_BUF_INIT;
    if (without_blank(s, value)) {
        mbs_diag_error(d, value->key->at, "%s: a blank is missing behind '%s:'", s->label, near);
    } else if (near) {
        mbs_diag_error(d, value->key->at, "%s: '%s' is not a parameter, did you mean '%s'?", s->label, key, near);
    } else {
        put_keys(s, &keys);
        mbs_diag_error(d, value->key->at, "%s: '%s' is not a parameter, there is %s", s->label, key,
                       mbs_buf_str(&keys));
    }
    mbs_buf_free(&keys);
}

/* A value in pieces, in a mapping or inside a list: how many siblings belong to it. */
static int say_cut(const mbs_schema *s, const char *key, const mbs_yaml_node *head, int in_map, mbs_diags *d) {
    mbs_buf joined = MBS_BUF_INIT;
    mbs_buf typed = MBS_BUF_INIT;
    int n = mbs_commas_cut(head, in_map, &joined);
    if (n > 0) {
        const mbs_param *row = mbs_param_find(s->rows, s->n_rows, key);
        if (row && row->type != MBS_PARAM_LIST && mbs_commas_number(mbs_buf_str(&joined))) {
            for (const char *c = mbs_buf_str(&joined); *c; c++) {
                mbs_buf_append(&typed, c, *c != ',');
            }
        } else {
            mbs_yaml_text_quote(&typed, mbs_buf_str(&joined), joined.len);
        }
        mbs_diag_error(d, head->at, "%s: '%s' is cut into %d values by its commas: write %s", s->label, key, n + 1,
                       mbs_buf_str(&typed));
    }
    mbs_buf_free(&typed);
    mbs_buf_free(&joined);
    return n;
}

/* The items of a list are texts. 0 where one is not, and it was said. */
static int items_fit(const mbs_schema *s, const mbs_yaml_node *list, mbs_diags *d) {
    int fit = 1;
    for (const mbs_yaml_node *n = list->first; n; n = n->next) {
        int skip = say_cut(s, list->key->text, n, 0, d);
        fit &= skip == 0;
        while (skip-- > 0) {
            n = n->next;
        }
        if (n->kind == MBS_YAML_SCALAR && !mbs_yaml_is_null(n)) {
            fit &= !n->bad;
            continue;
        }
        mbs_buf typed = MBS_BUF_INIT;
        int hint = mbs_yaml_hint_node(d, n, &typed);
        mbs_diag_error(d, n->at, "%s: an item of '%s' is %s, must be a text%s%s", s->label, list->key->text,
                       mbs_schema_kind(n), hint ? ": write " : "", mbs_buf_str(&typed));
        mbs_buf_free(&typed);
        fit = 0;
    }
    return fit;
}

mbs_status mbs_schema_set(mbs_params *params, const mbs_yaml_node *value, mbs_arena *arena, mbs_buf *why) {
    int is_list = value->kind == MBS_YAML_LIST;
    const char **texts = mbs_arena_alloc(arena, ((size_t)value->n + 1) * sizeof *texts);
    if (!texts) {
        return MBS_ERR_MEMORY;
    }
    int n = 0;
    if (is_list) {
        for (const mbs_yaml_node *item = value->first; item; item = item->next) {
            texts[n++] = item->text;
        }
    } else {
        texts[n++] = value->text;
    }
    return mbs_params_set(params, value->key->text, texts, n, is_list, why);
}

static void take(const mbs_schema *s, const mbs_param *row, const mbs_yaml_node *value, mbs_params *params,
                 mbs_arena *arena, mbs_diags *d) {
    mbs_buf typed = MBS_BUF_INIT;
    mbs_buf why = MBS_BUF_INIT;
    int texts = row->type == MBS_PARAM_STRING || row->type == MBS_PARAM_PATH || row->type == MBS_PARAM_PATHS ||
                row->type == MBS_PARAM_LIST;
    int hint = texts && mbs_yaml_hint_node(d, value, &typed);
    const char *lead = hint ? "; to mean text, write " : "";
    if (value->kind == MBS_YAML_MAP) {
        mbs_diag_error(d, value->at, "%s: '%s' is a mapping, must be a single value%s%s", s->label, row->key, lead,
                       mbs_buf_str(&typed));
    } else if (value->kind == MBS_YAML_SCALAR || items_fit(s, value, d)) {
        mbs_status status = mbs_schema_set(params, value, arena, &why);
        if (status == MBS_ERR_MEMORY) {
            d->failed = 1;
        } else if (status != MBS_OK) {
            mbs_diag_status(d, value->at, status, "%s: %s%s%s", s->label, mbs_buf_str(&why), lead, mbs_buf_str(&typed));
        }
    }
    mbs_buf_free(&why);
    mbs_buf_free(&typed);
}

/* Whether a key that is missing stands there misspelt, which was said. */
static int misspelt(const mbs_schema *s, const mbs_yaml_node *map, const char *key) {
    for (const mbs_yaml_node *n = map->first; n; n = n->next) {
        mbs_nearest nearest;
        const char *near = mbs_param_find(s->rows, s->n_rows, n->key->text) ? NULL : meant(s, n, &nearest);
        if (near && strcmp(near, key) == 0 && !(s->also && strcmp(n->key->text, s->also) == 0)) {
            return 1;
        }
    }
    return 0;
}

static void say_missing(const mbs_schema *s, const mbs_yaml_node *map, const mbs_params *params, mbs_diags *d) {
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const mbs_param *row = mbs_param_row(s->rows, s->n_rows, i);
        const mbs_yaml_node *there = mbs_yaml_get(map, row->key);
        if (!(row->flags & MBS_PARAM_F_REQUIRED) || mbs_params_told(params, row->key) ||
            (there && !mbs_yaml_is_null(there)) || misspelt(s, map, row->key)) {
            continue;
        }
        int option = s->path_option && strcmp(row->key, "path") == 0;
        mbs_diag_error(d, map->at, "%s: '%s' is missing: %s%s%s", s->label, row->key, row->help,
                       option ? "; name it here or with " : "", option ? s->path_option : "");
    }
}

void mbs_schema_fill(const mbs_schema *s, const mbs_yaml_node *map, mbs_params *params, mbs_arena *arena,
                     mbs_diags *d) {
    for (const mbs_yaml_node *n = map->first; n; n = n->next) {
        const char *key = n->key->text;
        const mbs_param *row = mbs_param_find(s->rows, s->n_rows, key);
        mbs_params *to = params;
        if (!row && s->host_rows) {
            row = mbs_param_find(s->host_rows, s->n_host_rows, key);
            to = s->host;
        }
        if (n->bad || n->key->bad || (s->also && strcmp(key, s->also) == 0) || mbs_words_find(s->nested, key) >= 0 ||
            (s->refuse && s->refuse(d, n))) {
            continue;
        }
        if (!row) {
            say_unknown(s, n, d);
            continue;
        }
        if (row->flags & MBS_PARAM_F_DEPRECATED) {
            mbs_diag_status(d, n->key->at, MBS_OK, "%s: '%s' is deprecated: %s", s->label, key, row->help);
        }
        int pieces = map->flow ? say_cut(s, key, n, 1, d) : 0;
        if (pieces == 0 && !mbs_yaml_is_null(n)) {
            take(s, row, n, to, arena, d);
        }
        while (pieces-- > 0) {
            n = n->next;
        }
    }
    say_missing(s, map, params, d);
}
