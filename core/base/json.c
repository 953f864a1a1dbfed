#include "base/json.h"

#include <json.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"

/* An mbs_json is a json_object under another name. json-c's readers take pointers that are not const, but change
 * nothing. */
static json_object *native(const mbs_json *v) {
    union {
        const mbs_json *in;
        json_object *out;
    } u = {v};
    return u.out;
}

static const mbs_json *wrapped(json_object *v) {
    return (const mbs_json *)(const void *)v;
}

static mbs_status bad_text(const char *name, const char *text, size_t at, const char *why, mbs_err *err) {
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < at; i++) {
        line += text[i] == '\n';
        column = text[i] == '\n' ? 1 : column + 1;
    }
    char where[sizeof err->where];
    snprintf(where, sizeof where, "%.400s:%zu:%zu", name, line, column);
    return mbs_fail(err, MBS_ERR_DATA, where, "not valid JSON: %s (byte %zu)", why, at);
}

mbs_status mbs_json_parse(const char *name, const char *text, size_t len, mbs_json **root, mbs_err *err) {
    *root = NULL;
    if (len > INT_MAX - 1) {
        return mbs_fail(err, MBS_ERR_DATA, name, "too large: %zu bytes of JSON", len);
    }
    const char *nul = memchr(text, '\0', len);
    if (nul) {
        return bad_text(name, text, (size_t)(nul - text), "a NUL byte", err);
    }
    json_tokener *tok = json_tokener_new_ex(MBS_JSON_DEPTH);
    if (!tok) {
        return mbs_fail_memory(err, name, len);
    }
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *v = len ? json_tokener_parse_ex(tok, text, (int)len) : NULL;
    enum json_tokener_error why = len ? json_tokener_get_error(tok) : json_tokener_continue;
    size_t at = len ? json_tokener_get_parse_end(tok) : 0;
    if (why == json_tokener_continue && len) {
        /* A number at the very end is complete only once something follows it. */
        v = json_tokener_parse_ex(tok, "", 1);
        why = json_tokener_get_error(tok);
        if (why == json_tokener_error_parse_eof) {
            why = json_tokener_continue;
        }
        at = len;
    }
    json_tokener_free(tok);
    if (why == json_tokener_continue) {
        bad_text(name, text, at, len ? "it ends in the middle" : "it is empty", err);
        mbs_err_fix(err, "the file looks cut off: copy or download it again");
        return MBS_ERR_DATA;
    }
    if (why == json_tokener_error_depth) {
        return bad_text(name, text, at, "nested too deep", err);
    }
    if (why != json_tokener_success) {
        return bad_text(name, text, at, json_tokener_error_desc(why), err);
    }
    if (!v) {
        return mbs_fail(err, MBS_ERR_DATA, name, "it holds nothing but null");
    }
    *root = (mbs_json *)(void *)v;
    return MBS_OK;
}

mbs_status mbs_json_load(const char *path, size_t limit, mbs_json **root, mbs_err *err) {
    char *text;
    size_t len;
    *root = NULL;
    mbs_status status = mbs_path_read(path, limit, &text, &len, err);
    if (status == MBS_OK) {
        status = mbs_json_parse(path, text, len, root, err);
        mbs_free(text);
    }
    return status;
}

void mbs_json_free(mbs_json *root) {
    json_object_put(native(root));
}

mbs_json_kind mbs_json_kind_of(const mbs_json *v) {
    switch (json_object_get_type(native(v))) {
    case json_type_boolean:
        return MBS_JSON_BOOL;
    case json_type_int:
        return MBS_JSON_INT;
    case json_type_double:
        return MBS_JSON_DOUBLE;
    case json_type_string:
        return MBS_JSON_STRING;
    case json_type_array:
        return MBS_JSON_ARRAY;
    case json_type_object:
        return MBS_JSON_OBJECT;
    case json_type_null:
        break;
    }
    return MBS_JSON_NULL;
}

size_t mbs_json_len(const mbs_json *v) {
    json_object *o = native(v);
    if (json_object_is_type(o, json_type_array)) {
        return json_object_array_length(o);
    }
    return json_object_is_type(o, json_type_object) ? (size_t)json_object_object_length(o) : 0;
}

const mbs_json *mbs_json_at(const mbs_json *v, size_t i) {
    json_object *o = native(v);
    int inside = json_object_is_type(o, json_type_array) && i < json_object_array_length(o);
    return inside ? wrapped(json_object_array_get_idx(o, i)) : NULL;
}

int mbs_json_has(const mbs_json *v, const char *key) {
    json_object *o = native(v);
    return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, NULL);
}

const mbs_json *mbs_json_get(const mbs_json *v, const char *key) {
    json_object *o = native(v);
    json_object *found = NULL;
    if (json_object_is_type(o, json_type_object)) {
        json_object_object_get_ex(o, key, &found);
    }
    return wrapped(found);
}

int mbs_json_as_int(const mbs_json *v, int64_t *out) {
    json_object *o = native(v);
    if (json_object_is_type(o, json_type_int)) {
        int64_t n = json_object_get_int64(o);
        /* Past the range json-c answers with the nearest end. */
        if ((n == INT64_MAX && json_object_get_uint64(o) != INT64_MAX) || n == INT64_MIN) {
            return 0;
        }
        *out = n;
        return 1;
    }
    if (json_object_is_type(o, json_type_double)) {
        double d = json_object_get_double(o);
        if (d >= -0x1p53 && d <= 0x1p53 && d == floor(d)) {
            *out = (int64_t)d;
            return 1;
        }
    }
    return 0;
}

int mbs_json_as_double(const mbs_json *v, double *out) {
    json_object *o = native(v);
    if (!json_object_is_type(o, json_type_double) && !json_object_is_type(o, json_type_int)) {
        return 0;
    }
    *out = json_object_get_double(o);
    return 1;
}

int mbs_json_as_bool(const mbs_json *v, int *out) {
    json_object *o = native(v);
    if (!json_object_is_type(o, json_type_boolean)) {
        return 0;
    }
    *out = json_object_get_boolean(o) ? 1 : 0;
    return 1;
}

int mbs_json_as_string(const mbs_json *v, const char **out) {
    json_object *o = native(v);
    if (!json_object_is_type(o, json_type_string)) {
        return 0;
    }
    const char *s = json_object_get_string(o);
    if (strlen(s) != (size_t)json_object_get_string_len(o)) {
        return 0;
    }
    *out = s;
    return 1;
}

static void wanted(const char *key, const char *what, const mbs_json *v, mbs_err *err) {
    static const char *const kinds[] = {"null",     "true or false", "an integer", "a number",
                                        "a string", "a list",        "an object"};
    mbs_json_kind kind = mbs_json_kind_of(v);
    if (kind == MBS_JSON_INT || kind == MBS_JSON_DOUBLE || kind == MBS_JSON_STRING) {
        const char *text = json_object_to_json_string(native(v));
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%s': %s is wanted, not %.80s", key, what, text ? text : kinds[kind]);
    } else {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%s': %s is wanted, not %s", key, what, kinds[kind]);
    }
}

int64_t mbs_json_int(const mbs_json *obj, const char *key, int64_t otherwise, mbs_err *err) {
    const mbs_json *v = mbs_json_get(obj, key);
    int64_t n = otherwise;
    if (v && !mbs_json_as_int(v, &n)) {
        wanted(key, "an integer", v, err);
    }
    return n;
}

int64_t mbs_json_int_in(const mbs_json *obj, const char *key, int64_t otherwise, int64_t min, int64_t max,
                        mbs_err *err) {
    const mbs_json *v = mbs_json_get(obj, key);
    int64_t n = mbs_json_int(obj, key, otherwise, err);
    if (v && mbs_json_as_int(v, &n) && (n < min || n > max)) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%s': %lld is not in %lld..%lld", key, (long long)n, (long long)min,
                 (long long)max);
        return otherwise;
    }
    return n;
}

int64_t mbs_json_int_auto(const mbs_json *obj, const char *key, int64_t otherwise, int64_t automatic, mbs_err *err) {
    const mbs_json *v = mbs_json_get(obj, key);
    const char *word;
    int64_t n = otherwise;
    if (mbs_json_as_string(v, &word) && strcmp(word, "auto") == 0) {
        return automatic;
    }
    if (v && !mbs_json_as_int(v, &n)) {
        wanted(key, "an integer or \"auto\"", v, err);
    }
    return n;
}

double mbs_json_double(const mbs_json *obj, const char *key, double otherwise, mbs_err *err) {
    const mbs_json *v = mbs_json_get(obj, key);
    double d = otherwise;
    if (v && !mbs_json_as_double(v, &d)) {
        wanted(key, "a number", v, err);
    }
    return d;
}

int mbs_json_bool(const mbs_json *obj, const char *key, int otherwise, mbs_err *err) {
    const mbs_json *v = mbs_json_get(obj, key);
    int b = otherwise;
    if (v && !mbs_json_as_bool(v, &b)) {
        wanted(key, "true or false", v, err);
    }
    return b;
}

const char *mbs_json_string(const mbs_json *obj, const char *key, const char *otherwise, mbs_err *err) {
    const mbs_json *v = mbs_json_get(obj, key);
    const char *s = otherwise;
    if (v && !mbs_json_as_string(v, &s)) {
        wanted(key, "a string without NUL", v, err);
    }
    return s;
}

static const mbs_json *member(const mbs_json *obj, const char *key, mbs_json_kind kind, const char *what,
                              mbs_err *err) {
    const mbs_json *v = mbs_json_get(obj, key);
    if (v && mbs_json_kind_of(v) != kind) {
        wanted(key, what, v, err);
        return NULL;
    }
    return v;
}

const mbs_json *mbs_json_array(const mbs_json *obj, const char *key, mbs_err *err) {
    return member(obj, key, MBS_JSON_ARRAY, "a list", err);
}

const mbs_json *mbs_json_object(const mbs_json *obj, const char *key, mbs_err *err) {
    return member(obj, key, MBS_JSON_OBJECT, "an object", err);
}

mbs_status mbs_json_need(const mbs_json *obj, const char *key, mbs_err *err) {
    return mbs_json_get(obj, key) ? MBS_OK : mbs_fail(err, MBS_ERR_DATA, NULL, "'%s' is missing", key);
}

static mbs_json_iter iter_at(const struct lh_entry *e) {
    mbs_json_iter it = {NULL, NULL, e};
    if (e) {
        it.key = lh_entry_k(e);
        it.value = wrapped(lh_entry_v(e));
    }
    return it;
}

mbs_json_iter mbs_json_first(const mbs_json *obj) {
    json_object *o = native(obj);
    return iter_at(json_object_is_type(o, json_type_object) ? lh_table_head(json_object_get_object(o)) : NULL);
}

void mbs_json_next(mbs_json_iter *it) {
    *it = iter_at(lh_entry_next(it->at));
}

void mbs_json_put_string(mbs_buf *b, const char *s) {
    mbs_buf_putc(b, '"');
    for (const char *end = s + strlen(s); s < end;) {
        unsigned char c = (unsigned char)*s;
        size_t n = mbs_text_char(s, (size_t)(end - s));
        if (c == '"' || c == '\\') {
            mbs_buf_printf(b, "\\%c", c);
        } else if (n) {
            mbs_buf_append(b, s, n);
        } else if (c < 0x80) {
            mbs_buf_printf(b, "\\u%04x", c);
        } else {
            mbs_buf_puts(b, "\\ufffd");
        }
        s += n ? n : 1;
    }
    mbs_buf_putc(b, '"');
}

void mbs_json_put_double(mbs_buf *b, double v) {
    char text[32];
    if (!isfinite(v)) {
        mbs_buf_puts(b, "null");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    /* An embedding program may have set a locale with a decimal comma. */
    char *comma = strchr(text, ',');
    if (comma) {
        *comma = '.';
    }
    mbs_buf_puts(b, text);
}
