#include "audio/dsp/sample.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    int bytes, bits, big;
} formats[AU_FORMATS] = {
    {"", 0, 0, 0},       {"s8", 1, 8, 0},     {"u8", 1, 8, 0},     {"s16le", 2, 16, 0}, {"s16be", 2, 16, 1},
    {"s24le", 3, 24, 0}, {"s24be", 3, 24, 1}, {"s32le", 4, 32, 0}, {"s32be", 4, 32, 1}, {"f32le", 4, 0, 0},
    {"f32be", 4, 0, 1},  {"f64le", 8, 0, 0},  {"f64be", 8, 0, 1},  {"mulaw", 1, 8, 0},  {"alaw", 1, 8, 0},
};

au_format au_format_named(const char *name) {
    for (int i = 1; i < AU_FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return (au_format)i;
        }
    }
    return AU_NONE;
}

const char *au_format_name(au_format format) {
    return formats[format].name;
}

int au_format_bytes(au_format format) {
    return formats[format].bytes;
}

int au_format_bits(au_format format) {
    return formats[format].bits;
}

/* ---- G.711: sign, three bits of exponent, four of mantissa, all inverted (mu) or every other bit (A) ---- */

#define MU_BIAS 132
#define MU_CLIP 32635

uint8_t au_mulaw_code(int16_t sample) {
    int sign = sample < 0;
    int v = sign ? -(int)sample : sample;
    v = (v > MU_CLIP ? MU_CLIP : v) + MU_BIAS;
    int exponent = 7;
    while (exponent > 0 && !(v & (1 << (exponent + 7)))) {
        exponent--;
    }
    int mantissa = v >> (exponent + 3) & 15;
    return (uint8_t) ~(sign << 7 | exponent << 4 | mantissa);
}

int16_t au_mulaw_sample(uint8_t code) {
    int c = (uint8_t)~code;
    int v = (((c & 15) << 3) + MU_BIAS) << (c >> 4 & 7);
    return (int16_t)(c & 128 ? MU_BIAS - v : v - MU_BIAS);
}

uint8_t au_alaw_code(int16_t sample) {
    int positive = sample >= 0;
    int v = (positive ? sample : -(int)sample - 1) >> 3; /* 12 bits of magnitude */
    v = v > 0xfff ? 0xfff : v;
    int exponent = 0;
    while (exponent < 7 && v >= 32 << exponent) {
        exponent++;
    }
    int mantissa = exponent < 2 ? v >> 1 & 15 : v >> exponent & 15;
    return (uint8_t)((positive << 7 | exponent << 4 | mantissa) ^ 0x55);
}

int16_t au_alaw_sample(uint8_t code) {
    int c = code ^ 0x55;
    int exponent = c >> 4 & 7;
    int v = (c & 15) << 4 | 8;
    v = exponent ? (v | 256) << (exponent - 1) : v;
    return (int16_t)(c & 128 ? v : -v);
}

/* ---- bytes ---- */

static uint64_t load(const uint8_t *p, int bytes, int big) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) {
        v |= (uint64_t)p[big ? bytes - 1 - i : i] << (8 * i);
    }
    return v;
}

static void store(uint8_t *p, uint64_t v, int bytes, int big) {
    for (int i = 0; i < bytes; i++) {
        p[big ? bytes - 1 - i : i] = (uint8_t)(v >> (8 * i));
    }
}

static float decode_one(au_format format, const uint8_t *p) {
    int bytes = formats[format].bytes;
    int bits = formats[format].bits;
    uint64_t v = load(p, bytes, formats[format].big);
    float f32;
    double f64;
    uint32_t word;
    switch ((int)format) {
    case AU_U8:
        return (float)((int)v - 128) / 128.0f;
    case AU_F32LE:
    case AU_F32BE:
        word = (uint32_t)v;
        memcpy(&f32, &word, sizeof(f32));
        return f32;
    case AU_F64LE:
    case AU_F64BE:
        memcpy(&f64, &v, sizeof(f64));
        return (float)f64;
    case AU_MULAW:
        return (float)au_mulaw_sample((uint8_t)v) / 32768.0f;
    case AU_ALAW:
        return (float)au_alaw_sample((uint8_t)v) / 32768.0f;
    default:
        /* The sign bit to the top and back down. */
        return (float)((double)((int64_t)(v << (64 - bits)) >> (64 - bits)) / (double)(INT64_C(1) << (bits - 1)));
    }
}

void au_decode(au_format format, const void *from, float *to, int64_t n) {
    const uint8_t *p = from;
    int bytes = formats[format].bytes;
    for (int64_t i = 0; i < n; i++) {
        to[i] = decode_one(format, p + i * bytes);
    }
}

static int64_t quantise(float sample, int bits, int64_t *clipped) {
    double top = (double)((INT64_C(1) << (bits - 1)) - 1);
    double v = round((double)sample * (top + 1.0));
    int out = !(v <= top && v >= -top - 1.0); /* also where it is no number */
    *clipped += out;
    return out ? (v > 0 ? (int64_t)top : v < 0 ? -(int64_t)top - 1 : 0) : (int64_t)v;
}

int64_t au_encode(au_format format, const float *from, void *to, int64_t n) {
    uint8_t *p = to;
    int bytes = formats[format].bytes;
    int big = formats[format].big;
    int64_t clipped = 0;
    for (int64_t i = 0; i < n; i++, p += bytes) {
        uint32_t word;
        uint64_t wide;
        double f64 = (double)from[i];
        switch ((int)format) {
        case AU_U8:
            *p = (uint8_t)(quantise(from[i], 8, &clipped) + 128);
            break;
        case AU_F32LE:
        case AU_F32BE:
            memcpy(&word, from + i, sizeof(word));
            store(p, word, 4, big);
            break;
        case AU_F64LE:
        case AU_F64BE:
            memcpy(&wide, &f64, sizeof(wide));
            store(p, wide, 8, big);
            break;
        case AU_MULAW:
            *p = au_mulaw_code((int16_t)quantise(from[i], 16, &clipped));
            break;
        case AU_ALAW:
            *p = au_alaw_code((int16_t)quantise(from[i], 16, &clipped));
            break;
        default:
            store(p, (uint64_t)quantise(from[i], formats[format].bits, &clipped), bytes, big);
        }
    }
    return clipped;
}
