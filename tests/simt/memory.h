/*
 * memory.h - loads and stores with hints (checked for alignment), integer atomics, fences and cp.async.
 */
#ifndef MBK_SIMT_MEMORY_H
#define MBK_SIMT_MEMORY_H

template <class T> static inline const T *simt_aligned(const T *p, const char *file, int line) {
    if ((uintptr_t)p % sizeof(T) != 0) {
        simt_fail(SIMT_SITE, "an access of %d bytes at %p, which is not aligned to them", (int)sizeof(T),
                  (const void *)p);
    }
    return p;
}

#define SIMT_LOAD(name)                                                                                                \
    template <class T> static inline T name(const T *p, SIMT_HERE) {                                                   \
        return *simt_aligned(p, file, line);                                                                           \
    }
SIMT_LOAD(__ldg)
SIMT_LOAD(__ldcs)
SIMT_LOAD(__ldcg)
SIMT_LOAD(__ldca)
SIMT_LOAD(__ldlu)
SIMT_LOAD(__ldcv)
#undef SIMT_LOAD
#define SIMT_STORE(name)                                                                                               \
    template <class T> static inline void name(T *p, T v, SIMT_HERE) {                                                 \
        simt_aligned(p, file, line);                                                                                   \
        *p = v;                                                                                                        \
    }
SIMT_STORE(__stcs)
SIMT_STORE(__stcg)
SIMT_STORE(__stwb)
SIMT_STORE(__stwt)
#undef SIMT_STORE

/* Atomics are relaxed, as on a device, and let others run. On floating point they are refused: the order of such sums
 * would be the schedule's. */
template <class T> struct simt_atomic_type {
    static_assert(std::is_integral<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                  "integer atomics of 4 or 8 bytes only");
};
#define SIMT_ATOMIC(name, expression)                                                                                  \
    template <class T, class V> static inline T name(T *p, V value) {                                                  \
        simt_atomic_type<T> checked;                                                                                   \
        (void)checked;                                                                                                 \
        const T v = (T)value;                                                                                          \
        T was = __atomic_load_n(p, __ATOMIC_RELAXED);                                                                  \
        while (!__atomic_compare_exchange_n(p, &was, (T)(expression), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {    \
        }                                                                                                              \
        simt_yield();                                                                                                  \
        return was;                                                                                                    \
    }
SIMT_ATOMIC(atomicAdd, was + v)
SIMT_ATOMIC(atomicSub, was - v)
SIMT_ATOMIC(atomicMax, was > v ? was : v)
SIMT_ATOMIC(atomicMin, was < v ? was : v)
SIMT_ATOMIC(atomicExch, v)
SIMT_ATOMIC(atomicOr, was | v)
SIMT_ATOMIC(atomicAnd, was &v)
SIMT_ATOMIC(atomicXor, was ^ v)
#undef SIMT_ATOMIC
template <class T> static inline T atomicCAS(T *p, T expected, T v) {
    simt_atomic_type<T> checked;
    (void)checked;
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    simt_yield();
    return expected;
}

/* Fences order nothing here: one thread runs at a time, and ThreadSanitizer does not model them. */
static inline void __threadfence() {
    simt_yield();
}
static inline void __threadfence_block() {
    simt_yield();
}
static inline void __nanosleep(unsigned) {
    simt_yield();
}

/* cp.async by its toolkit names (cuda_pipeline_primitives.h). The copy itself is made here, where sanitizers see it. */
static inline void simt_copy_do(const simt_copy &c) {
    unsigned char *to = (unsigned char *)c.dst;
    const unsigned char *from = (const unsigned char *)c.src;
    for (uint32_t i = 0; i < c.bytes; i++) {
        to[i] = i < c.bytes - c.zero ? from[i] : (unsigned char)0;
    }
}
static inline void __pipeline_memcpy_async(void *shared, const void *global, size_t bytes, size_t zero = 0, SIMT_HERE) {
    if ((bytes != 4 && bytes != 8 && bytes != 16) || (uintptr_t)shared % bytes != 0 || (uintptr_t)global % bytes != 0 ||
        zero > bytes) {
        simt_fail(SIMT_SITE, "cp.async of %d bytes from %p to %p: 4, 8 or 16, aligned to them", (int)bytes, global,
                  shared);
    }
    if (!simt_shared_has(shared, bytes)) {
        simt_fail(SIMT_SITE, "cp.async to %p, which is no shared memory", shared);
    }
    simt_copy c = {shared, global, (uint32_t)bytes, (uint32_t)zero};
    if (simt_copy_add(&c)) {
        simt_copy_do(c);
    }
}
static inline void __pipeline_commit() {
    simt_copy_commit();
}
static inline void __pipeline_wait_prior(int keep) {
    simt_copy c;
    while (simt_copy_due(keep, &c)) {
        simt_copy_do(c);
    }
}

#endif
