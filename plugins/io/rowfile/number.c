/*
 * The C library rounds correctly but prints the radix of the process' locale, so text from it is used only through its
 * digits: "%.*e" gives a digit, something, digits, 'e' and an exponent; strtof gets digits and an exponent without a
 * radix.
 */
#include "io/rowfile/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t mbs_number_int(char *out, int64_t v) {
    char tmp[24];
    size_t n = 0, len = 0;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        tmp[n++] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0) {
        out[len++] = '-';
    }
    while (n > 0) {
        out[len++] = tmp[--n];
    }
    return len;
}

static size_t not_finite(char *out, double v) {
    const char *text = isnan(v) ? "nan" : v < 0 ? "-inf" : "inf";
    size_t n = strlen(text);
    memcpy(out, text, n);
    return n;
}

/* A positive number as n digits and the exponent of the first: 0 < n, value = d.ddd x 10^exp. */
typedef struct decimal {
    char digits[20];
    int n;
    int exp;
} decimal;

/* The layout of %.<limit>g. */
static size_t lay_out(char *out, const decimal *d, int negative, int limit) {
    char *p = out;
    if (negative) {
        *p++ = '-';
    }
    if (d->exp < -4 || d->exp >= limit) {
        *p++ = d->digits[0];
        if (d->n > 1) {
            *p++ = '.';
            memcpy(p, d->digits + 1, (size_t)d->n - 1);
            p += d->n - 1;
        }
        int e = d->exp < 0 ? -d->exp : d->exp;
        *p++ = 'e';
        *p++ = d->exp < 0 ? '-' : '+';
        if (e < 10) {
            *p++ = '0';
        }
        p += mbs_number_int(p, e);
    } else if (d->exp < 0) {
        memcpy(p, "0.000", 5);
        p += 1 - d->exp;
        memcpy(p, d->digits, (size_t)d->n);
        p += d->n;
    } else {
        int whole = d->exp + 1;
        for (int i = 0; i < whole || i < d->n; i++) {
            if (i == whole) {
                *p++ = '.';
            }
            *p++ = i < d->n ? d->digits[i] : '0';
        }
    }
    return (size_t)(p - out);
}

static void strip_zeros(decimal *d) {
    while (d->n > 1 && d->digits[d->n - 1] == '0') {
        d->n--;
    }
}

static void digits_of(decimal *d, double v, int n) {
    char text[40];
    snprintf(text, sizeof text, "%.*e", n - 1, v);
    char *e = strchr(text, 'e');
    d->n = 0;
    for (char *p = text; p < e; p++) {
        if (*p >= '0' && *p <= '9') {
            d->digits[d->n++] = *p;
        }
    }
    d->exp = (int)strtol(e + 1, NULL, 10);
}

static void plain_form(const decimal *d, char *text, size_t size) {
    snprintf(text, size, "%.*se%d", d->n, d->digits, d->exp - d->n + 1);
}

static void slow_f32(decimal *d, float v) {
    char text[40];
    for (int n = 1; n <= 9; n++) {
        digits_of(d, (double)v, n);
        plain_form(d, text, sizeof text);
        if (strtof(text, NULL) == v) {
            return;
        }
    }
}

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The value scaled to [1e8, 1e9): one multiplication or division by an exact power of ten, so within 2^-53 of the
 * truth. 0 where the power is not exact. */
static double scale(double v, int exp) {
    int k = 8 - exp;
    if (k > 22 || k < -22) {
        return 0;
    }
    return k >= 0 ? v * powers[k] : v / powers[-k];
}

/* Doubles are wide enough to decide nearly every float: a candidate is taken or refused only where it is clear of the
 * decision by more than the error of this arithmetic. 0: not decided. */
static int fast_f32(decimal *d, float v) {
    const double slack = 1e-6;
    int e2;
    double m = (double)frexpf(v, &e2);
    int exp = (int)floor((e2 - 1) * 0.30102999566398120);
    double s = scale((double)v, exp);
    if (s >= 1e9) {
        s = scale((double)v, ++exp);
    }
    if (s < 1e8 || s >= 1e9 || e2 < -125) {
        return 0;
    }
    double above = s / m * 0x1p-25; /* half a unit in the last place, scaled */
    double below = m == 0.5 ? above / 2 : above;
    double best = 0;
    int n = 9;
    for (; n > 0; n--) {
        double t = powers[9 - n];
        double q = s / t;
        double r = floor(q + 0.5);
        double off = r * t - s;
        double room = off < 0 ? below + off : above - off;
        if (fabs(q - floor(q) - 0.5) < slack || fabs(room) < slack) {
            return 0;
        }
        if (room < 0) {
            break;
        }
        best = r;
    }
    n = n < 9 ? n + 1 : 9;
    if (best >= powers[n]) {
        best /= 10;
        exp++;
    }
    int64_t digits = (int64_t)best;
    char tmp[24];
    d->n = (int)mbs_number_int(tmp, digits);
    memcpy(d->digits, tmp, (size_t)d->n);
    d->exp = exp;
    return d->n == n;
}

size_t mbs_number_f32(char *out, float v) {
    if (!isfinite(v)) {
        return not_finite(out, (double)v);
    }
    if (v == 0) {
        out[0] = '0';
        return 1;
    }
    decimal d;
    float a = fabsf(v);
    if (!fast_f32(&d, a)) {
        slow_f32(&d, a);
    }
    strip_zeros(&d);
    return lay_out(out, &d, v < 0, 9);
}

size_t mbs_number_f64(char *out, double v) {
    if (!isfinite(v)) {
        return not_finite(out, v);
    }
    if (v == 0) {
        out[0] = '0';
        return 1;
    }
    decimal d;
    double a = fabs(v);
    for (int n = 15; n <= 17; n++) {
        char text[40];
        digits_of(&d, a, n);
        plain_form(&d, text, sizeof text);
        if (strtod(text, NULL) == a) {
            break;
        }
    }
    strip_zeros(&d);
    return lay_out(out, &d, v < 0, 17);
}

size_t mbs_number_fixed(char *out, double v) {
    if (!isfinite(v)) {
        return not_finite(out, v);
    }
    char text[MBS_NUMBER_MAX];
    int len = snprintf(text, sizeof text, "%.6f", fabs(v));
    size_t n = 0;
    int zero = 1;
    if (v < 0) {
        out[n++] = '-';
    }
    for (int i = 0; i < len; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            zero = zero && text[i] == '0';
            out[n++] = text[i];
        } else if (out[n - 1] != '.') {
            out[n++] = '.'; /* the radix of the locale may be several bytes */
        }
    }
    if (zero && v < 0) {
        memmove(out, out + 1, --n);
    }
    return n;
}
