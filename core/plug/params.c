#include "plug/params.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "opt/nearest.h"
#include "opt/value.h"
#include "plug/param_value.h"

struct mbs_params {
    const mbs_param *rows;
    uint32_t n_rows;
    mbs_param_value *values;
    mbs_arena *arena;
};

const mbs_param *mbs_param_row(const mbs_param *rows, uint32_t n_rows, uint32_t i) {
    if (i >= n_rows) {
        return NULL;
    }
    return (const mbs_param *)(const void *)((const char *)rows + (size_t)i * rows->struct_size);
}

static int row_index(const mbs_param *rows, uint32_t n_rows, const char *key) {
    for (uint32_t i = 0; i < n_rows; i++) {
        if (strcmp(mbs_param_row(rows, n_rows, i)->key, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const mbs_param *mbs_param_find(const mbs_param *rows, uint32_t n_rows, const char *key) {
    int i = row_index(rows, n_rows, key);
    return i < 0 ? NULL : mbs_param_row(rows, n_rows, (uint32_t)i);
}

const char *mbs_param_nearest(const mbs_param *rows, uint32_t n_rows, const char *key) {
    mbs_nearest near;
    mbs_nearest_init(&near, key);
    for (uint32_t i = 0; i < n_rows; i++) {
        mbs_nearest_offer(&near, mbs_param_row(rows, n_rows, i)->key);
    }
    return near.at;
}

mbs_status mbs_params_check_default(const mbs_param *row, mbs_buf *why) {
    if (!row->def) {
        return MBS_OK;
    }
    mbs_param_value v = {0};
    mbs_arena *a = mbs_arena_new();
    mbs_status rc = a ? mbs_param_value_default(a, row, &v, why) : MBS_ERR_MEMORY;
    mbs_arena_free(a);
    return rc;
}

mbs_params *mbs_params_new(const mbs_param *rows, uint32_t n_rows) {
    mbs_params *p = mbs_calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->rows = rows;
    p->n_rows = n_rows;
    p->values = mbs_calloc((size_t)n_rows + 1, sizeof *p->values);
    p->arena = mbs_arena_new();
    int bad = !p->values || !p->arena;
    for (uint32_t i = 0; i < n_rows && !bad; i++) {
        const mbs_param *row = mbs_param_row(rows, n_rows, i);
        /* A default that does not fit was named when the library was checked; here it is just not there. */
        bad = row->def && mbs_param_value_default(p->arena, row, &p->values[i], NULL) == MBS_ERR_MEMORY;
    }
    if (bad) {
        mbs_params_free(p);
        return NULL;
    }
    return p;
}

void mbs_params_free(mbs_params *p) {
    if (p) {
        mbs_arena_free(p->arena);
        mbs_free(p->values);
        mbs_free(p);
    }
}

mbs_status mbs_params_set(mbs_params *p, const char *key, const char *const *texts, int n, int is_list, mbs_buf *why) {
    int i = row_index(p->rows, p->n_rows, key);
    if (i < 0) {
        if (why) {
            const char *near = mbs_param_nearest(p->rows, p->n_rows, key);
            mbs_value_put_quoted(why, key);
            mbs_buf_puts(why, " is not a parameter");
            if (near) {
                mbs_buf_printf(why, ", did you mean '%s'?", near);
            }
        }
        return MBS_ERR_CONFIG;
    }
    const mbs_param *row = mbs_param_row(p->rows, p->n_rows, (uint32_t)i);
    mbs_param_value fresh = {.state = MBS_VALUE_TOLD};
    mbs_buf tail = MBS_BUF_INIT;
    mbs_status rc;
    if (n == 0 && !is_list) {
        fresh.state = MBS_VALUE_ABSENT;
        rc = row->def ? mbs_param_value_default(p->arena, row, &fresh, &tail) : MBS_OK;
    } else {
        rc = mbs_param_value_parse(p->arena, row, texts, n, is_list, &fresh, &tail);
    }
    if (rc == MBS_OK) {
        p->values[i] = fresh;
    } else if (why) {
        mbs_buf_printf(why, "'%s' %s", key, mbs_buf_str(&tail));
    }
    mbs_buf_free(&tail);
    return rc;
}

int mbs_params_told(const mbs_params *p, const char *key) {
    int i = row_index(p->rows, p->n_rows, key);
    return i >= 0 && p->values[i].state == MBS_VALUE_TOLD;
}

const char *mbs_params_missing(const mbs_params *p) {
    for (uint32_t i = 0; i < p->n_rows; i++) {
        const mbs_param *row = mbs_param_row(p->rows, p->n_rows, i);
        if (row->flags & MBS_PARAM_F_REQUIRED && p->values[i].state == MBS_VALUE_ABSENT) {
            return row->key;
        }
    }
    return NULL;
}

static int is_hidden(const mbs_params *p, uint32_t i, int all, const char *skip) {
    const mbs_param *row = mbs_param_row(p->rows, p->n_rows, i);
    return p->values[i].state == MBS_VALUE_ABSENT || (!all && row->flags & MBS_PARAM_F_NO_RESULT) ||
           mbs_words_find(skip, row->key) >= 0;
}

void mbs_params_canonical(const mbs_params *p, int all, mbs_buf *out) {
    int first = 1;
    for (uint32_t i = 0; i < p->n_rows; i++) {
        if (!is_hidden(p, i, all, NULL)) {
            const mbs_param *row = mbs_param_row(p->rows, p->n_rows, i);
            mbs_buf_printf(out, "%s%s: ", first ? "" : ", ", row->key);
            mbs_param_value_put(out, row, &p->values[i]);
            first = 0;
        }
    }
}

void mbs_params_each(const mbs_params *p, int all, const char *skip, const char *before, const char *after,
                     mbs_buf *out) {
    for (uint32_t i = 0; i < p->n_rows; i++) {
        if (!is_hidden(p, i, all, skip)) {
            const mbs_param *row = mbs_param_row(p->rows, p->n_rows, i);
            mbs_buf_printf(out, "%s%s: ", before, row->key);
            mbs_param_value_put(out, row, &p->values[i]);
            mbs_buf_puts(out, after);
        }
    }
}

void mbs_params_pack(const mbs_params *p, mbs_buf *out) {
    mbs_buf_put_u32(out, p->n_rows);
    for (uint32_t i = 0; i < p->n_rows; i++) {
        const mbs_param_value *v = &p->values[i];
        mbs_buf_put_u32(out, (uint32_t)v->state);
        mbs_buf_put_u32(out, (uint32_t)v->is_word);
        mbs_buf_put_i64(out, v->number);
        mbs_buf_put_f64(out, v->real);
        mbs_buf_put_i64(out, v->n);
        for (int64_t k = 0; k < v->n; k++) {
            mbs_buf_put_bytes(out, v->items[k], strlen(v->items[k]));
        }
    }
}

static int unpack_value(mbs_arena *a, mbs_cursor *c, mbs_param_value *v) {
    memset(v, 0, sizeof *v);
    v->state = (mbs_value_state)mbs_cursor_u32(c);
    v->is_word = (int)mbs_cursor_u32(c);
    v->number = mbs_cursor_i64(c);
    v->real = mbs_cursor_f64(c);
    v->n = mbs_cursor_i64(c);
    if (c->failed || v->n < 0 || (uint64_t)v->n > c->left / 8) {
        v->n = 0;
        return -1;
    }
    v->items = mbs_arena_alloc(a, ((size_t)v->n + 1) * sizeof *v->items);
    for (int64_t k = 0; v->items && k < v->n; k++) {
        size_t len = 0;
        const char *text = mbs_cursor_bytes(c, &len);
        v->items[k] = c->failed ? NULL : mbs_arena_strndup(a, text, len);
        if (!v->items[k]) {
            return -1;
        }
    }
    return v->items ? 0 : -1;
}

int mbs_params_unpack(mbs_params *p, const void *bytes, size_t n) {
    mbs_cursor c = {bytes, n, 0};
    int bad = mbs_cursor_u32(&c) != p->n_rows;
    for (uint32_t i = 0; i < p->n_rows && !bad; i++) {
        bad = unpack_value(p->arena, &c, &p->values[i]);
    }
    return bad || c.failed || c.left ? -1 : 0;
}

/* The row's value if it is of one of two types, else a word to the plugin's author. */
static const mbs_param_value *asked(const mbs_params *p, const char *key, int32_t type, int32_t or_type,
                                    const char *as) {
    int i = p && key ? row_index(p->rows, p->n_rows, key) : -1;
    if (i < 0) {
        mbs_log(MBS_LOG_WARNING, "a plugin asks for its parameter '%s', which its table does not have",
                key ? key : "(null)");
        return NULL;
    }
    const mbs_param *row = mbs_param_row(p->rows, p->n_rows, (uint32_t)i);
    if (type != 0 && row->type != type && row->type != or_type) {
        mbs_log(MBS_LOG_WARNING, "a plugin asks for its parameter '%s' as %s, which it is not", key, as);
        return NULL;
    }
    return &p->values[i];
}

int32_t mbs_params_is_set(const mbs_params *p, const char *key) {
    const mbs_param_value *v = asked(p, key, 0, 0, "");
    return v && v->state != MBS_VALUE_ABSENT;
}

int32_t mbs_params_bool(const mbs_params *p, const char *key) {
    const mbs_param_value *v = asked(p, key, MBS_PARAM_BOOL, MBS_PARAM_BOOL, "a truth value");
    return v ? (int32_t)v->number : 0;
}

int64_t mbs_params_int(const mbs_params *p, const char *key) {
    const mbs_param_value *v = asked(p, key, MBS_PARAM_INT, MBS_PARAM_SIZE, "a whole number");
    return v ? v->number : 0;
}

double mbs_params_float(const mbs_params *p, const char *key) {
    const mbs_param_value *v = asked(p, key, MBS_PARAM_FLOAT, MBS_PARAM_DURATION, "a number");
    return v ? v->real : 0;
}

const char *mbs_params_string(const mbs_params *p, const char *key) {
    int i = p && key ? row_index(p->rows, p->n_rows, key) : -1;
    int32_t type = i < 0 ? MBS_PARAM_STRING : mbs_param_row(p->rows, p->n_rows, (uint32_t)i)->type;
    const mbs_param_value *v =
        asked(p, key, mbs_param_is_list(type) ? MBS_PARAM_STRING : 0, MBS_PARAM_STRING, "a text");
    int is_text = type == MBS_PARAM_STRING || type == MBS_PARAM_PATH || type == MBS_PARAM_ENUM;
    return v && v->n > 0 && (is_text || v->is_word) ? v->items[0] : NULL;
}

int64_t mbs_params_count(const mbs_params *p, const char *key) {
    const mbs_param_value *v = asked(p, key, MBS_PARAM_LIST, MBS_PARAM_PATHS, "a list");
    return v ? v->n : 0;
}

const char *mbs_params_item(const mbs_params *p, const char *key, int64_t i) {
    const mbs_param_value *v = asked(p, key, MBS_PARAM_LIST, MBS_PARAM_PATHS, "a list");
    return v && i >= 0 && i < v->n ? v->items[i] : NULL;
}
