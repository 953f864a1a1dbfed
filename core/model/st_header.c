#include "model/st_header.h"

#include <inttypes.h>
#include <string.h>

typedef struct parser {
    const unsigned char *begin;
    const unsigned char *p;
    const unsigned char *end;
    const char *path;
    st_header *out;
    mbs_err *err;
} parser;

typedef struct text {
    const char *data;
    size_t len;
} text;

/* Messages show at most this much of a name. */
static int shown(size_t len) {
    return len > 120 ? 120 : (int)len;
}

static mbs_status bad(parser *s, const char *why) {
    return mbs_fail(s->err, MBS_ERR_DATA, s->path, "header byte %zu: %s", (size_t)(s->p - s->begin), why);
}

static mbs_status bad_tensor(parser *s, text name, const char *why) {
    return mbs_fail(s->err, MBS_ERR_DATA, s->path, "tensor '%.*s': %s (header byte %zu)", shown(name.len), name.data,
                    why, (size_t)(s->p - s->begin));
}

static void skip_space(parser *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r')) {
        s->p++;
    }
}

/* Skips space, then takes `c` if it is next. */
static int take(parser *s, unsigned char c) {
    skip_space(s);
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return 1;
    }
    return 0;
}

/* Length of the UTF-8 character at p, 0 where it is not one (RFC 3629: no overlong forms, no surrogates). */
static size_t utf8_length(const unsigned char *p, const unsigned char *end) {
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
               : (p[0] & 0xF0) == 0xE0       ? 3
               : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                             : 0;
    if (n == 0 || (size_t)(end - p) < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F)) {
        return 0;
    }
    return n;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(const unsigned char *p, const unsigned char *end) {
    if (end - p < 4) {
        return -1;
    }
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = p[i];
        int lower = c | 0x20;
        if (c >= '0' && c <= '9') {
            v = v * 16 + (c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            v = v * 16 + (lower - 'a' + 10);
        } else {
            return -1;
        }
    }
    return v;
}

static size_t put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* The escape behind a backslash at *p: moves *p behind it and gives the character, or -1. */
static int64_t escape(const unsigned char **p, const unsigned char *end) {
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const unsigned char *q = *p;
    if (q >= end) {
        return -1;
    }
    if (*q != 'u') {
        const char *at = *q ? strchr(from, *q) : NULL;
        *p = q + 1;
        return at ? to[at - from] : -1;
    }
    int32_t unit = hex4(q + 1, end);
    if (unit < 0) {
        return -1;
    }
    if (unit < 0xD800 || unit > 0xDFFF) {
        *p = q + 5;
        return unit;
    }
    int32_t low = unit < 0xDC00 && end - q >= 11 && q[5] == '\\' && q[6] == 'u' ? hex4(q + 7, end) : -1;
    if (low < 0xDC00 || low > 0xDFFF) {
        return -1;
    }
    *p = q + 11;
    return 0x10000 + ((int64_t)(unit - 0xD800) << 10) + (low - 0xDC00);
}

/* Decodes a checked string of `len` raw bytes into the arena. */
static mbs_status decode(parser *s, const unsigned char *raw, size_t len, text *out) {
    if (!s->out->names) {
        s->out->names = mbs_arena_new();
    }
    char *data = s->out->names ? mbs_arena_alloc(s->out->names, len + 1) : NULL;
    if (!data) {
        return mbs_fail_memory(s->err, s->path, len + 1);
    }
    size_t n = 0;
    for (const unsigned char *p = raw; p < raw + len;) {
        if (*p != '\\') {
            data[n++] = (char)*p++;
            continue;
        }
        p++;
        n += put_utf8(data + n, (uint32_t)escape(&p, raw + len));
    }
    *out = (text){data, n};
    return MBS_OK;
}

static mbs_status string(parser *s, text *out) {
    if (!take(s, '"')) {
        return bad(s, "a string was expected");
    }
    const unsigned char *raw = s->p;
    int escaped = 0;
    for (;;) {
        if (s->p >= s->end) {
            return bad(s, "a string without end");
        }
        unsigned char c = *s->p;
        if (c == '"') {
            break;
        }
        if (c == '\\') {
            escaped = 1;
            s->p++;
            if (escape(&s->p, s->end) < 0) {
                return bad(s, "not a valid escape in a string");
            }
        } else if (c >= 0x20 && c < 0x80) {
            s->p++;
        } else {
            size_t n = c < 0x20 ? 0 : utf8_length(s->p, s->end);
            if (n == 0) {
                return bad(s, c < 0x20 ? "a control byte in a string" : "not UTF-8");
            }
            s->p += n;
        }
    }
    size_t len = (size_t)(s->p - raw);
    s->p++;
    *out = (text){(const char *)raw, len};
    return escaped ? decode(s, raw, len, out) : MBS_OK;
}

static int same(text a, const char *b) {
    return a.len == strlen(b) && memcmp(a.data, b, a.len) == 0;
}

/* A whole number that fits 63 bits. */
static mbs_status whole(parser *s, text name, const char *what, uint64_t *out) {
    skip_space(s);
    const unsigned char *first = s->p;
    uint64_t v = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        unsigned digit = (unsigned)(*s->p - '0');
        if (v > ((uint64_t)INT64_MAX - digit) / 10) {
            return mbs_fail(s->err, MBS_ERR_DATA, s->path, "tensor '%.*s': %s: a number beyond 2^63-1", shown(name.len),
                            name.data, what);
        }
        v = v * 10 + digit;
        s->p++;
    }
    int leading_zero = s->p - first > 1 && *first == '0';
    int goes_on = s->p < s->end && (*s->p == '.' || *s->p == 'e' || *s->p == 'E');
    if (s->p == first || leading_zero || goes_on) {
        return mbs_fail(s->err, MBS_ERR_DATA, s->path,
                        "tensor '%.*s': %s: a whole number was expected (header byte %zu)", shown(name.len), name.data,
                        what, (size_t)(first - s->begin));
    }
    *out = v;
    return MBS_OK;
}

static mbs_status shape(parser *s, text name, mbs_st_tensor *t) {
    st_header *h = s->out;
    if (!take(s, '[')) {
        return bad_tensor(s, name, "'shape' is not a list");
    }
    t->dims_at = (uint32_t)h->n_dims;
    if (take(s, ']')) {
        return MBS_OK;
    }
    do {
        uint64_t v;
        if (t->ndim >= MBS_ST_MAX_RANK) {
            return bad_tensor(s, name, "more than 8 dimensions");
        }
        mbs_status st = whole(s, name, "'shape'", &v);
        if (st < 0) {
            return st;
        }
        int64_t *dims = mbs_grow(h->dims, &h->dims_cap, h->n_dims + 1, sizeof *dims);
        if (!dims) {
            return mbs_fail_memory(s->err, s->path, (h->n_dims + 1) * sizeof *dims);
        }
        h->dims = dims;
        h->dims[h->n_dims++] = (int64_t)v;
        t->ndim++;
    } while (take(s, ','));
    return take(s, ']') ? MBS_OK : bad_tensor(s, name, "'shape' is not a list of numbers");
}

static mbs_status offsets(parser *s, text name, mbs_st_tensor *t) {
    if (!take(s, '[')) {
        return bad_tensor(s, name, "'data_offsets' is not a list");
    }
    mbs_status st = whole(s, name, "'data_offsets'", &t->begin);
    if (st < 0) {
        return st;
    }
    if (!take(s, ',')) {
        return bad_tensor(s, name, "'data_offsets' is not a pair");
    }
    st = whole(s, name, "'data_offsets'", &t->end);
    if (st < 0) {
        return st;
    }
    return take(s, ']') ? MBS_OK : bad_tensor(s, name, "'data_offsets' is not a pair");
}

static mbs_status dtype(parser *s, text name, mbs_st_tensor *t) {
    text type;
    mbs_status st = string(s, &type);
    if (st < 0) {
        return st;
    }
    int code = mbs_dtype_parse(type.data, type.len);
    if (code < 0) {
        return mbs_fail(s->err, MBS_ERR_DATA, s->path, "tensor '%.*s': unknown dtype '%.*s'", shown(name.len),
                        name.data, shown(type.len), type.data);
    }
    t->dtype = (uint8_t)code;
    return MBS_OK;
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

/* One "key": value of a tensor's entry; *seen collects the keys. */
static mbs_status member(parser *s, text name, mbs_st_tensor *t, unsigned *seen) {
    text key;
    mbs_status st = string(s, &key);
    if (st < 0) {
        return st;
    }
    unsigned which = same(key, "dtype")          ? HAS_DTYPE
                     : same(key, "shape")        ? HAS_SHAPE
                     : same(key, "data_offsets") ? HAS_OFFSETS
                                                 : 0;
    if (which == 0 || (*seen & which)) {
        return mbs_fail(s->err, MBS_ERR_DATA, s->path, "tensor '%.*s': the key '%.*s' is %s", shown(name.len),
                        name.data, shown(key.len), key.data, which ? "there twice" : "unknown");
    }
    *seen |= which;
    if (!take(s, ':')) {
        return bad_tensor(s, name, "a ':' was expected");
    }
    return which == HAS_DTYPE ? dtype(s, name, t) : which == HAS_SHAPE ? shape(s, name, t) : offsets(s, name, t);
}

static mbs_status tensor(parser *s, text name) {
    mbs_st_tensor t = {.name = name.data, .name_len = (uint32_t)name.len};
    unsigned seen = 0;
    if (!take(s, '{')) {
        return bad_tensor(s, name, "its entry is not an object");
    }
    if (!take(s, '}')) {
        do {
            mbs_status st = member(s, name, &t, &seen);
            if (st < 0) {
                return st;
            }
        } while (take(s, ','));
        if (!take(s, '}')) {
            return bad_tensor(s, name, "a ',' or '}' was expected");
        }
    }
    if (seen != HAS_ALL) {
        return bad_tensor(s, name,
                          !(seen & HAS_DTYPE)   ? "'dtype' is missing"
                          : !(seen & HAS_SHAPE) ? "'shape' is missing"
                                                : "'data_offsets' is missing");
    }
    st_header *h = s->out;
    mbs_st_tensor *grown = mbs_grow(h->tensors, &h->cap, h->count + 1, sizeof *grown);
    if (!grown) {
        return mbs_fail_memory(s->err, s->path, (h->count + 1) * sizeof *grown);
    }
    h->tensors = grown;
    h->tensors[h->count++] = t;
    return MBS_OK;
}

/* Strings by strings; nothing of it is kept. */
static mbs_status metadata(parser *s) {
    if (!take(s, '{')) {
        return bad(s, "'__metadata__' is not an object");
    }
    if (take(s, '}')) {
        return MBS_OK;
    }
    do {
        text ignored;
        mbs_status st = string(s, &ignored);
        if (st < 0) {
            return st;
        }
        if (!take(s, ':')) {
            return bad(s, "a ':' was expected");
        }
        skip_space(s);
        if (s->p >= s->end || *s->p != '"') {
            return bad(s, "'__metadata__' holds something that is not a string");
        }
        st = string(s, &ignored);
        if (st < 0) {
            return st;
        }
    } while (take(s, ','));
    return take(s, '}') ? MBS_OK : bad(s, "a ',' or '}' was expected");
}

static mbs_status members(parser *s) {
    int has_metadata = 0;
    do {
        text name;
        mbs_status st = string(s, &name);
        if (st < 0) {
            return st;
        }
        if (!take(s, ':')) {
            return bad(s, "a ':' was expected");
        }
        if (same(name, "__metadata__")) {
            if (has_metadata++) {
                return bad(s, "'__metadata__' is there twice");
            }
            st = metadata(s);
        } else {
            st = tensor(s, name);
        }
        if (st < 0) {
            return st;
        }
    } while (take(s, ','));
    return MBS_OK;
}

mbs_status st_header_parse(const char *path, const char *json, size_t len, st_header *out, mbs_err *err) {
    const unsigned char *begin = (const unsigned char *)json;
    parser s = {begin, begin, begin + len, path, out, err};
    if (len == 0 || *s.p != '{') {
        return bad(&s, "the header does not begin with '{': not a safetensors file");
    }
    s.p++;
    if (!take(&s, '}')) {
        mbs_status st = members(&s);
        if (st < 0) {
            return st;
        }
        if (!take(&s, '}')) {
            return bad(&s, "a ',' or '}' was expected");
        }
    }
    skip_space(&s);
    return s.p == s.end ? MBS_OK : bad(&s, "something behind the closing '}'");
}

void st_header_free(st_header *h) {
    mbs_free(h->tensors);
    mbs_free(h->dims);
    mbs_arena_free(h->names);
    memset(h, 0, sizeof *h);
}
