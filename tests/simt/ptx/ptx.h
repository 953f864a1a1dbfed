/*
 * ptx.h - what translated PTX (ptx2c.py) is written in: registers are whole numbers, and these are the instructions
 * that C has no operator for. Each access to memory goes through a check here. Compiled with -fno-strict-aliasing and
 * -ffp-contract=off.
 */
#ifndef MBK_SIMT_PTX_H
#define MBK_SIMT_PTX_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "simt/ptx/host.h"

enum ptx_how { PTX_READ, PTX_WRITE, PTX_ATOMIC };
enum { PTX_MAX_SHARED = 24, PTX_SEEN = 8, PTX_MAX_LOCAL = 8 };

struct ptx_site {
    const char *file;
    int line, ptx_line;
    const char *text;
};
struct ptx_variable {
    uint32_t bytes, align;
};
struct ptx_range {
    uint64_t at, bytes;
};
/* What the instructions of a basic block are, once through: all but moves, f32 operations (an fma is two), ex2, others
 * of the special function unit. */
struct ptx_work {
    uint32_t instructions, flops, ex2, sfu;
};
struct ptx_kernel {
    const char *symbol; /* mangled, with the names of internal linkage made equal (ptx2c.py, normal) */
    simt_thunk thunk;
    const struct ptx_variable *shared;
    simt_slot *slots;
    int n_shared, uses_dynamic;
    uint32_t args_bytes, max_threads;
    const struct ptx_site *sites; /* of the module */
    int n_sites;
    const struct ptx_work *work;
    uint64_t *counts; /* how often each block ran, while profiling */
    int n_blocks;
    const struct ptx_range *globals; /* of the module, until bytes == 0 */
};

struct ptx_record; /* profile.c */

/* One CUDA thread. */
struct ptx_thread {
    const struct ptx_kernel *kernel;
    const unsigned char *args;
    unsigned char *base; /* shared addresses count from here */
    struct {
        uint32_t at, bytes;
    } shared[PTX_MAX_SHARED + 1];
    int n_shared;
    uint32_t dynamic;
    struct ptx_range seen[PTX_SEEN]; /* of device memory */
    struct ptx_range local[PTX_MAX_LOCAL];
    int n_local;
    struct ptx_record *profile; /* NULL: not profiling */
};

extern int ptx_profiling;
#define PTX_BLOCK(counts, k)                                                                                           \
    if (ptx_profiling)                                                                                                 \
    counts[k]++

void ptx_begin(struct ptx_thread *t, const struct ptx_kernel *kernel, const unsigned char *args);
void ptx_end(struct ptx_thread *t);
void ptx_fail(struct ptx_thread *t, uint32_t site, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));
simt_site ptx_site(struct ptx_thread *t, uint32_t site);
void *ptx_generic(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site);
int ptx_is_shared(struct ptx_thread *t, uint64_t at);
int ptx_is_local(struct ptx_thread *t, uint64_t at);
int ptx_is_global(struct ptx_thread *t, uint64_t at);
void ptx_local_add(struct ptx_thread *t, void *at, uint32_t size);
/* Notes one access of one thread (profile.c). */
void ptx_note(struct ptx_thread *t, uint32_t site, uint64_t at, uint32_t size, enum ptx_how how, int shared);

int ptx_barrier(struct ptx_thread *t, uint32_t id, simt_barrier_op op, int predicate, uint32_t site);
uint32_t ptx_shfl(struct ptx_thread *t, simt_warp_op op, uint32_t value, uint32_t b, uint32_t c, uint32_t mask, int *in,
                  uint32_t site);
void ptx_copy(struct ptx_thread *t, uint32_t dst, uint64_t src, uint32_t size, uint32_t taken, uint32_t site);
void ptx_copy_wait(struct ptx_thread *t, int keep);
/* d (the caller's part of the tile, 4) += A B: mine holds the words of A, then of B. */
void ptx_mma_bf16(struct ptx_thread *t, const uint32_t *mine, int n_a, int n_b, float *d, uint32_t site);
void ptx_mma_tf32(struct ptx_thread *t, const uint32_t *mine, int n_a, int n_b, float *d, uint32_t site);
void ptx_ldmatrix(struct ptx_thread *t, uint32_t row, int count, int transposed, uint32_t *out, uint32_t site);

static inline uint32_t ptx_thread_index(struct ptx_thread *t) {
    (void)t;
    const simt_dim *at = ptx_host->threadIdx, *n = ptx_host->blockDim;
    return (at->z * n->y + at->y) * n->x + at->x;
}
static inline uint32_t ptx_lane(struct ptx_thread *t) {
    return ptx_thread_index(t) % 32u;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */
/* Host pointers to `size` bytes of a space, or the end of the program. Parameters: of the kernel, or of a call, which
 * lie in arrays of the caller. Calls, not code in place: kernels have tens of thousands of them. */
void *ptx_global(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site);
void *ptx_shared(struct ptx_thread *t, uint32_t at, uint32_t size, enum ptx_how how, uint32_t site);
void *ptx_local(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site);
void *ptx_param(struct ptx_thread *t, uint64_t at, uint32_t size, enum ptx_how how, uint32_t site);
#define ptx_const ptx_global
static inline uint64_t ptx_shared_address(struct ptx_thread *t, uint32_t at) {
    return (uint64_t)(uintptr_t)(t->base + (int32_t)at);
}
static inline uint64_t ptx_shared_offset(struct ptx_thread *t, uint64_t at) {
    return (uint32_t)(at - (uint64_t)(uintptr_t)t->base);
}

/* Translated files are compiled without optimisation: they are large, and what they spend is mostly in the emulator. */
#define PTX_FAST static inline __attribute__((always_inline))

/* --- numbers ------------------------------------------------------------------------------------------------------ */
PTX_FAST float ptx_f32(uint32_t u) {
    union {
        uint32_t u;
        float f;
    } x = {u};
    return x.f;
}
PTX_FAST double ptx_f64(uint64_t u) {
    union {
        uint64_t u;
        double f;
    } x = {u};
    return x.f;
}
PTX_FAST uint32_t ptx_bits(float f) {
    union {
        float f;
        uint32_t u;
    } x = {f};
    return x.u;
}
PTX_FAST uint64_t ptx_bits64(double f) {
    union {
        double f;
        uint64_t u;
    } x = {f};
    return x.u;
}
static inline float ptx_ftz(float f) {
    return fabsf(f) < 0x1p-126f ? copysignf(0.0f, f) : f;
}
static inline float ptx_sat(float f) {
    return f > 0.0f ? (f < 1.0f ? f : 1.0f) : 0.0f;
}
enum ptx_mode { PTX_RN, PTX_RZ, PTX_RM, PTX_RP };
/* The float next to s + e in the direction of the mode: s is the nearest double, e what it leaves. */
static inline float ptx_round(double s, double e, enum ptx_mode mode) {
    float f = (float)s;
    if (mode == PTX_RN || isnan(f) || isinf(s)) {
        return f;
    }
    int above = (double)f > s || ((double)f == s && e < 0);
    int below = (double)f < s || ((double)f == s && e > 0);
    if (above && (mode == PTX_RM || (mode == PTX_RZ && s > 0))) {
        return nextafterf(f, -INFINITY);
    }
    if (below && (mode == PTX_RP || (mode == PTX_RZ && s < 0))) {
        return nextafterf(f, INFINITY);
    }
    return f;
}
static inline float ptx_add_double(double a, double b, enum ptx_mode mode) {
    double s = a + b, bb = s - a;
    return ptx_round(s, (a - (s - bb)) + (b - bb), mode);
}
static inline float ptx_add_round(float a, float b, enum ptx_mode mode) {
    return ptx_add_double(a, b, mode);
}
static inline float ptx_mul_round(float a, float b, enum ptx_mode mode) {
    return ptx_round((double)a * (double)b, 0.0, mode);
}
static inline float ptx_fma_round(float a, float b, float c, enum ptx_mode mode) {
    return ptx_add_double((double)a * (double)b, c, mode);
}
static inline float ptx_rsqrtf(float a) {
    return (float)(1.0 / sqrt((double)a));
}
static inline double ptx_rsqrt(double a) {
    return 1.0 / sqrt(a);
}
static inline float ptx_rcpf(float a) {
    return 1.0f / a;
}
static inline double ptx_rcp(double a) {
    return 1.0 / a;
}
/* min and max: the number, where one is not; and -0 below +0. */
static inline float ptx_min(float a, float b) {
    return isnan(a) ? b : isnan(b) ? a : a < b || (a == b && signbit(a)) ? a : b;
}
static inline float ptx_max(float a, float b) {
    return isnan(a) ? b : isnan(b) ? a : a > b || (a == b && !signbit(a)) ? a : b;
}
static inline float ptx_min_nan(float a, float b) {
    return isnan(a) || isnan(b) ? NAN : ptx_min(a, b);
}
static inline float ptx_max_nan(float a, float b) {
    return isnan(a) || isnan(b) ? NAN : ptx_max(a, b);
}
static inline uint64_t ptx_add_f32x2(uint64_t a, uint64_t b) {
    uint64_t low = ptx_bits(ptx_f32((uint32_t)a) + ptx_f32((uint32_t)b));
    return low | (uint64_t)ptx_bits(ptx_f32((uint32_t)(a >> 32)) + ptx_f32((uint32_t)(b >> 32))) << 32;
}
static inline uint64_t ptx_mul_f32x2(uint64_t a, uint64_t b) {
    uint64_t low = ptx_bits(ptx_f32((uint32_t)a) * ptx_f32((uint32_t)b));
    return low | (uint64_t)ptx_bits(ptx_f32((uint32_t)(a >> 32)) * ptx_f32((uint32_t)(b >> 32))) << 32;
}
static inline uint64_t ptx_fma_f32x2(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t low = ptx_bits(fmaf(ptx_f32((uint32_t)a), ptx_f32((uint32_t)b), ptx_f32((uint32_t)c)));
    return low | (uint64_t)ptx_bits(
                     fmaf(ptx_f32((uint32_t)(a >> 32)), ptx_f32((uint32_t)(b >> 32)), ptx_f32((uint32_t)(c >> 32))))
                     << 32;
}
static inline uint16_t ptx_to_bf16(float f) {
    uint32_t u = ptx_bits(f);
    return isnan(f) ? 0x7fff : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static inline float ptx_of_bf16(uint32_t half) {
    return ptx_f32((half & 0xffff) << 16);
}
static inline uint32_t ptx_to_tf32(float f, int away) {
    uint32_t u = ptx_bits(f);
    return isnan(f) || isinf(f) ? u : (u + (away ? 0x1000 : 0xfff + (u >> 13 & 1))) & ~UINT32_C(0x1fff);
}
/* A whole double to a whole number of `bits`, which holds its nearest; NaN: 0, or the top bit alone. */
static inline uint64_t ptx_to_s(double x, uint32_t bits, int nan_is_zero) {
    if (isnan(x)) {
        return nan_is_zero ? 0 : UINT64_C(1) << (bits - 1);
    }
    double top = ldexp(1.0, (int)bits - 1);
    int64_t most = (int64_t)((UINT64_C(1) << (bits - 1)) - 1);
    return x >= top ? (uint64_t)most : x < -top ? (uint64_t)(-most - 1) : (uint64_t)(int64_t)x;
}
static inline uint64_t ptx_to_u(double x, uint32_t bits, int nan_is_zero) {
    if (isnan(x)) {
        return nan_is_zero ? 0 : UINT64_C(1) << (bits - 1);
    }
    return x >= ldexp(1.0, (int)bits) ? UINT64_MAX >> (64 - bits) : x <= 0 ? 0 : (uint64_t)x;
}
static inline int64_t ptx_sat_s(int64_t x, uint32_t bits, int is_u64) {
    int64_t most = (int64_t)((UINT64_C(1) << (bits - 1)) - 1);
    return is_u64 && x < 0 ? most : x > most ? most : x < -most - 1 ? -most - 1 : x;
}
static inline uint64_t ptx_sat_u(int64_t x, uint32_t bits, int is_u64) {
    uint64_t most = UINT64_MAX >> (64 - bits);
    return x < 0 && !is_u64 ? 0 : (uint64_t)x > most ? most : (uint64_t)x;
}

/* Division by zero gives all ones on a device; C has no answer. */
#define PTX_DIVIDE(bits)                                                                                               \
    static inline uint##bits##_t ptx_div_u##bits(uint##bits##_t a, uint##bits##_t b) {                                 \
        return b ? a / b : (uint##bits##_t) - 1;                                                                       \
    }                                                                                                                  \
    static inline uint##bits##_t ptx_rem_u##bits(uint##bits##_t a, uint##bits##_t b) {                                 \
        return b ? a % b : a;                                                                                          \
    }                                                                                                                  \
    static inline int##bits##_t ptx_div_s##bits(int##bits##_t a, int##bits##_t b) {                                    \
        return b == 0 ? -1 : b == -1 ? (int##bits##_t)(0 - (uint##bits##_t)a) : a / b;                                 \
    }                                                                                                                  \
    static inline int##bits##_t ptx_rem_s##bits(int##bits##_t a, int##bits##_t b) {                                    \
        return b == 0 ? a : b == -1 ? 0 : a % b;                                                                       \
    }
PTX_DIVIDE(16)
PTX_DIVIDE(32)
PTX_DIVIDE(64)

static inline uint32_t ptx_wrap(uint32_t n) {
    return n & 31u;
}
static inline uint32_t ptx_clamp(uint32_t n) {
    return n < 32u ? n : 32u;
}
static inline uint64_t ptx_low(uint32_t n) {
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}
static inline uint64_t ptx_bfe(uint64_t a, uint32_t at, uint32_t n, uint32_t bits, int is_signed) {
    at &= 0xff;
    n &= 0xff;
    if (n == 0) {
        return 0;
    }
    if (!is_signed) {
        a &= ptx_low(bits);
        return at >= 64 ? 0 : (a >> at) & ptx_low(n);
    }
    uint32_t top = at + n - 1 < bits - 1 ? at + n - 1 : bits - 1;
    uint64_t sign = a >> top & 1 ? UINT64_MAX : 0, value = at >= 64 ? sign : (uint64_t)((int64_t)a >> at);
    return (value & ptx_low(n)) | (n < 64 ? sign << n : 0);
}
static inline uint64_t ptx_bfi(uint64_t a, uint64_t b, uint32_t at, uint32_t n, uint32_t bits) {
    at &= 0xff;
    n &= 0xff;
    if (n == 0 || at >= bits) {
        return b;
    }
    uint64_t mask = ptx_low(n) << at;
    return (b & ~mask) | ((a << at) & mask);
}
static inline uint32_t ptx_popc(uint64_t a, uint32_t bits) {
    (void)bits;
    return (uint32_t)__builtin_popcountll(a);
}
static inline uint32_t ptx_clz(uint64_t a, uint32_t bits) {
    return a ? (uint32_t)__builtin_clzll(a) - (64 - bits) : bits;
}
static inline uint32_t ptx_bfind(uint64_t a, uint32_t bits) {
    return a ? bits - 1 - ptx_clz(a, bits) : UINT32_MAX;
}
static inline uint32_t ptx_bfind_amount(uint64_t a, uint32_t bits) {
    return a ? ptx_clz(a, bits) : UINT32_MAX;
}
static inline uint32_t ptx_bfind_s(uint64_t a, uint32_t bits) {
    return ptx_bfind(a >> (bits - 1) & 1 ? ~a & ptx_low(bits) : a, bits);
}
static inline uint32_t ptx_bfind_s_amount(uint64_t a, uint32_t bits) {
    return ptx_bfind_amount(a >> (bits - 1) & 1 ? ~a & ptx_low(bits) : a, bits);
}
static inline uint64_t ptx_brev(uint64_t a, uint32_t bits) {
    uint64_t out = 0;
    for (uint32_t i = 0; i < bits; i++) {
        out |= (a >> i & 1) << (bits - 1 - i);
    }
    return out;
}
static inline uint32_t ptx_prmt(uint32_t a, uint32_t b, uint32_t how) {
    uint64_t both = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t pick = how >> (4 * i), byte = (uint32_t)(both >> (8 * (pick & 7))) & 0xff;
        out |= (pick & 8 ? (byte & 0x80 ? 0xffu : 0u) : byte) << (8 * i);
    }
    return out;
}
static inline uint32_t ptx_lop3(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
    uint32_t out = 0;
    for (uint32_t i = 0; i < 8; i++) {
        out |= table >> i & 1 ? (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c) : 0;
    }
    return out;
}
static inline uint32_t ptx_dp4a(uint32_t a, uint32_t b, uint32_t c, int a_signed, int b_signed) {
    for (int i = 0; i < 32; i += 8) {
        int32_t x = a_signed ? (int8_t)(a >> i) : (uint8_t)(a >> i);
        c += (uint32_t)(x * (b_signed ? (int8_t)(b >> i) : (uint8_t)(b >> i)));
    }
    return c;
}

enum ptx_atom {
    PTX_ATOM_ADD,
    PTX_ATOM_MIN,
    PTX_ATOM_MAX,
    PTX_ATOM_AND,
    PTX_ATOM_OR,
    PTX_ATOM_XOR,
    PTX_ATOM_EXCH,
    PTX_ATOM_CAS
};
/* Other fibers do not run in between; __atomic tells ThreadSanitizer what this is. */
#define PTX_ATOM_OF(name, type, unsigned_type)                                                                         \
    static inline unsigned_type ptx_atom_##name(void *p, enum ptx_atom op, type a, type b) {                           \
        unsigned_type raw = __atomic_load_n((unsigned_type *)p, __ATOMIC_RELAXED);                                     \
        type old = (type)raw, now = old;                                                                               \
        switch (op) {                                                                                                  \
        case PTX_ATOM_ADD:                                                                                             \
            now = (type)(raw + (unsigned_type)a);                                                                      \
            break;                                                                                                     \
        case PTX_ATOM_MIN:                                                                                             \
            now = a < old ? a : old;                                                                                   \
            break;                                                                                                     \
        case PTX_ATOM_MAX:                                                                                             \
            now = a > old ? a : old;                                                                                   \
            break;                                                                                                     \
        case PTX_ATOM_AND:                                                                                             \
            now = old & a;                                                                                             \
            break;                                                                                                     \
        case PTX_ATOM_OR:                                                                                              \
            now = old | a;                                                                                             \
            break;                                                                                                     \
        case PTX_ATOM_XOR:                                                                                             \
            now = old ^ a;                                                                                             \
            break;                                                                                                     \
        case PTX_ATOM_EXCH:                                                                                            \
            now = a;                                                                                                   \
            break;                                                                                                     \
        case PTX_ATOM_CAS:                                                                                             \
            now = old == a ? b : old;                                                                                  \
            break;                                                                                                     \
        }                                                                                                              \
        __atomic_store_n((unsigned_type *)p, (unsigned_type)now, __ATOMIC_RELAXED);                                    \
        return raw;                                                                                                    \
    }
PTX_ATOM_OF(u32, uint32_t, uint32_t)
PTX_ATOM_OF(s32, int32_t, uint32_t)
PTX_ATOM_OF(u64, uint64_t, uint64_t)
PTX_ATOM_OF(s64, int64_t, uint64_t)

#endif
