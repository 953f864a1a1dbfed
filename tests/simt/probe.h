/*
 * probe.h - the kernels of probe.cu, by the first letter of their names.
 */
#ifndef MBK_SIMT_PROBE_H
#define MBK_SIMT_PROBE_H

enum { PROBE_INTS = 32 * 60, PROBE_FLOATS = 128, PROBE_BLOCKS = 7, PROBE_WARP_OPS = 14 };

/* Device memory: PROBE_INTS ints, PROBE_FLOATS floats, bf16 of (16, 16) and (16, 8). */
typedef struct probe_buffers {
    int *ints;
    float *floats;
    unsigned short *a, *b;
} probe_buffers;

#ifdef __cplusplus
extern "C"
#endif
    /* A cudaError_t. */
    int
    probe_run(const char *what, probe_buffers m);

#endif
