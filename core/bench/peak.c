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

/* NAME: `CHAINS` sums of V that take STEP(sum, m) again and again; REG is the assembler's letter for V's registers. */
#define PEAK(NAME, TARGET, V, M, m_of, set1, STEP, add, first, REG)                                                    \
    __attribute__((target(TARGET))) static float NAME(int64_t steps) {                                                 \
        V a[CHAINS];                                                                                                   \
        M m = m_of;                                                                                                    \
        UNROLL                                                                                                         \
        for (int i = 0; i < CHAINS; i++) {                                                                             \
            a[i] = set1((float)i);                                                                                     \
        }                                                                                                              \
        for (int64_t n = 0; n < steps; n++) {                                                                          \
            UNROLL                                                                                                     \
            for (int i = 0; i < CHAINS; i++) {                                                                         \
                a[i] = STEP(a[i]);                                                                                     \
            }                                                                                                          \
            __asm__ volatile("" : "+" REG(a[0]), "+" REG(a[11]));                                                      \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int i = 1; i < CHAINS; i++) {                                                                             \
            a[0] = add(a[0], a[i]);                                                                                    \
        }                                                                                                              \
        return first(a[0]);                                                                                            \
    }
#define FMA256(x) _mm256_fmadd_ps(x, m, m)
#define FMA512(x) _mm512_fmadd_ps(x, m, m)
#define DOT512(x) _mm512_dpbf16_ps(x, m, m)
/* By hand: compilers keep products for later, in registers that there are not, or make but one of those that are the
 * same. */
#define WHOLE(NAME, TARGET, V, M, REG)                                                                                 \
    __attribute__((target(TARGET))) static inline V NAME(V sum, M m) {                                                 \
        V product;                                                                                                     \
        __asm__("vpmaddwd\t%[m], %[m], %[product]\n\tvpaddd\t%[product], %[sum], %[sum]"                               \
                : [sum] "+" REG(sum), [product] "=&" REG(product)                                                      \
                : [m] REG(m));                                                                                         \
        return sum;                                                                                                    \
    }
WHOLE(whole256, "avx2", __m256, __m256i, "x")
WHOLE(whole512, "avx512f,avx512bw", __m512, __m512i, "v")
#define WHOLE256(x) whole256(x, m)
#define WHOLE512(x) whole512(x, m)
#define HALVES (__m512bh) _mm512_set1_epi32(0x3F003F00)
PEAK(run_avx2, "avx2,fma", __m256, __m256, _mm256_set1_ps(0.999f), _mm256_set1_ps, FMA256, _mm256_add_ps,
     _mm256_cvtss_f32, "x")
PEAK(run_avx512, "avx512f", __m512, __m512, _mm512_set1_ps(0.999f), _mm512_set1_ps, FMA512, _mm512_add_ps,
     _mm512_cvtss_f32, "v")
PEAK(run_bf16, "avx512f,avx512bw,avx512vl,avx512bf16", __m512, __m512bh, HALVES, _mm512_set1_ps, DOT512, _mm512_add_ps,
     _mm512_cvtss_f32, "v")
PEAK(run_i16_avx2, "avx2", __m256, __m256i, _mm256_set1_epi16(1), _mm256_set1_ps, WHOLE256, _mm256_add_ps,
     _mm256_cvtss_f32, "x")
PEAK(run_i16_avx512, "avx512f,avx512bw", __m512, __m512i, _mm512_set1_epi16(1), _mm512_set1_ps, WHOLE512, _mm512_add_ps,
     _mm512_cvtss_f32, "v")

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
static const mbs_peak i16_avx2 = {"avx2", CHAINS * 16 * 2, run_i16_avx2};
static const mbs_peak i16_avx512 = {"avx512", CHAINS * 32 * 2, run_i16_avx512};
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

const mbs_peak *mbs_peak_i16(void) {
    return has_avx512() && __builtin_cpu_supports("avx512bw") ? &i16_avx512 : has_avx2() ? &i16_avx2 : NULL;
}

const mbs_peak *mbs_peak_of(mbk_level level, mbk_math math) {
    if (!mbk_level_usable(level)) {
        return NULL;
    }
    switch (level) {
    case MBK_LEVEL_AVX512BF16:
        return math == MBK_MATH_BF16 ? &bf16 : math == MBK_MATH_I16 ? &i16_avx512 : &avx512;
    case MBK_LEVEL_AVX512:
        return math == MBK_MATH_I16 ? &i16_avx512 : &avx512;
    case MBK_LEVEL_AVX2:
        return math == MBK_MATH_I16 ? &i16_avx2 : &avx2;
    case MBK_LEVEL_REF:
    case MBK_LEVEL_COUNT:
    default:
        return NULL;
    }
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

const mbs_peak *mbs_peak_i16(void) {
    return NULL;
}

const mbs_peak *mbs_peak_of(mbk_level level, mbk_math math) {
    return (void)level, (void)math, NULL;
}

float mbs_peak_read(const float *p, size_t n) {
    return read_plain(p, n);
}
#endif
