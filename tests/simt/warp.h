/*
 * warp.h - barriers, shuffles, votes and reductions under their CUDA names, and the matrix operation of a warp.
 */
#ifndef MBK_SIMT_WARP_H
#define MBK_SIMT_WARP_H

static inline void __syncthreads(SIMT_HERE) {
    simt_barrier(SIMT_SYNC, 0, SIMT_SITE);
}
static inline int __syncthreads_or(int p, SIMT_HERE) {
    return simt_barrier(SIMT_SYNC_OR, p, SIMT_SITE);
}
static inline int __syncthreads_and(int p, SIMT_HERE) {
    return simt_barrier(SIMT_SYNC_AND, p, SIMT_SITE);
}
static inline int __syncthreads_count(int p, SIMT_HERE) {
    return simt_barrier(SIMT_SYNC_COUNT, p, SIMT_SITE);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_HERE) {
    simt_warp(SIMT_SYNCWARP, mask, 0, 0, SIMT_WARP, nullptr, SIMT_SITE);
}

template <class T> static inline T simt_shuffle(simt_warp_op op, unsigned mask, T v, int arg, int width, simt_site at) {
    static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 2, 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    bits = simt_warp(op, mask, bits, arg, width, nullptr, at);
    memcpy(&v, &bits, sizeof v);
    return v;
}
template <class T> static inline T __shfl_sync(unsigned mask, T v, int from, int width = SIMT_WARP, SIMT_HERE) {
    return simt_shuffle(SIMT_SHFL, mask, v, from, width, SIMT_SITE);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = SIMT_WARP, SIMT_HERE) {
    return simt_shuffle(SIMT_SHFL_UP, mask, v, (int)by, width, SIMT_SITE);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = SIMT_WARP, SIMT_HERE) {
    return simt_shuffle(SIMT_SHFL_DOWN, mask, v, (int)by, width, SIMT_SITE);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T v, int with, int width = SIMT_WARP, SIMT_HERE) {
    return simt_shuffle(SIMT_SHFL_XOR, mask, v, with, width, SIMT_SITE);
}

static inline unsigned __ballot_sync(unsigned mask, int p, SIMT_HERE) {
    return (unsigned)simt_warp(SIMT_BALLOT, mask, p != 0, 0, SIMT_WARP, nullptr, SIMT_SITE);
}
static inline int __all_sync(unsigned mask, int p, SIMT_HERE) {
    return (int)simt_warp(SIMT_ALL, mask, p != 0, 0, SIMT_WARP, nullptr, SIMT_SITE);
}
static inline int __any_sync(unsigned mask, int p, SIMT_HERE) {
    return (int)simt_warp(SIMT_ANY, mask, p != 0, 0, SIMT_WARP, nullptr, SIMT_SITE);
}
template <class T> static inline unsigned __match_any_sync(unsigned mask, T v, SIMT_HERE) {
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    return (unsigned)simt_warp(SIMT_MATCH_ANY, mask, bits, 0, SIMT_WARP, nullptr, SIMT_SITE);
}

#define SIMT_REDUCE(name, T, op)                                                                                       \
    static inline T name(unsigned mask, T v, SIMT_HERE) {                                                              \
        return (T)(unsigned)simt_warp(op, mask, (unsigned)v, 0, SIMT_WARP, nullptr, SIMT_SITE);                        \
    }
SIMT_REDUCE(__reduce_add_sync, int, SIMT_REDUCE_ADD)
SIMT_REDUCE(__reduce_add_sync, unsigned, SIMT_REDUCE_ADD)
SIMT_REDUCE(__reduce_min_sync, int, SIMT_REDUCE_MIN)
SIMT_REDUCE(__reduce_min_sync, unsigned, SIMT_REDUCE_UMIN)
SIMT_REDUCE(__reduce_max_sync, int, SIMT_REDUCE_MAX)
SIMT_REDUCE(__reduce_max_sync, unsigned, SIMT_REDUCE_UMAX)
SIMT_REDUCE(__reduce_and_sync, unsigned, SIMT_REDUCE_AND)
SIMT_REDUCE(__reduce_or_sync, unsigned, SIMT_REDUCE_OR)
SIMT_REDUCE(__reduce_xor_sync, unsigned, SIMT_REDUCE_XOR)
#undef SIMT_REDUCE

/* mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: D (16, 8) = A (16, 16) B (16, 8) + C, fragments as PTX lays them
 * out over the lanes: lane l has rows l / 4 and l / 4 + 8, columns 2 (l mod 4) and the next, of each 8 x 8 tile.
 * Products are summed in double, which no hardware does; compare with room for the order of 16 f32 additions. */
static inline float simt_bf16_half(uint32_t word, int high) {
    uint32_t bits = high ? word & 0xffff0000u : word << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
static inline void simt_mma_bf16_16x8x16(float *d, const uint32_t *a, const uint32_t *b, const float *c, SIMT_HERE) {
    uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]}, all[SIMT_WARP * 6];
    simt_exchange(mine, 6, all, SIMT_SITE);
    int lane = (int)((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % SIMT_WARP);
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
        double sum = (double)c[i];
        for (int k = 0; k < 16; k++) {
            const uint32_t *of_a = all + (row % 8 * 4 + k % 8 / 2) * 6, *of_b = all + (col * 4 + k % 8 / 2) * 6;
            sum += (double)simt_bf16_half(of_a[row / 8 + k / 8 * 2], k % 2) *
                   (double)simt_bf16_half(of_b[4 + k / 8], k % 2);
        }
        d[i] = (float)sum;
    }
}

#endif
