#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Makes room for `more` bytes and the NUL. */
static int reserve(mbs_buf *b, size_t more) {
    size_t need;
    if (b->failed) {
        return 0;
    }
    if (mbs_add_overflow(b->len, more, &need) || mbs_add_overflow(need, 1, &need)) {
        b->failed = 1;
        return 0;
    }
    char *data = mbs_grow(b->data, &b->cap, need, 1);
    if (!data) {
        b->failed = 1;
        return 0;
    }
    b->data = data;
    return 1;
}

void mbs_buf_append(mbs_buf *b, const void *data, size_t len) {
    if (!reserve(b, len)) {
        return;
    }
    if (len) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
}

void mbs_buf_puts(mbs_buf *b, const char *s) {
    mbs_buf_append(b, s, strlen(s));
}

void mbs_buf_putc(mbs_buf *b, char c) {
    mbs_buf_append(b, &c, 1);
}

void mbs_buf_printf(mbs_buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = 1;
        return;
    }
    if (reserve(b, (size_t)n)) {
        va_start(ap, fmt);
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
        b->len += (size_t)n;
    }
}

void mbs_buf_clear(mbs_buf *b) {
    b->len = 0;
    b->failed = 0;
    if (b->data) {
        b->data[0] = '\0';
    }
}

void mbs_buf_free(mbs_buf *b) {
    mbs_free(b->data);
    *b = (mbs_buf)MBS_BUF_INIT;
}

const char *mbs_buf_str(const mbs_buf *b) {
    return b->data ? b->data : "";
}

static void put_le(mbs_buf *b, uint64_t v, size_t bytes) {
    unsigned char le[8];
    for (size_t i = 0; i < bytes; i++) {
        le[i] = (unsigned char)(v >> (8 * i));
    }
    mbs_buf_append(b, le, bytes);
}

void mbs_buf_put_u32(mbs_buf *b, uint32_t v) {
    put_le(b, v, 4);
}

void mbs_buf_put_i64(mbs_buf *b, int64_t v) {
    put_le(b, (uint64_t)v, 8);
}

void mbs_buf_put_f64(mbs_buf *b, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_le(b, bits, 8);
}

void mbs_buf_put_bytes(mbs_buf *b, const void *data, size_t len) {
    /* Both or neither: a length without its bytes would shift everything behind it. */
    if (len > INT64_MAX - 8) {
        b->failed = 1;
        return;
    }
    if (reserve(b, len + 8)) {
        mbs_buf_put_i64(b, (int64_t)len);
        mbs_buf_append(b, data, len);
    }
}

static const unsigned char *take(mbs_cursor *c, size_t n) {
    if (c->failed || c->left < n) {
        c->failed |= 1;
        return NULL;
    }
    const unsigned char *p = c->p;
    c->p += n;
    c->left -= n;
    return p;
}

static uint64_t get_le(mbs_cursor *c, size_t bytes) {
    const unsigned char *p = take(c, bytes);
    uint64_t v = 0;
    for (size_t i = 0; p && i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

uint32_t mbs_cursor_u32(mbs_cursor *c) {
    return (uint32_t)get_le(c, 4);
}

int64_t mbs_cursor_i64(mbs_cursor *c) {
    uint64_t bits = get_le(c, 8);
    int64_t v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double mbs_cursor_f64(mbs_cursor *c) {
    uint64_t bits = get_le(c, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

const void *mbs_cursor_bytes(mbs_cursor *c, size_t *len) {
    int64_t n = mbs_cursor_i64(c);
    *len = 0;
    if (n < 0 || (uint64_t)n > SIZE_MAX) {
        c->failed |= 1;
    }
    const void *p = c->failed ? NULL : take(c, (size_t)n);
    if (p) {
        *len = (size_t)n;
    }
    return p;
}

int mbs_cursor_into(mbs_cursor *c, void *to, size_t want) {
    size_t n = 0;
    const void *bytes = mbs_cursor_bytes(c, &n);
    if (c->failed || n != want) {
        return 0;
    }
    if (n > 0) {
        memcpy(to, bytes, n);
    }
    return 1;
}
