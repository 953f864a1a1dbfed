/* peak.c - the loops of peak.h for each set of instructions. Twelve independent chains hide a multiply-add's latency.
 */
#include "bench/peak.h"

#define CHAINS 12

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

/* What runs anywhere: the compiler's own vectors of four. */
typedef float four __attribute__((vector_size(16)));

static float run_plain(int64_t steps) {
    four a[CHAINS];
    four m = {0.999f, 0.999f, 0.999f, 0.999f};
    UNROLL
    for (int i = 0; i < CHAINS; i++) {
        a[i] = m * (float)i;
    }
    for (int64_t n = 0; n < steps; n++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) {
            a[i] = a[i] * m + m;
        }
    }
    UNROLL
    for (int i = 1; i < CHAINS; i++) {
        a[0] += a[i];
    }
    return a[0][0] + a[0][1] + a[0][2] + a[0][3];
}

static const mbs_peak plain = {"plain", CHAINS * 4 * 2, run_plain};

static float read_plain(const float *p, size_t n) {
    four s[8] = {{0}};
    for (size_t i = 0; i + 32 <= n; i += 32) {
        const four *v = (const four *)(const void *)(p + i);
        UNROLL
        for (int k = 0; k < 8; k++) {
            s[k] += v[k];
        }
    }
    UNROLL
    for (int k = 1; k < 8; k++) {
        s[0] += s[k];
    }
    return s[0][0] + s[0][1] + s[0][2] + s[0][3];
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2,fma"))) static float run_avx2(int64_t steps) {
    __m256 a[CHAINS];
    __m256 m = _mm256_set1_ps(0.999f);
    UNROLL
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm256_set1_ps((float)i);
    }
    for (int64_t n = 0; n < steps; n++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) {
            a[i] = _mm256_fmadd_ps(a[i], m, m);
        }
        __asm__ volatile("" : "+x"(a[0]), "+x"(a[11]));
    }
    UNROLL
    for (int i = 1; i < CHAINS; i++) {
        a[0] = _mm256_add_ps(a[0], a[i]);
    }
    return _mm256_cvtss_f32(a[0]);
}

__attribute__((target("avx512f"))) static float run_avx512(int64_t steps) {
    __m512 a[CHAINS];
    __m512 m = _mm512_set1_ps(0.999f);
    UNROLL
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm512_set1_ps((float)i);
    }
    for (int64_t n = 0; n < steps; n++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) {
            a[i] = _mm512_fmadd_ps(a[i], m, m);
        }
        __asm__ volatile("" : "+v"(a[0]), "+v"(a[11]));
    }
    UNROLL
    for (int i = 1; i < CHAINS; i++) {
        a[0] = _mm512_add_ps(a[0], a[i]);
    }
    return _mm512_cvtss_f32(a[0]);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) static float run_bf16(int64_t steps) {
    __m512 a[CHAINS];
    __m512bh m = (__m512bh)_mm512_set1_epi32(0x3F003F00); /* halves */
    UNROLL
    for (int i = 0; i < CHAINS; i++) {
        a[i] = _mm512_set1_ps((float)i);
    }
    for (int64_t n = 0; n < steps; n++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) {
            a[i] = _mm512_dpbf16_ps(a[i], m, m);
        }
        __asm__ volatile("" : "+v"(a[0]), "+v"(a[11]));
    }
    UNROLL
    for (int i = 1; i < CHAINS; i++) {
        a[0] = _mm512_add_ps(a[0], a[i]);
    }
    return _mm512_cvtss_f32(a[0]);
}

__attribute__((target("avx2"))) static float read_avx2(const float *p, size_t n) {
    __m256 s[8];
    UNROLL
    for (int k = 0; k < 8; k++) {
        s[k] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i + 64 <= n; i += 64) {
        UNROLL
        for (int k = 0; k < 8; k++) {
            s[k] = _mm256_add_ps(s[k], _mm256_load_ps(p + i + 8 * k));
        }
    }
    UNROLL
    for (int k = 1; k < 8; k++) {
        s[0] = _mm256_add_ps(s[0], s[k]);
    }
    return _mm256_cvtss_f32(s[0]);
}

__attribute__((target("avx512f"))) static float read_avx512(const float *p, size_t n) {
    __m512 s[8];
    UNROLL
    for (int k = 0; k < 8; k++) {
        s[k] = _mm512_setzero_ps();
    }
    for (size_t i = 0; i + 128 <= n; i += 128) {
        UNROLL
        for (int k = 0; k < 8; k++) {
            s[k] = _mm512_add_ps(s[k], _mm512_load_ps(p + i + 16 * k));
        }
    }
    UNROLL
    for (int k = 1; k < 8; k++) {
        s[0] = _mm512_add_ps(s[0], s[k]);
    }
    return _mm512_cvtss_f32(s[0]);
}

static const mbs_peak avx2 = {"avx2", CHAINS * 8 * 2, run_avx2};
static const mbs_peak avx512 = {"avx512", CHAINS * 16 * 2, run_avx512};
static const mbs_peak bf16 = {"avx512bf16", CHAINS * 32 * 2, run_bf16};

static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") != 0;
}

static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const mbs_peak *mbs_peak_f32(void) {
    return has_avx512() ? &avx512 : has_avx2() ? &avx2 : &plain;
}

const mbs_peak *mbs_peak_bf16(void) {
    return has_avx512() && __builtin_cpu_supports("avx512bf16") ? &bf16 : NULL;
}

float mbs_peak_read(const float *p, size_t n) {
    return has_avx512() ? read_avx512(p, n) : has_avx2() ? read_avx2(p, n) : read_plain(p, n);
}
#else
const mbs_peak *mbs_peak_f32(void) {
    return &plain;
}

const mbs_peak *mbs_peak_bf16(void) {
    return NULL;
}

float mbs_peak_read(const float *p, size_t n) {
    return read_plain(p, n);
}
#endif
