#include "plug/params.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "opt/nearest.h"
#include "opt/value.h"
#include "plug/glob.h"

typedef enum value_state { ABSENT = 0, DEFAULTED, TOLD } value_state;

typedef struct value {
    value_state state;
    int is_word;    /* one of `words` of a type that is no enum: items[0] is it */
    int64_t number; /* BOOL, INT, SIZE */
    double real;    /* FLOAT, DURATION */
    int64_t n;      /* of items */
    char **items;   /* texts, paths resolved and globs expanded */
    int64_t n_written;
    char **written; /* paths as the user wrote them */
} value;

struct mbs_params {
    const mbs_param *rows;
    uint32_t n_rows;
    value *values;
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

static int is_list_type(int32_t type) {
    return type == MBS_PARAM_LIST || type == MBS_PARAM_PATHS;
}

static const char *one_of_type(int32_t type) {
    switch (type) {
    case MBS_PARAM_BOOL:
        return "true or false";
    case MBS_PARAM_INT:
    case MBS_PARAM_SIZE:
        return "one whole number";
    case MBS_PARAM_FLOAT:
        return "one number";
    case MBS_PARAM_DURATION:
        return "one time";
    case MBS_PARAM_PATH:
        return "one file name";
    case MBS_PARAM_ENUM:
        return "one word";
    default:
        return "one text";
    }
}

/* What is wrong with a text of a type that also takes words: the words belong into the advice. */
static void add_words(const mbs_param *row, const char *text, mbs_buf *why) {
    if (!why || !row->words) {
        return;
    }
    mbs_nearest near;
    mbs_nearest_init(&near, text);
    mbs_nearest_offer_words(&near, row->words);
    mbs_buf_puts(why, ", or ");
    mbs_words_list(row->words, why);
    if (near.at) {
        mbs_buf_printf(why, ", did you mean '%s'?", near.best);
    }
}

static int parse_number(const mbs_param *row, const char *text, value *v, mbs_buf *why) {
    double d = 0;
    int b = 0;
    int bad;
    if (row->type == MBS_PARAM_BOOL) {
        bad = mbs_value_bool(text, &b, why);
        v->number = b;
    } else if (row->type == MBS_PARAM_FLOAT) {
        bad = mbs_value_float(text, &v->real, why);
        d = v->real;
    } else if (row->type == MBS_PARAM_DURATION) {
        bad = mbs_value_duration(text, &v->real, why);
        d = v->real;
    } else {
        bad = mbs_value_int(text, &v->number, why);
        d = (double)v->number;
    }
    if (!bad && row->flags & MBS_PARAM_F_RANGE) {
        bad = mbs_value_range(text, d, row->min, row->max, row->unit, why);
    } else if (!bad && row->type == MBS_PARAM_SIZE) {
        bad = mbs_value_range(text, d, 0, 9.3e18, row->unit, why);
    }
    if (bad) {
        add_words(row, text, why);
    }
    return bad;
}

static mbs_status no_memory(mbs_buf *why) {
    if (why) {
        mbs_buf_puts(why, "cannot be stored: out of memory");
    }
    return MBS_ERR_MEMORY;
}

static mbs_status keep_texts(mbs_arena *a, const char *const *texts, int64_t n, char ***out) {
    char **copy = mbs_arena_alloc(a, ((size_t)n + 1) * sizeof *copy);
    for (int64_t i = 0; copy && i < n; i++) {
        copy[i] = mbs_arena_strdup(a, texts[i]);
        if (!copy[i]) {
            return MBS_ERR_MEMORY;
        }
    }
    *out = copy;
    return copy ? MBS_OK : MBS_ERR_MEMORY;
}

/* File names: share: resolved; in PATHS a glob stands for what it matches, unless a file has that very name. */
static mbs_status parse_paths(mbs_params *p, const mbs_param *row, const char *const *texts, int n, value *v,
                              mbs_buf *why) {
    mbs_paths found = {0};
    mbs_status rc = MBS_OK;
    for (int i = 0; i < n && rc == MBS_OK; i++) {
        if (texts[i][0] == '\0') {
            if (why) {
                mbs_buf_puts(why, "is empty, must be a file name");
            }
            rc = MBS_ERR_CONFIG;
            break;
        }
        int word = mbs_words_find(row->words, texts[i]) >= 0;
        v->is_word = word && row->type == MBS_PARAM_PATH;
        rc = mbs_paths_add(&found, texts[i], !word, row->type == MBS_PARAM_PATHS, why);
    }
    if (rc == MBS_OK) {
        v->n = (int64_t)found.n;
        rc = keep_texts(p->arena, (const char *const *)found.items, v->n, &v->items);
    }
    mbs_paths_free(&found);
    if (rc == MBS_ERR_MEMORY) {
        return no_memory(why);
    }
    return rc;
}

static mbs_status parse(mbs_params *p, const mbs_param *row, const char *const *texts, int n, int is_list, value *v,
                        mbs_buf *why) {
    if (is_list && !is_list_type(row->type)) {
        if (why) {
            mbs_buf_printf(why, "is a list, must be %s", one_of_type(row->type));
        }
        return MBS_ERR_CONFIG;
    }
    if (keep_texts(p->arena, texts, n, &v->written)) {
        return no_memory(why);
    }
    v->n_written = n;
    v->n = n;
    v->items = v->written;
    int word = 0;
    switch (row->type) {
    case MBS_PARAM_PATH:
    case MBS_PARAM_PATHS: {
        mbs_status rc = parse_paths(p, row, texts, n, v, why);
        if (rc != MBS_OK || row->type == MBS_PARAM_PATH) {
            return rc;
        }
        break;
    }
    case MBS_PARAM_LIST:
        break;
    case MBS_PARAM_STRING:
        v->is_word = mbs_words_find(row->words, texts[0]) >= 0;
        return MBS_OK;
    case MBS_PARAM_ENUM:
        return mbs_value_enum(texts[0], row->words, &word, why) ? MBS_ERR_CONFIG : MBS_OK;
    default:
        v->is_word = mbs_words_find(row->words, texts[0]) >= 0;
        return !v->is_word && parse_number(row, texts[0], v, why) ? MBS_ERR_CONFIG : MBS_OK;
    }
    if (row->flags & MBS_PARAM_F_RANGE && ((double)v->n < row->min || (double)v->n > row->max)) {
        if (why) {
            mbs_buf_printf(why, "has %lld items, must have ", (long long)v->n);
            mbs_value_put_bound(why, row->min);
            if (row->min < row->max) {
                mbs_buf_puts(why, "..");
                mbs_value_put_bound(why, row->max);
            }
        }
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

/* A default is written as YAML would: for a list also "[a, b]", of plain words. */
static int split_list(mbs_arena *a, const char *def, const char ***texts) {
    size_t len = strlen(def);
    int n = 0;
    if (len < 2 || def[0] != '[' || def[len - 1] != ']') {
        return -1;
    }
    const char **out = mbs_arena_alloc(a, len * sizeof *out);
    const char *p = def + 1;
    const char *end = def + len - 1;
    while (out && p < end) {
        p += strspn(p, " ,");
        const char *stop = p;
        while (stop < end && *stop != ',') {
            stop++;
        }
        const char *last = stop;
        while (last > p && last[-1] == ' ') {
            last--;
        }
        if (last > p) {
            out[n] = mbs_arena_strndup(a, p, (size_t)(last - p));
            if (!out[n++]) {
                return -1;
            }
        }
        p = stop;
    }
    *texts = out;
    return out ? n : -1;
}

static mbs_status take_default(mbs_params *p, const mbs_param *row, value *v, mbs_buf *why) {
    value fresh = {.state = DEFAULTED};
    const char *const *texts = &row->def;
    const char **items = NULL;
    int n = 1;
    int is_list = 0;
    if (is_list_type(row->type) && row->def[0] == '[') {
        n = split_list(p->arena, row->def, &items);
        texts = (const char *const *)items;
        is_list = 1;
        if (n < 0) {
            if (why) {
                mbs_buf_printf(why, "is %s, must be a list such as [a, b]", row->def);
            }
            return MBS_ERR_CONFIG;
        }
    }
    mbs_status rc = parse(p, row, texts, n, is_list, &fresh, why);
    if (rc == MBS_OK) {
        *v = fresh;
    }
    return rc;
}

mbs_status mbs_params_check_default(const mbs_param *row, mbs_buf *why) {
    if (!row->def) {
        return MBS_OK;
    }
    value v = {0};
    mbs_params p = {.rows = row, .n_rows = 1, .arena = mbs_arena_new()};
    mbs_status rc = p.arena ? take_default(&p, row, &v, why) : no_memory(why);
    mbs_arena_free(p.arena);
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
        bad = row->def && take_default(p, row, &p->values[i], NULL) == MBS_ERR_MEMORY;
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
    value fresh = {.state = TOLD};
    mbs_buf tail = MBS_BUF_INIT;
    mbs_status rc;
    if (n == 0 && !is_list) {
        fresh.state = ABSENT;
        rc = row->def ? take_default(p, row, &fresh, &tail) : MBS_OK;
    } else {
        rc = parse(p, row, texts, n, is_list, &fresh, &tail);
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
    return i >= 0 && p->values[i].state == TOLD;
}

const char *mbs_params_missing(const mbs_params *p) {
    for (uint32_t i = 0; i < p->n_rows; i++) {
        const mbs_param *row = mbs_param_row(p->rows, p->n_rows, i);
        if (row->flags & MBS_PARAM_F_REQUIRED && p->values[i].state == ABSENT) {
            return row->key;
        }
    }
    return NULL;
}

/* Text as YAML flow: plain where that is surely a string to any reader, else in double quotes. */
static void put_text(mbs_buf *out, const char *s) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-:=";
    size_t len = strlen(s);
    int quote = len == 0 || strspn(s, plain) != len || strchr("-:=", s[0]) || s[len - 1] == ':' ||
                strcmp(s, "null") == 0 || strcmp(s, "Null") == 0 || strcmp(s, "NULL") == 0;
    if (!quote) {
        mbs_buf_puts(out, s);
        return;
    }
    mbs_buf_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            mbs_buf_putc(out, '\\');
            mbs_buf_putc(out, *s);
        } else if (c < 0x20 || c == 0x7F) {
            mbs_buf_printf(out, "\\x%02X", c);
        } else {
            mbs_buf_putc(out, *s);
        }
    }
    mbs_buf_putc(out, '"');
}

static void put_value(mbs_buf *out, const mbs_param *row, const value *v) {
    if (v->is_word) {
        put_text(out, v->written[0]);
        return;
    }
    switch (row->type) {
    case MBS_PARAM_BOOL:
        mbs_buf_puts(out, v->number ? "true" : "false");
        break;
    case MBS_PARAM_INT:
    case MBS_PARAM_SIZE:
        mbs_buf_printf(out, "%lld", (long long)v->number);
        break;
    case MBS_PARAM_FLOAT:
    case MBS_PARAM_DURATION:
        mbs_value_put_float(out, v->real);
        break;
    case MBS_PARAM_LIST:
    case MBS_PARAM_PATHS:
        mbs_buf_putc(out, '[');
        for (int64_t i = 0; i < v->n_written; i++) {
            mbs_buf_puts(out, i ? ", " : "");
            put_text(out, v->written[i]);
        }
        mbs_buf_putc(out, ']');
        break;
    default:
        put_text(out, v->written[0]);
        break;
    }
}

void mbs_params_canonical(const mbs_params *p, int all, mbs_buf *out) {
    int first = 1;
    for (uint32_t i = 0; i < p->n_rows; i++) {
        const mbs_param *row = mbs_param_row(p->rows, p->n_rows, i);
        if (p->values[i].state == ABSENT || (!all && row->flags & MBS_PARAM_F_NO_RESULT)) {
            continue;
        }
        mbs_buf_printf(out, "%s%s: ", first ? "" : ", ", row->key);
        put_value(out, row, &p->values[i]);
        first = 0;
    }
}

/* The row's value if it is of one of two types, else a word to the plugin's author. */
static const value *asked(const mbs_params *p, const char *key, int32_t type, int32_t or_type, const char *as) {
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
    const value *v = asked(p, key, 0, 0, "");
    return v && v->state != ABSENT;
}

int32_t mbs_params_bool(const mbs_params *p, const char *key) {
    const value *v = asked(p, key, MBS_PARAM_BOOL, MBS_PARAM_BOOL, "a truth value");
    return v ? (int32_t)v->number : 0;
}

int64_t mbs_params_int(const mbs_params *p, const char *key) {
    const value *v = asked(p, key, MBS_PARAM_INT, MBS_PARAM_SIZE, "a whole number");
    return v ? v->number : 0;
}

double mbs_params_float(const mbs_params *p, const char *key) {
    const value *v = asked(p, key, MBS_PARAM_FLOAT, MBS_PARAM_DURATION, "a number");
    return v ? v->real : 0;
}

const char *mbs_params_string(const mbs_params *p, const char *key) {
    int i = p && key ? row_index(p->rows, p->n_rows, key) : -1;
    int32_t type = i < 0 ? MBS_PARAM_STRING : mbs_param_row(p->rows, p->n_rows, (uint32_t)i)->type;
    const value *v = asked(p, key, is_list_type(type) ? MBS_PARAM_STRING : 0, MBS_PARAM_STRING, "a text");
    int is_text = type == MBS_PARAM_STRING || type == MBS_PARAM_PATH || type == MBS_PARAM_ENUM;
    return v && v->n > 0 && (is_text || v->is_word) ? v->items[0] : NULL;
}

int64_t mbs_params_count(const mbs_params *p, const char *key) {
    const value *v = asked(p, key, MBS_PARAM_LIST, MBS_PARAM_PATHS, "a list");
    return v ? v->n : 0;
}

const char *mbs_params_item(const mbs_params *p, const char *key, int64_t i) {
    const value *v = asked(p, key, MBS_PARAM_LIST, MBS_PARAM_PATHS, "a list");
    return v && i >= 0 && i < v->n ? v->items[i] : NULL;
}
