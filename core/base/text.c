#include "base/text.h"

#include <string.h>

size_t mbs_text_char(const char *text, size_t len) {
    const unsigned char *p = (const unsigned char *)text;
    unsigned c = p[0];
    if (c < 0x80) {
        return c >= 0x20 && c != 0x7f ? 1 : 0;
    }
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || len < n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((c == 0xc2 && p[1] < 0xa0) || (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
        (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return n;
}

size_t mbs_text_escape(char *out, size_t size, const char *text, size_t len) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = (const unsigned char *)text;
    size_t w = 0;
    for (size_t i = 0; i < len;) {
        size_t n = mbs_text_char(text + i, len - i);
        size_t need = n ? n : 4;
        if (need >= size - w) {
            break;
        }
        if (n) {
            memcpy(out + w, p + i, n);
            i += n;
        } else {
            char hex[4] = {'\\', 'x', digits[p[i] >> 4], digits[p[i] & 15]};
            memcpy(out + w, hex, 4);
            i++;
        }
        w += need;
    }
    out[w] = '\0';
    return w;
}

int mbs_text_ends(const char *text, const char *end) {
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}
