/* split.c - where words end: the expression of GPT-2, which ByteLevel uses, by hand:
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#include "bpe.h"
#include "unicode.h"

static int contraction(const unsigned char *p, size_t n) {
    if (n >= 2 && (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd')) {
        return 2;
    }
    return n >= 3 && ((p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') || (p[1] == 'l' && p[2] == 'l')) ? 3
                                                                                                                    : 0;
}

/* Behind the last character of this kind from p on; *last is where that character begins. */
static const unsigned char *run(const unsigned char *p, const unsigned char *end, bp_kind kind,
                                const unsigned char **last) {
    uint32_t c;
    *last = p;
    while (p < end) {
        int n = bp_utf8(p, end, &c);
        if (n <= 0 || bp_kind_of(c) != kind) {
            break;
        }
        *last = p;
        p += n;
    }
    return p;
}

size_t bp_next_word(const unsigned char *p, const unsigned char *end, int final) {
    const unsigned char *last;
    const unsigned char *at = p;
    uint32_t c;
    if (*p == '\'') {
        if (end - p < 3 && !final) {
            return 0;
        }
        int n = contraction(p, (size_t)(end - p));
        if (n) {
            return (size_t)n;
        }
    }
    if (*p == ' ' && p + 1 == end && !final) {
        return 0;
    }
    if (*p == ' ' && p + 1 < end && bp_utf8(p + 1, end, &c) > 0 && bp_kind_of(c) != BP_SPACE) {
        at = p + 1;
    }
    bp_utf8(at, end, &c);
    bp_kind kind = bp_kind_of(c);
    const unsigned char *stop = run(at, end, kind, &last);
    if (stop == end) {
        return final ? (size_t)(stop - p) : 0;
    }
    if (kind == BP_SPACE && last > p) {
        stop = last; /* the last one goes with the word behind it */
    }
    return (size_t)(stop - p);
}
