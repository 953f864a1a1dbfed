#include "io/rowfile/text.h"

#include <string.h>

size_t mbs_utf8_length(const char *p, size_t n) {
    const unsigned char *s = (const unsigned char *)p;
    if (s[0] < 0x80) {
        return 1;
    }
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f)) {
        return 0;
    }
    return len;
}

void mbs_hex_escape(char out[4], unsigned char byte) {
    static const char hex[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 15];
}

void mbs_text_append(mbs_text *t, const char *data, size_t n) {
    if (n > t->cap - t->len) {
        size_t need, cap = t->cap ? t->cap : 256;
        if (t->failed || __builtin_add_overflow(t->len, n, &need)) {
            t->failed = 1;
            return;
        }
        while (cap < need) {
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        }
        char *p = t->host->realloc(t->host, t->data, cap);
        if (!p) {
            t->failed = 1;
            return;
        }
        t->data = p;
        t->cap = cap;
    }
    if (n) {
        memcpy(t->data + t->len, data, n);
        t->len += n;
    }
}

void mbs_text_free(mbs_text *t) {
    if (t->data) {
        t->host->free(t->host, t->data);
    }
    t->data = NULL;
    t->len = t->cap = 0;
}

void mbs_text_append_utf8(mbs_text *t, const char *data, size_t n) {
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        size_t len = mbs_utf8_length(data + i, n - i);
        if (len) {
            i += len;
            continue;
        }
        char esc[4];
        mbs_hex_escape(esc, (unsigned char)data[i]);
        mbs_text_append(t, data + done, i - done);
        mbs_text_append(t, esc, sizeof esc);
        done = ++i;
    }
    mbs_text_append(t, data + done, n - done);
}
