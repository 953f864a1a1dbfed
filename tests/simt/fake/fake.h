/*
 * fake.h - a CUDA runtime and a cuBLAS without a device, linked in place of the real ones. They include the toolkit's
 * own headers, so a wrong prototype does not compile, and are stricter than a device may be:
 *
 *  - device memory is host memory between guards, filled with NaN when it is new; every copy is checked for range and
 *    kind, a pointer that is not of this memory is named and ends the program;
 *  - streams are queues. In the lazy mode work waits until something needs it, and where several streams could go on,
 *    chance decides: a wait that the host code forgot shows. A copy from pinned memory reads when it is executed;
 *    pageable memory is staged at the call, and a copy to it waits, as CUDA does;
 *  - more than 48 KiB of dynamic shared memory need cudaFuncSetAttribute;
 *  - memory ends at a limit, any call can be made to fail, and an error that ruins a real context ruins this one;
 *  - a product has its sums in double, in an order that no kernel uses; its rows come in tiles of one size.
 *
 * Misuse, which a device would answer with wrong numbers, ends the program with a line and abort().
 *
 * The environment sets what the control table sets: FAKE_STREAMS=eager or a seed, FAKE_FAIL=call:k (call "any": the
 * k-th of all calls), FAKE_FAIL_AS=number of the error, FAKE_DROP=n, FAKE_MEM=bytes, FAKE_DEVICES=n (0: none, -1: no
 * driver), FAKE_DRIVER=version of CUDA that the driver knows (12020 is 12.2), FAKE_LEAKS=1: what is still allocated
 * when the library goes is a line on stderr and exit status 86,
 * FAKE_CALLS=FILE: the number of calls made is written there at that time, one line "name count" each, and the places
 * that waited, "place-N-call offset", for addr2line.
 */
#ifndef MBK_FAKE_H
#define MBK_FAKE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fake_use {
    int64_t device_blocks, pinned_blocks, streams, events, graphs, handles; /* that exist now */
    size_t device_bytes, device_peak;
} fake_use;

typedef struct fake_control {
    /* Seed of the order in which streams run; 0: eager, every call does its work at once. */
    void (*schedule)(uint64_t seed);
    /* The order of a kernel's threads and blocks: "fifo", "lifo", "random:SEED" (simt_schedule). */
    int (*order)(const char *what);
    /* The k-th call (from 1) named `call`, or "any", fails once, with error `as` (0: what that call would most likely
     * say). NULL: no more failures. Counting begins anew. */
    void (*fail)(const char *call, int64_t k, int as);
    /* Whether the failure asked for has happened. */
    int (*failed)(void);
    /* Calls since the last `fail`. */
    int64_t (*calls)(void);
    /* Waits that are asked for at the n-th place of the host code (from 1, in the order of first use) are left out, as
     * if they were not in the source; 0: none. Counting begins anew. `places`: how many there were since then. */
    void (*drop)(int n);
    int (*places)(void);
    /* Device memory in all. */
    void (*memory)(size_t bytes);
    fake_use (*use)(void);
    /* Forgets an error that ruined the context, as a new process would. */
    void (*revive)(void);
    /* Launches and products executed since the library was loaded. */
    int64_t (*executed)(void);
} fake_control;

/* Exported by what is linked with the fakes. */
extern const fake_control mbk_fake_control;

#ifdef __cplusplus
}
#endif
#endif
