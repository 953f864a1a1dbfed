#include "pipe/yaml_text.h"

#include <stdio.h>
#include <string.h>

size_t mbs_yaml_text_char(const char *s, size_t left, uint32_t *code) {
    const unsigned char *p = (const unsigned char *)s;
    uint32_t c = p[0];
    if (c < 0x80) {
        *code = c;
        return 1;
    }
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || left < n) {
        return 0;
    }
    c &= 0x7fu >> n;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    /* Overlong forms, surrogates, beyond Unicode. */
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff) {
        return 0;
    }
    *code = c;
    return n;
}

/* A line break at p: its bytes, else 0. */
static size_t line_break(const char *p, size_t left) {
    if (p[0] == '\r' && left > 1 && p[1] == '\n') {
        return 2;
    }
    return p[0] == '\n' || p[0] == '\r' ? 1 : 0;
}

static int refused(uint32_t c) {
    return (c < 0x20 && c != '\t') || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           (c & 0xfffe) == 0xfffe;
}

static void say_bad(mbs_yaml_text t, size_t at, size_t n, uint32_t c, char *why, size_t size) {
    unsigned byte = (unsigned char)t.p[at];
    if (n == 0 && at == 0 && t.len > 1 && (byte == 0xff || byte == 0xfe)) {
        snprintf(why, size, "this looks like UTF-16: save it as UTF-8");
    } else if (n == 0) {
        snprintf(why, size, "byte 0x%02x is not UTF-8: save the file as UTF-8", byte);
    } else if (c == 0) {
        snprintf(why, size, "a NUL byte: this is not a text file");
    } else if (c < 0x80) {
        snprintf(why, size, "control byte 0x%02x: delete it", (unsigned)c);
    } else {
        snprintf(why, size, "invisible character U+%04X: delete it", (unsigned)c);
    }
}

int mbs_yaml_text_bad(mbs_yaml_text t, int *line, int *col, char *why, size_t size) {
    *line = 1;
    *col = 1;
    for (size_t i = 0; i < t.len;) {
        size_t end = line_break(t.p + i, t.len - i);
        if (end) {
            i += end;
            ++*line;
            *col = 1;
            continue;
        }
        uint32_t c = 0;
        size_t n = mbs_yaml_text_char(t.p + i, t.len - i, &c);
        if (n == 0 || refused(c)) {
            say_bad(t, i, n, c, why, size);
            return 1;
        }
        i += n;
        ++*col;
    }
    return 0;
}

mbs_yaml_text mbs_yaml_text_line(mbs_yaml_text t, int line) {
    size_t i = 0;
    for (int at = 1; at < line && i < t.len;) {
        size_t end = line_break(t.p + i, t.len - i);
        i += end ? end : 1;
        at += end != 0;
    }
    mbs_yaml_text out = {t.p + i, 0};
    while (i + out.len < t.len && !line_break(out.p + out.len, t.len - i - out.len)) {
        out.len++;
    }
    return out;
}

size_t mbs_yaml_text_offset(mbs_yaml_text line, int col) {
    size_t i = 0;
    for (int at = 1; at < col && i < line.len; at++) {
        uint32_t c;
        size_t n = mbs_yaml_text_char(line.p + i, line.len - i, &c);
        i += n ? n : 1;
    }
    return i;
}

int mbs_yaml_text_columns(mbs_yaml_text line) {
    int n = 0;
    for (size_t i = 0; i < line.len; n++) {
        uint32_t c;
        size_t bytes = mbs_yaml_text_char(line.p + i, line.len - i, &c);
        i += bytes ? bytes : 1;
    }
    return n;
}

size_t mbs_yaml_text_value_end(mbs_yaml_text line, size_t at, int in_flow) {
    int depth = 0;
    size_t i = at;
    for (; i < line.len; i++) {
        char c = line.p[i];
        if (c == '#' && i > at && (line.p[i - 1] == ' ' || line.p[i - 1] == '\t')) {
            break;
        }
        if (!in_flow) {
            continue;
        }
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth-- == 0) {
                break;
            }
        } else if (c == ',' && depth == 0) {
            break;
        }
    }
    while (i > at && (line.p[i - 1] == ' ' || line.p[i - 1] == '\t')) {
        i--;
    }
    return i;
}

void mbs_yaml_text_quote(mbs_buf *out, const char *p, size_t len) {
    int single = memchr(p, '\\', len) != NULL || memchr(p, '"', len) != NULL;
    char mark = single ? '\'' : '"';
    mbs_buf_putc(out, mark);
    for (size_t i = 0; i < len; i++) {
        if (single && p[i] == '\'') {
            mbs_buf_putc(out, '\'');
        }
        mbs_buf_putc(out, p[i]);
    }
    mbs_buf_putc(out, mark);
}
