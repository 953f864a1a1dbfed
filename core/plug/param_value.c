#include "plug/param_value.h"

#include <string.h>

#include "base/path.h"
#include "opt/nearest.h"
#include "opt/value.h"
#include "plug/glob.h"

int mbs_param_is_list(int32_t type) {
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

static int parse_number(const mbs_param *row, const char *text, mbs_param_value *v, mbs_buf *why) {
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
static mbs_status parse_paths(mbs_arena *a, const mbs_param *row, const char *const *texts, int n, mbs_param_value *v,
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
        rc = keep_texts(a, (const char *const *)found.items, v->n, &v->items);
    }
    mbs_paths_free(&found);
    if (rc == MBS_ERR_MEMORY) {
        return no_memory(why);
    }
    return rc;
}

mbs_status mbs_param_value_parse(mbs_arena *a, const mbs_param *row, const char *const *texts, int n, int is_list,
                                 mbs_param_value *v, mbs_buf *why) {
    if (is_list && !mbs_param_is_list(row->type)) {
        if (why) {
            mbs_buf_printf(why, "is a list, must be %s", one_of_type(row->type));
        }
        return MBS_ERR_CONFIG;
    }
    if (keep_texts(a, texts, n, &v->written)) {
        return no_memory(why);
    }
    v->n_written = n;
    v->n = n;
    v->items = v->written;
    int word = 0;
    switch (row->type) {
    case MBS_PARAM_PATH:
    case MBS_PARAM_PATHS: {
        mbs_status rc = parse_paths(a, row, texts, n, v, why);
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

#define NO_ROOM (-2)

/* A default is written as YAML would: for a list also "[a, b]", of plain words. How many; -1: no list; or NO_ROOM. */
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
                return NO_ROOM;
            }
        }
        p = stop;
    }
    *texts = out;
    return out ? n : NO_ROOM;
}

mbs_status mbs_param_value_default(mbs_arena *a, const mbs_param *row, mbs_param_value *v, mbs_buf *why) {
    mbs_param_value fresh = {.state = MBS_VALUE_DEFAULTED};
    const char *const *texts = &row->def;
    const char **items = NULL;
    int n = 1;
    int is_list = 0;
    if (mbs_param_is_list(row->type) && row->def[0] == '[') {
        n = split_list(a, row->def, &items);
        texts = (const char *const *)items;
        is_list = 1;
        if (n == NO_ROOM) {
            return no_memory(why);
        }
        if (n < 0) {
            if (why) {
                mbs_buf_printf(why, "is %s, must be a list such as [a, b]", row->def);
            }
            return MBS_ERR_CONFIG;
        }
    }
    mbs_status rc = mbs_param_value_parse(a, row, texts, n, is_list, &fresh, why);
    if (rc == MBS_OK) {
        *v = fresh;
    }
    return rc;
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

void mbs_param_value_put(mbs_buf *out, const mbs_param *row, const mbs_param_value *v) {
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
