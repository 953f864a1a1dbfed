/* nfc.c - kinds of characters, UTF-8, and the canonical composition of a short run of characters. */
#include "unicode.h"

enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7, L_N = 19, V_N = 21, T_N = 28 };

static int within(const bp_range *r, int n, uint32_t c) {
    int lo = 0;
    int hi = n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (c > r[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n && c >= r[lo].first;
}

bp_kind bp_kind_of(uint32_t c) {
    if (c < 128) {
        return (c | 32) >= 'a' && (c | 32) <= 'z'     ? BP_LETTER
               : c >= '0' && c <= '9'                 ? BP_NUMBER
               : c == ' ' || (c >= '\t' && c <= '\r') ? BP_SPACE
                                                      : BP_OTHER;
    }
    if (c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
        c == 0x202F || c == 0x205F || c == 0x3000) {
        return BP_SPACE;
    }
    return within(bp_letters, bp_letters_n, c) ? BP_LETTER : within(bp_numbers, bp_numbers_n, c) ? BP_NUMBER : BP_OTHER;
}

int bp_utf8(const unsigned char *p, const unsigned char *end, uint32_t *c) {
    int n = p[0] < 0x80                   ? 1
            : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
            : (p[0] & 0xF0) == 0xE0       ? 3
            : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                          : 0;
    if (n == 0) {
        return 0;
    }
    uint32_t v = n == 1 ? p[0] : p[0] & (0xFFu >> (n + 1));
    for (int i = 1; i < n; i++) {
        if (p + i >= end) {
            return -1;
        }
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        v = v << 6 | (p[i] & 0x3Fu);
    }
    if ((n == 3 && (v < 0x800 || (v >= 0xD800 && v < 0xE000))) || (n == 4 && (v < 0x10000 || v > 0x10FFFF))) {
        return 0;
    }
    *c = v;
    return n;
}

int bp_put_utf8(uint32_t c, unsigned char out[4]) {
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = n - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (unsigned char)(lead[n == 1 ? 0 : n] | c);
    return n;
}

static uint32_t class_of(uint32_t c) {
    int lo = 0;
    int hi = bp_classes_n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (c > bp_classes[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < bp_classes_n && c >= bp_classes[lo].first ? bp_classes[lo].ccc : 0;
}

static const bp_pair *apart(uint32_t c) {
    int lo = 0;
    int hi = bp_apart_n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (bp_apart[mid].a < c) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < bp_apart_n && bp_apart[lo].a == c ? &bp_apart[lo] : NULL;
}

static uint32_t together(uint32_t a, uint32_t b) {
    if (a >= L_BASE && a < L_BASE + L_N && b >= V_BASE && b < V_BASE + V_N) {
        return S_BASE + ((a - L_BASE) * V_N + (b - V_BASE)) * T_N;
    }
    if (a >= S_BASE && a < S_BASE + L_N * V_N * T_N && (a - S_BASE) % T_N == 0 && b > T_BASE && b < T_BASE + T_N) {
        return a + (b - T_BASE);
    }
    int lo = 0;
    int hi = bp_together_n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        const bp_pair *p = &bp_together[mid];
        if (p->a < a || (p->a == a && p->b < b)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < bp_together_n && bp_together[lo].a == a && bp_together[lo].b == b ? bp_together[lo].c : 0;
}

/* The second of some pair: nothing may be cut in front of it. */
static int is_second(uint32_t c) {
    if ((c >= V_BASE && c < V_BASE + V_N) || (c > T_BASE && c < T_BASE + T_N)) {
        return 1;
    }
    for (int i = 0; i < bp_together_n; i++) {
        if (bp_together[i].b == c) {
            return 1;
        }
    }
    return 0;
}

int bp_nfc_starts(uint32_t c) {
    if (c < 0x300) {
        return 1;
    }
    if (class_of(c) != 0 || is_second(c)) {
        return 0;
    }
    const bp_pair *p = apart(c); /* what it comes apart into must begin anew too */
    return !p || bp_nfc_starts(p->b);
}

/* Puts the full decomposition of c behind the n characters of `out`. */
static size_t take_apart(uint32_t c, uint32_t *out, size_t n, size_t room) {
    if (c >= S_BASE && c < S_BASE + L_N * V_N * T_N && n + 3 <= room) {
        uint32_t s = c - S_BASE;
        out[n++] = L_BASE + s / (V_N * T_N);
        out[n++] = V_BASE + s % (V_N * T_N) / T_N;
        if (s % T_N) {
            out[n++] = T_BASE + s % T_N;
        }
        return n;
    }
    const bp_pair *p = apart(c);
    if (!p) {
        if (n < room) {
            out[n++] = c;
        }
        return n;
    }
    n = take_apart(p->b, out, n, room);
    return p->c ? take_apart(p->c, out, n, room) : n;
}

/* Marks in the order of their classes; equal ones keep theirs. */
static void order(uint32_t *c, size_t n) {
    for (size_t i = 1; i < n; i++) {
        uint32_t k = class_of(c[i]);
        size_t at = i;
        while (k != 0 && at > 0 && class_of(c[at - 1]) > k) {
            uint32_t t = c[at];
            c[at] = c[at - 1];
            c[at - 1] = t;
            at--;
        }
    }
}

static size_t compose(uint32_t *c, size_t n) {
    size_t out = 0;
    size_t starter = 0;
    int has_starter = 0;
    uint32_t last = 0; /* class of the character in front, of those that stayed behind the starter */
    for (size_t i = 0; i < n; i++) {
        uint32_t k = class_of(c[i]);
        int blocked = out > 0 && out - 1 > starter && (last >= k || last == 0);
        uint32_t made = has_starter && !blocked ? together(c[starter], c[i]) : 0;
        if (made) {
            c[starter] = made;
            continue;
        }
        if (k == 0) {
            starter = out;
            has_starter = 1;
        }
        last = k;
        c[out++] = c[i];
    }
    return out;
}

size_t bp_nfc(uint32_t *c, size_t n, size_t room) {
    uint32_t *tail = c + n;
    size_t made = 0;
    for (size_t i = 0; i < n; i++) {
        made = take_apart(c[i], tail, made, room - n);
    }
    for (size_t i = 0; i < made; i++) {
        c[i] = tail[i];
    }
    order(c, made);
    return compose(c, made);
}
