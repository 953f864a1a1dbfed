/* pieces.h - the sequences that ride in one call of an operation with a state, and how its state is cleared. */
#ifndef MBK_CPU_PIECES_H
#define MBK_CPU_PIECES_H

#include "cpu/cpu.h"

/* The sequences of a call: the first continues, each later one begins at a row of `start`. */
typedef struct pieces {
    const int32_t *start;
    int64_t n;
} pieces;

static inline pieces pieces_of(mbk_starts starts, int64_t rows) {
    if (starts.n == 0) {
        return (pieces){NULL, 0};
    }
    pieces p = {ints_at(starts.buf, starts.off, starts.n), starts.n};
    for (int64_t i = 0; i < p.n; i++) {
        assert(p.start[i] < rows && p.start[i] > (i ? p.start[i - 1] : -1));
    }
    (void)rows;
    return p;
}

/* Rows [from, to) of sequence i of p.n + 1; the first may be empty. */
static inline int64_t piece_from(const pieces *p, int64_t i) {
    return i == 0 ? 0 : p->start[i - 1];
}
static inline int64_t piece_to(const pieces *p, int64_t i, int64_t rows) {
    return i < p->n ? p->start[i] : rows;
}

static inline void clear_state(float *state, int64_t ld, int64_t rows, int64_t c0, int64_t c1) {
    for (int64_t r = 0; r < rows; r++) {
        memset(state + r * ld + c0, 0, (size_t)(c1 - c0) * sizeof(float));
    }
}

/* The sequence that row t belongs to. */
static inline int64_t piece_of(const pieces *p, int64_t t) {
    int64_t low = 0;
    int64_t high = p->n;
    while (low < high) {
        int64_t mid = (low + high) / 2;
        if (p->start[mid] <= t) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

#endif
