#include "opt/value.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "opt/nearest.h"

#define QUOTED_MAX 60
#define NUMBER_MAX 128 /* bytes of a number's text; far more than any number needs */

void mbs_value_put_quoted(mbs_buf *out, const char *text) {
    size_t len = strlen(text);
    size_t cut = len;
    if (cut > QUOTED_MAX) {
        cut = QUOTED_MAX;
        while (cut > 0 && ((unsigned char)text[cut] & 0xC0) == 0x80) {
            cut--; /* not inside a character */
        }
    }
    mbs_buf_putc(out, '\'');
    mbs_buf_append(out, text, cut);
    mbs_buf_puts(out, cut < len ? "...'" : "'");
}

static int refuse(mbs_buf *why, const char *text, const char *must) {
    if (why) {
        mbs_buf_puts(why, "is ");
        mbs_value_put_quoted(why, text);
        mbs_buf_puts(why, ", must be ");
        mbs_buf_puts(why, must);
    }
    return -1;
}

int mbs_value_bool(const char *text, int *out, mbs_buf *why) {
    static const char *const names[] = {"false", "true", "no", "yes", "off", "on"};
    for (int i = 0; i < 6; i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *out = i & 1;
            return 0;
        }
    }
    return refuse(why, text, "true or false");
}

/* A number taken apart: digits without '_', and what follows them. */
typedef struct number {
    char digits[NUMBER_MAX]; /* "-1.5e6" */
    int exponent;            /* of the 'e' part; saturates */
    const char *suffix;
} number;

static const char *take_digits(const char *p, char **to, const char *end, int *count) {
    while ((*p >= '0' && *p <= '9') || (*p == '_' && *count > 0 && p[1] >= '0' && p[1] <= '9')) {
        if (*p != '_') {
            if (*to == end) {
                return NULL;
            }
            *(*to)++ = *p;
            ++*count;
        }
        p++;
    }
    return p;
}

static int take_number(const char *text, number *n) {
    char *to = n->digits;
    const char *end = n->digits + sizeof n->digits - 1;
    const char *p = text;
    int count = 0;
    n->exponent = 0;
    if (*p == '-' || *p == '+') {
        *to++ = *p++;
    }
    p = take_digits(p, &to, end, &count);
    if (p && *p == '.') {
        if (to == end) {
            return -1;
        }
        *to++ = *p++;
        p = take_digits(p, &to, end, &count);
    }
    if (!p || count == 0) {
        return -1;
    }
    if ((*p == 'e' || *p == 'E') &&
        ((p[1] >= '0' && p[1] <= '9') || ((p[1] == '+' || p[1] == '-') && p[2] >= '0' && p[2] <= '9'))) {
        if (end - to < 2) {
            return -1;
        }
        *to++ = *p++;
        int negative = *p == '-';
        if (*p == '-' || *p == '+') {
            *to++ = *p++;
        }
        for (; *p >= '0' && *p <= '9'; p++) {
            if (to == end) {
                return -1;
            }
            *to++ = *p;
            n->exponent = n->exponent > 10000 ? n->exponent : n->exponent * 10 + (*p - '0');
        }
        n->exponent = negative ? -n->exponent : n->exponent;
    }
    *to = '\0';
    n->suffix = p;
    return 0;
}

/* "" k M G T Ki Mi Gi Ti: the power, and whether of 1024. */
static int take_scale(const char *suffix, int *power, int *binary) {
    static const char letters[] = "kMGT";
    *power = 0;
    *binary = 0;
    if (*suffix == '\0') {
        return 0;
    }
    const char *at = strchr(letters, *suffix == 'K' ? 'k' : *suffix);
    if (!at) {
        return -1;
    }
    *power = (int)(at - letters) + 1;
    *binary = suffix[1] == 'i';
    return suffix[1 + *binary] == '\0' ? 0 : -1;
}

/* Exact: mantissa as an integer, then powers of ten up or down without a remainder. 0, -1 not a whole number,
 * -2 too large. */
static int whole(const number *n, int64_t *out) {
    int power = 0;
    int binary = 0;
    if (take_scale(n->suffix, &power, &binary)) {
        return -1;
    }
    int negative = n->digits[0] == '-';
    int tens = n->exponent + (binary ? 0 : 3 * power);
    int fraction = 0;
    int64_t v = 0;
    int zeros = 0; /* put off, so that "1.000000000000000000000" is not too large */
    for (const char *p = n->digits; *p && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            fraction = 1;
        } else if (*p >= '0' && *p <= '9') {
            tens -= fraction;
            zeros++;
            if (*p == '0') {
                continue;
            }
            for (; zeros > 0; zeros--) {
                if (mbs_mul_i64_overflow(v, 10, &v)) {
                    return -2;
                }
            }
            if (mbs_add_i64_overflow(v, negative ? -(*p - '0') : *p - '0', &v)) {
                return -2;
            }
        }
    }
    tens += zeros;
    for (int i = 0; binary && i < power; i++) {
        if (mbs_mul_i64_overflow(v, 1024, &v)) {
            return -2;
        }
    }
    for (; v != 0 && tens > 0; tens--) {
        if (mbs_mul_i64_overflow(v, 10, &v)) {
            return -2;
        }
    }
    for (; v != 0 && tens < 0; tens++) {
        if (v % 10 != 0) {
            return -1;
        }
        v /= 10;
    }
    *out = v;
    return 0;
}

static int parse_whole(const char *text, int least, int64_t *out, mbs_buf *why) {
    number n;
    int64_t v = 0;
    int bad = take_number(text, &n) ? -1 : whole(&n, &v);
    if (bad == -2) {
        return refuse(why, text, "less than 2^63");
    }
    if (bad) {
        return refuse(why, text, "a whole number such as 12, 64k or 4Mi");
    }
    if (least == 0 && v < 0) {
        return refuse(why, text, "a whole number of 0 or more");
    }
    *out = v;
    return 0;
}

int mbs_value_int(const char *text, int64_t *out, mbs_buf *why) {
    return parse_whole(text, -1, out, why);
}

int mbs_value_size(const char *text, int64_t *out, mbs_buf *why) {
    return parse_whole(text, 0, out, why);
}

/* strtod in the C locale; glibc and musl hand out a constant for it, so this allocates nothing. */
static double plain_strtod(const char *digits) {
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0) {
        return NAN;
    }
    double v = strtod_l(digits, NULL, c);
    freelocale(c);
    return v;
}

int mbs_value_float(const char *text, double *out, mbs_buf *why) {
    number n;
    int power = 0;
    int binary = 0;
    if (take_number(text, &n) || take_scale(n.suffix, &power, &binary)) {
        return refuse(why, text, "a number such as 0.5, 1e-3 or 44.1k");
    }
    static const char *const exponents[] = {"", "e3", "e6", "e9", "e12"};
    size_t len = strlen(n.digits);
    if (!binary && !strpbrk(n.digits, "eE") && len + sizeof "e12" <= sizeof n.digits) {
        /* Through the exponent, so that 44.1k is exactly what 44100 is. */
        memcpy(n.digits + len, exponents[power], strlen(exponents[power]) + 1);
        power = 0;
    }
    double v = plain_strtod(n.digits);
    for (; power > 0; power--) {
        v *= binary ? 1024.0 : 1000.0;
    }
    if (!isfinite(v)) {
        return refuse(why, text, "a finite number");
    }
    *out = v;
    return 0;
}

int mbs_value_duration(const char *text, double *out, mbs_buf *why) {
    static const struct {
        const char *name;
        double up, down;
    } units[] = {{"", 1, 1}, {"s", 1, 1}, {"ms", 1, 1e3}, {"us", 1, 1e6}, {"min", 60, 1}, {"h", 3600, 1}};
    number n;
    if (take_number(text, &n) == 0) {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strcmp(n.suffix, units[i].name) != 0) {
                continue;
            }
            /* Divided, not multiplied by 1e-3: 100ms is then exactly 0.1. */
            double v = plain_strtod(n.digits) * units[i].up / units[i].down;
            if (!isfinite(v) || v < 0) {
                return refuse(why, text, "a time of 0 or more");
            }
            *out = v;
            return 0;
        }
    }
    return refuse(why, text, "a time such as 1.5, 100ms, 2s, 3min or 1h");
}

const char *mbs_words_at(const char *words, int i, size_t *len) {
    *len = 0;
    for (const char *p = words; p && *p; i--) {
        size_t n = strcspn(p, "|");
        if (i == 0) {
            *len = n;
            return p;
        }
        p += n + (p[n] == '|');
    }
    return NULL;
}

int mbs_words_find(const char *words, const char *text) {
    size_t want = strlen(text);
    size_t len = 0;
    const char *word;
    for (int i = 0; (word = mbs_words_at(words, i, &len)) != NULL; i++) {
        if (len == want && memcmp(word, text, len) == 0) {
            return i;
        }
    }
    return -1;
}

void mbs_words_list(const char *words, mbs_buf *out) {
    size_t len = 0;
    size_t next = 0;
    const char *word;
    for (int i = 0; (word = mbs_words_at(words, i, &len)) != NULL; i++) {
        if (i > 0) {
            mbs_buf_puts(out, mbs_words_at(words, i + 1, &next) ? ", " : " or ");
        }
        mbs_buf_append(out, word, len);
    }
}

int mbs_value_enum(const char *text, const char *words, int *out, mbs_buf *why) {
    int i = mbs_words_find(words, text);
    if (i >= 0) {
        *out = i;
        return 0;
    }
    refuse(why, text, "");
    if (why) {
        mbs_nearest near;
        mbs_nearest_init(&near, text);
        mbs_nearest_offer_words(&near, words);
        mbs_words_list(words, why);
        if (near.at) {
            mbs_buf_printf(why, ", did you mean '%s'?", near.best);
        }
    }
    return -1;
}

void mbs_value_put_float(mbs_buf *out, double v) {
    char text[40] = "nan";
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = c == (locale_t)0 ? c : uselocale(c);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    if (before != (locale_t)0) {
        uselocale(before);
        freelocale(c);
    }
    mbs_buf_puts(out, text);
}

void mbs_value_put_bound(mbs_buf *out, double v) {
    mbs_buf digits = MBS_BUF_INIT;
    mbs_value_put_float(&digits, v);
    size_t zeros = 0;
    while (zeros < digits.len && digits.data[digits.len - 1 - zeros] == '0') {
        zeros++;
    }
    if (zeros >= 6 && !strpbrk(mbs_buf_str(&digits), ".e")) {
        mbs_buf_append(out, digits.data, digits.len - zeros);
        mbs_buf_printf(out, "e%zu", zeros);
    } else {
        mbs_buf_puts(out, mbs_buf_str(&digits));
    }
    mbs_buf_free(&digits);
}

int mbs_value_range(const char *text, double value, double min, double max, const char *unit, mbs_buf *why) {
    if (value >= min && value <= max) {
        return 0;
    }
    if (why) {
        mbs_buf_puts(why, "is ");
        mbs_buf_puts(why, text);
        mbs_buf_puts(why, ", must be ");
        if (min == max) {
            mbs_value_put_bound(why, min);
        } else if (max >= 9.2e18) {
            mbs_value_put_bound(why, min);
            mbs_buf_puts(why, " or more");
        } else {
            mbs_value_put_bound(why, min);
            mbs_buf_puts(why, "..");
            mbs_value_put_bound(why, max);
        }
        if (unit) {
            mbs_buf_printf(why, " %s", unit);
        }
    }
    return -1;
}
