/* st_values.c - the numbers of a tensor. */
#include <string.h>

#include "model/safetensors.h"

int mbs_dtype_is_float(mbs_dtype dtype) {
    return dtype == MBS_DT_F32 || dtype == MBS_DT_F16 || dtype == MBS_DT_BF16 || dtype == MBS_DT_F64;
}

static float from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float from_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = (h >> 10) & 31u;
    uint32_t mantissa = h & 0x3FFu;
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f; /* zero and denormals, exact */
        return sign ? -f : f;
    }
    return from_bits(sign | (exponent == 31 ? 255u : exponent + 112u) << 23 | mantissa << 13);
}

static float from_16(mbs_dtype dtype, const unsigned char *src) {
    uint16_t h;
    memcpy(&h, src, sizeof h);
    return dtype == MBS_DT_BF16 ? from_bits((uint32_t)h << 16) : from_half(h);
}

void mbs_st_widen(mbs_dtype dtype, const unsigned char *src, size_t n, float *dst) {
    if (dtype == MBS_DT_F32) {
        memcpy(dst, src, n * sizeof *dst);
    } else if (dtype == MBS_DT_F64) {
        for (size_t i = 0; i < n; i++) {
            double v;
            memcpy(&v, src + i * sizeof v, sizeof v);
            dst[i] = (float)v;
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            dst[i] = from_16(dtype, src + i * 2);
        }
    }
}

double mbs_st_number(mbs_dtype dtype, const unsigned char *src, int64_t i) {
    if (dtype == MBS_DT_F64) {
        double v;
        memcpy(&v, src + i * 8, sizeof v);
        return v;
    }
    float f;
    mbs_st_widen(dtype, src + i * (int64_t)mbs_st_dtype_size(dtype), 1, &f);
    return (double)f;
}

uint16_t mbs_st_bf16(float value) {
    uint32_t b;
    memcpy(&b, &value, sizeof b);
    return (b & 0x7FFFFFFFu) > 0x7F800000u ? (uint16_t)(b >> 16 | 0x40u)
                                           : (uint16_t)((b + 0x7FFFu + (b >> 16 & 1)) >> 16);
}
