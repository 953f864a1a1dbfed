#include "cells.h"

#include <math.h>
#include <string.h>

#include "io/rowfile/number.h"
#include "io/rowfile/span.h"

static void put(mbs_cells *c, const char *s, size_t n) {
    mbs_text_append(&c->line, s, n);
}

void mbs_cells_begin(mbs_cells *c) {
    c->line.len = 0;
    c->n = 0;
    if (c->json) {
        put(c, "{", 1);
    }
}

void mbs_cells_end(mbs_cells *c) {
    if (c->json) {
        put(c, "}", 1);
    }
    put(c, "\n", 1);
}

/* A byte that must not stand as it is; 0 where it may. */
static char short_escape(int json, unsigned char b) {
    switch (b) {
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\\':
        return '\\';
    case '"':
        return json ? '"' : 0;
    default:
        return 0;
    }
}

static void put_escaped(mbs_cells *c, const char *text, size_t i, size_t len) {
    char esc[4];
    unsigned char b = (unsigned char)text[i];
    if (len == 0 && c->json) {
        put(c, "\\ufffd", 6); /* JSON has no place for bytes that are not text */
    } else if (len <= 1 && !c->json) {
        mbs_hex_escape(esc, b);
        put(c, esc, 4);
    } else if (len == 2 && !c->json) { /* U+0080..U+009F */
        mbs_hex_escape(esc, b);
        put(c, esc, 4);
        mbs_hex_escape(esc, (unsigned char)text[i + 1]);
        put(c, esc, 4);
    } else {
        mbs_hex_escape(esc, len == 2 ? (unsigned char)text[i + 1] : b);
        put(c, "\\u00", 4);
        put(c, esc + 2, 2);
    }
}

static void put_text(mbs_cells *c, const char *text, size_t n) {
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        unsigned char b = (unsigned char)text[i];
        size_t len = mbs_utf8_length(text + i, n - i);
        char s = short_escape(c->json, b);
        int control = b < 0x20 || b == 0x7f || (len == 2 && b == 0xc2 && (unsigned char)text[i + 1] < 0xa0);
        if (s == 0 && !control && len > 0) {
            i += len;
            continue;
        }
        put(c, text + done, i - done);
        if (s) {
            char two[2] = {'\\', s};
            put(c, two, 2);
        } else {
            put_escaped(c, text, i, len);
        }
        i += len ? len : 1;
        done = i;
    }
    put(c, text + done, n - done);
}

static void next_cell(mbs_cells *c, const char *key) {
    if (c->n++ > 0) {
        put(c, c->json ? "," : "\t", 1);
    }
    if (c->json) {
        put(c, "\"", 1);
        put_text(c, key, strlen(key));
        put(c, "\":", 2);
    }
}

void mbs_cells_text(mbs_cells *c, const char *key, const char *text, size_t n) {
    next_cell(c, key);
    if (!text) {
        put(c, c->json ? "null" : ".", c->json ? 4 : 1);
        return;
    }
    if (c->json) {
        put(c, "\"", 1);
    }
    put_text(c, text, n);
    if (c->json) {
        put(c, "\"", 1);
    }
}

void mbs_cells_int(mbs_cells *c, const char *key, int64_t v) {
    char text[MBS_NUMBER_MAX];
    next_cell(c, key);
    put(c, text, mbs_number_int(text, v));
}

void mbs_cells_f32(mbs_cells *c, const char *key, float v) {
    char text[MBS_NUMBER_MAX];
    next_cell(c, key);
    if (isfinite(v)) {
        put(c, text, mbs_number_f32(text, v));
    } else {
        put(c, c->json ? "null" : ".", c->json ? 4 : 1);
    }
}

void mbs_cells_fixed(mbs_cells *c, const char *key, double v) {
    char text[MBS_NUMBER_MAX];
    next_cell(c, key);
    if (c->json && !isfinite(v)) {
        put(c, "null", 4);
    } else {
        put(c, text, mbs_number_fixed(text, v));
    }
}

static size_t value_text(char *out, int32_t dtype, const void *data, int64_t i, int *finite) {
    switch (dtype) {
    case MBS_U8:
        return mbs_number_int(out, ((const uint8_t *)data)[i]);
    case MBS_I32:
        return mbs_number_int(out, ((const int32_t *)data)[i]);
    case MBS_I64:
        return mbs_number_int(out, ((const int64_t *)data)[i]);
    case MBS_F32:
        *finite = isfinite(((const float *)data)[i]) != 0;
        return mbs_number_f32(out, ((const float *)data)[i]);
    default:
        *finite = isfinite(((const double *)data)[i]) != 0;
        return mbs_number_f64(out, ((const double *)data)[i]);
    }
}

void mbs_cells_values(mbs_cells *c, const char *key, int32_t dtype, const void *data, int64_t n) {
    if (c->json) {
        next_cell(c, key);
        put(c, "[", 1);
    }
    for (int64_t i = 0; i < n; i++) {
        char text[MBS_NUMBER_MAX];
        int finite = 1;
        size_t len = value_text(text, dtype, data, i, &finite);
        if (c->json) {
            if (i > 0) {
                put(c, ",", 1);
            }
        } else if (c->n++ > 0) {
            put(c, "\t", 1);
        }
        if (c->json && !finite) {
            put(c, "null", 4);
        } else {
            put(c, text, len);
        }
    }
    if (c->json) {
        put(c, "]", 1);
    }
}
