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
/* As the kernels multiply fours of int8 where one instruction does not: a sign, two sums of products, a sum. */
__attribute__((target("avx2"))) static inline __m256 fours256(__m256 sum, __m256i m) {
    __m256 product;
    __asm__("vpsignb\t%[m], %[m], %[product]\n\tvpmaddubsw\t%[product], %[m], %[product]\n\t"
            "vpmaddwd\t%[m], %[product], %[product]\n\tvpaddd\t%[product], %[sum], %[sum]"
            : [sum] "+x"(sum), [product] "=&x"(product)
            : [m] "x"(m));
    return sum;
}
#define FOURS256(x) fours256(x, m)
#define VNNI(NAME, INSTRUCTION)                                                                                        \
    __attribute__((target("avx512f,avx512bw,avx512vnni"))) static inline __m512 NAME(__m512 sum, __m512i m) {          \
        __asm__(INSTRUCTION "\t%[m], %[m], %[sum]" : [sum] "+v"(sum) : [m] "v"(m));                                    \
        return sum;                                                                                                    \
    }
VNNI(pairs_vnni, "vpdpwssd")
VNNI(fours_vnni, "vpdpbusd")
#define PAIRS_VNNI(x) pairs_vnni(x, m)
#define FOURS_VNNI(x) fours_vnni(x, m)
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
PEAK(run_i8_avx2, "avx2", __m256, __m256i, _mm256_set1_epi8(1), _mm256_set1_ps, FOURS256, _mm256_add_ps,
     _mm256_cvtss_f32, "x")
PEAK(run_i16_vnni, "avx512f,avx512bw,avx512vnni", __m512, __m512i, _mm512_set1_epi32(0x00010001), _mm512_set1_ps,
     PAIRS_VNNI, _mm512_add_ps, _mm512_cvtss_f32, "v")
PEAK(run_i8_vnni, "avx512f,avx512bw,avx512vnni", __m512, __m512i, _mm512_set1_epi32(0x01010101), _mm512_set1_ps,
     FOURS_VNNI, _mm512_add_ps, _mm512_cvtss_f32, "v")

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
static const mbs_peak i16_vnni = {"avx512vnni", CHAINS * 32 * 2, run_i16_vnni};
static const mbs_peak i8_avx2 = {"avx2", CHAINS * 32 * 2, run_i8_avx2};
static const mbs_peak i8_vnni = {"avx512vnni", CHAINS * 64 * 2, run_i8_vnni};
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

static const mbs_peak *whole_peak(mbk_level level, mbk_math math) {
    if (level >= MBK_LEVEL_AVX512VNNI) {
        return math == MBK_MATH_I16 ? &i16_vnni : &i8_vnni;
    }
    if (math == MBK_MATH_I16) {
        return level >= MBK_LEVEL_AVX512 ? &i16_avx512 : level >= MBK_LEVEL_AVX2 ? &i16_avx2 : NULL;
    }
    return level >= MBK_LEVEL_AVX2 ? &i8_avx2 : NULL;
}

const mbs_peak *mbs_peak_i16(void) {
    return whole_peak(mbk_level_best(), MBK_MATH_I16);
}

const mbs_peak *mbs_peak_i8(void) {
    return whole_peak(mbk_level_best(), MBK_MATH_I8);
}

const mbs_peak *mbs_peak_of(mbk_level level, mbk_math math) {
    if (!mbk_level_usable(level)) {
        return NULL;
    }
    if (mbk_math_whole(math)) {
        return whole_peak(level, math);
    }
    if (level >= MBK_LEVEL_AVX512BF16 && math == MBK_MATH_BF16) {
        return &bf16;
    }
    return level >= MBK_LEVEL_AVX512 ? &avx512 : level >= MBK_LEVEL_AVX2 ? &avx2 : NULL;
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

const mbs_peak *mbs_peak_i8(void) {
    return NULL;
}

const mbs_peak *mbs_peak_of(mbk_level level, mbk_math math) {
    return (void)level, (void)math, NULL;
}

float mbs_peak_read(const float *p, size_t n) {
    return read_plain(p, n);
}
#endif
