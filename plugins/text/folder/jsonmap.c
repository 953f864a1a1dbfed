#include "text/folder/jsonmap.h"

#include <string.h>

const char *tf_json_start(const char *text) {
    if (!text) {
        return NULL;
    }
    text += strspn(text, " \t\r\n");
    return *text ? text : NULL;
}

static const char *skip_string(const char *at) {
    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1]) {
            at++;
        }
    }
    return *at ? at + 1 : NULL;
}

/* Behind a value. Brackets are counted, not matched: a text that is no JSON ends in NULL or in nonsense, not in harm.
 */
static const char *skip_value(const char *at) {
    int depth = 0;
    do {
        at = tf_json_start(at);
        if (!at) {
            return NULL;
        }
        if (*at == '"') {
            at = skip_string(at);
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            depth--;
            at++;
        } else if (*at == ',' || *at == ':') {
            at++;
        } else {
            at += strcspn(at, " \t\r\n,:{}[]\"");
        }
    } while (at && depth > 0);
    return depth == 0 ? at : NULL;
}

/* At a key: its value. */
static const char *member_at(const char *at, const char **key) {
    at = tf_json_start(at);
    if (!at || *at != '"') {
        return NULL;
    }
    *key = at;
    at = tf_json_start(skip_string(at));
    return at && *at == ':' ? tf_json_start(at + 1) : NULL;
}

const char *tf_json_first(const char *object, const char **key) {
    object = tf_json_start(object);
    return object && *object == '{' ? member_at(object + 1, key) : NULL;
}

const char *tf_json_next(const char *value, const char **key) {
    const char *at = tf_json_start(skip_value(value));
    return at && *at == ',' ? member_at(at + 1, key) : NULL;
}

const char *tf_json_item(const char *array) {
    array = tf_json_start(array);
    array = array && *array == '[' ? tf_json_start(array + 1) : NULL;
    return array && *array != ']' ? array : NULL;
}

const char *tf_json_item_next(const char *value) {
    const char *at = tf_json_start(skip_value(value));
    return at && *at == ',' ? tf_json_start(at + 1) : NULL;
}

int tf_json_true(const char *value) {
    value = tf_json_start(value);
    return value && strncmp(value, "true", 4) == 0;
}

const char *tf_json_member(const char *object, const char *key) {
    const char *own;
    char name[128];
    for (const char *v = tf_json_first(object, &own); v; v = tf_json_next(v, &own)) {
        if (tf_json_string(own, name, sizeof(name)) && strcmp(name, key) == 0) {
            return v;
        }
    }
    return NULL;
}

static int hex4(const char *at, unsigned *code) {
    *code = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10u
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10u
                                            : 16u;
        if (d > 15) {
            return 0;
        }
        *code = *code << 4 | d;
    }
    return 1;
}

int tf_json_string(const char *value, char *to, size_t n) {
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    value = tf_json_start(value);
    if (!value || *value != '"') {
        return 0;
    }
    size_t len = 0;
    for (value++; *value && *value != '"'; value++) {
        unsigned code = (unsigned char)*value;
        if (*value == '\\') {
            value++;
            const char *e = escapes;
            while (*e && *e != *value) {
                e += 2;
            }
            if (*value && *e) {
                code = (unsigned char)e[1];
            } else if (*value == 'u' && hex4(value + 1, &code) && code > 0 && code < 128) {
                value += 4; /* no token of letters needs more */
            } else {
                return 0;
            }
        }
        if (len + 1 >= n) {
            return 0;
        }
        to[len++] = (char)code;
    }
    to[len] = '\0';
    return *value == '"';
}

int tf_json_int(const char *value, int64_t *number) {
    value = tf_json_start(value);
    int negative = value && *value == '-';
    value += negative;
    if (!value || *value < '0' || *value > '9') {
        return 0;
    }
    int64_t v = 0;
    for (; *value >= '0' && *value <= '9'; value++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *value - '0', &v)) {
            return 0;
        }
    }
    if (*value == '.' || *value == 'e' || *value == 'E') {
        return 0;
    }
    *number = negative ? -v : v;
    return 1;
}

/* --- whole texts ---------------------------------------------------------------------------------------------- */

#define DEPTH_MAX 64

typedef struct check {
    const char *at, *end;
} check;

static void blanks(check *c) {
    while (c->at < c->end && strchr(" \t\r\n", *c->at) && *c->at) {
        c->at++;
    }
}

static int take(check *c, char want) {
    blanks(c);
    int is = c->at < c->end && *c->at == want;
    c->at += is;
    return is;
}

static int good_string(check *c) {
    if (!take(c, '"')) {
        return 0;
    }
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        unsigned code;
        if ((unsigned char)*c->at < ' ') {
            return 0;
        }
        if (*c->at != '\\') {
            continue;
        }
        c->at++;
        if (c->at >= c->end || !*c->at || !strchr("\"\\/bfnrtu", *c->at) ||
            (*c->at == 'u' && !hex4(c->at + 1, &code))) {
            return 0;
        }
    }
    return take(c, '"');
}

static int good_number(check *c) {
    const char *at = c->at;
    at += *at == '-';
    size_t whole = strspn(at, "0123456789");
    if (whole == 0) {
        return 0;
    }
    at += whole;
    if (*at == '.') {
        size_t part = strspn(at + 1, "0123456789");
        at += 1 + part;
        if (part == 0) {
            return 0;
        }
    }
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        size_t power = strspn(at, "0123456789");
        at += power;
        if (power == 0) {
            return 0;
        }
    }
    c->at = at;
    return 1;
}

static int good_value(check *c, int depth);

/* Behind the bracket. */
static int good_members(check *c, char close, int depth) {
    if (take(c, close)) {
        return 1;
    }
    do {
        if ((close == '}' && (!good_string(c) || !take(c, ':'))) || !good_value(c, depth)) {
            return 0;
        }
    } while (take(c, ','));
    return take(c, close);
}

static int good_value(check *c, int depth) {
    /* The last three as Python writes them: tokenizers without a longest length have Infinity for one. */
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    blanks(c);
    if (c->at >= c->end || depth > DEPTH_MAX) {
        return 0;
    }
    if (*c->at == '"') {
        return good_string(c);
    }
    if (*c->at == '{' || *c->at == '[') {
        char close = *c->at++ == '{' ? '}' : ']';
        return good_members(c, close, depth + 1);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strncmp(c->at, words[i], strlen(words[i])) == 0) {
            c->at += strlen(words[i]);
            return 1;
        }
    }
    return good_number(c);
}

const char *tf_json_damage(const char *text, size_t n) {
    check c = {text, text + n};
    blanks(&c);
    if (c.at == c.end || *c.at != '{' || !good_value(&c, 0)) {
        return c.at;
    }
    blanks(&c);
    return c.at == c.end ? NULL : c.at;
}
