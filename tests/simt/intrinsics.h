/*
 * intrinsics.h - arithmetic that nvcc knows by name. The approximate functions are exact here; a test that compares
 * them leaves room for what the CUDA documentation allows a device.
 */
#ifndef MBK_SIMT_INTRINSICS_H
#define MBK_SIMT_INTRINSICS_H

/* glibc declares some of these names for itself, so they are macros. */
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __powf(x, y) powf(x, y)

static inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
static inline double rsqrt(double x) {
    return 1.0 / sqrt(x);
}
static inline float __fdividef(float a, float b) {
    return a / b;
}
static inline float fdividef(float a, float b) {
    return a / b;
}
static inline float __frcp_rn(float x) {
    return 1.0f / x;
}
static inline float __fsqrt_rn(float x) {
    return sqrtf(x);
}
static inline float __frsqrt_rn(float x) {
    return (float)(1.0 / sqrt((double)x));
}
static inline float __fadd_rn(float a, float b) {
    return a + b;
}
static inline float __fsub_rn(float a, float b) {
    return a - b;
}
static inline float __fmul_rn(float a, float b) {
    return a * b;
}
static inline float __fdiv_rn(float a, float b) {
    return a / b;
}
static inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
static inline double __dadd_rn(double a, double b) {
    return a + b;
}
static inline double __dmul_rn(double a, double b) {
    return a * b;
}
static inline double __fma_rn(double a, double b, double c) {
    return fma(a, b, c);
}
static inline float __saturatef(float x) {
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}

template <class To, class From> static inline To simt_bits(From v) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To r;
    memcpy(&r, &v, sizeof r);
    return r;
}
static inline int __float_as_int(float v) {
    return simt_bits<int>(v);
}
static inline unsigned __float_as_uint(float v) {
    return simt_bits<unsigned>(v);
}
static inline float __int_as_float(int v) {
    return simt_bits<float>(v);
}
static inline float __uint_as_float(unsigned v) {
    return simt_bits<float>(v);
}
static inline long long __double_as_longlong(double v) {
    return simt_bits<long long>(v);
}
static inline double __longlong_as_double(long long v) {
    return simt_bits<double>(v);
}
static inline int __float2int_rn(float v) {
    return (int)rintf(v);
}
static inline int __float2int_rz(float v) {
    return (int)v;
}
static inline float __int2float_rn(int v) {
    return (float)v;
}
static inline float __uint2float_rn(unsigned v) {
    return (float)v;
}
static inline float __double2float_rn(double v) {
    return (float)v;
}

static inline int __popc(unsigned v) {
    return __builtin_popcount(v);
}
static inline int __popcll(unsigned long long v) {
    return __builtin_popcountll(v);
}
static inline int __clz(int v) {
    return v ? __builtin_clz((unsigned)v) : 32;
}
static inline int __clzll(long long v) {
    return v ? __builtin_clzll((unsigned long long)v) : 64;
}
static inline int __ffs(int v) {
    return __builtin_ffs(v);
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((uint64_t)a * b >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline unsigned __brev(unsigned v) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) {
        r |= (v >> i & 1u) << (31 - i);
    }
    return r;
}
static inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    uint64_t both = (uint64_t)high << 32 | low;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) {
        unsigned s = selector >> 4 * i & 0xfu, byte = (unsigned)(both >> (s & 7u) * 8) & 0xffu;
        r |= (s & 8u ? (byte & 0x80u ? 0xffu : 0u) : byte) << 8 * i;
    }
    return r;
}

#define SIMT_MIN_MAX(T)                                                                                                \
    static inline T min(T a, T b) {                                                                                    \
        return b < a ? b : a;                                                                                          \
    }                                                                                                                  \
    static inline T max(T a, T b) {                                                                                    \
        return a < b ? b : a;                                                                                          \
    }
SIMT_MIN_MAX(int)
SIMT_MIN_MAX(unsigned)
SIMT_MIN_MAX(long)
SIMT_MIN_MAX(unsigned long)
SIMT_MIN_MAX(long long)
SIMT_MIN_MAX(unsigned long long)
#undef SIMT_MIN_MAX
/* Of a NaN and a number, the number: as on a device. */
static inline float min(float a, float b) {
    return fminf(a, b);
}
static inline float max(float a, float b) {
    return fmaxf(a, b);
}
static inline double min(double a, double b) {
    return fmin(a, b);
}
static inline double max(double a, double b) {
    return fmax(a, b);
}

#endif
