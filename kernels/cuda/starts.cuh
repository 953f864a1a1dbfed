/* starts.cuh - the sequences that ride in one call of an operation with a state: where they begin. */
#ifndef MBK_CUDA_STARTS_CUH
#define MBK_CUDA_STARTS_CUH

#include "cuda/device.cuh"

/* How many sequences begin at rows up to and including t: the index of the next one. */
static __device__ __forceinline__ int64_t mbk_starts_upto(const mbk_cu_starts &s, int64_t t) {
    int64_t low = 0;
    int64_t high = s.n;
    while (low < high) {
        int64_t mid = (low + high) / 2;
        if (s.at[mid] <= t) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* The row at which sequence i begins; none: a row that never comes. */
static __device__ __forceinline__ int64_t mbk_start_at(const mbk_cu_starts &s, int64_t i) {
    return i < s.n ? s.at[i] : INT64_MAX;
}

/* The last start at or before t; -1: none in this call. */
static __device__ __forceinline__ int64_t mbk_start_before(const mbk_cu_starts &s, int64_t t) {
    int64_t i = mbk_starts_upto(s, t);
    return i > 0 ? s.at[i - 1] : -1;
}

#endif
